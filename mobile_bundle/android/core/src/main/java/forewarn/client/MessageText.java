package forewarn.client;

import java.util.stream.IntStream;

/** What the tokenizer gets of a message, and where each part of that stands in the message. */
final class MessageText {
    private static final int HEAD_CHARACTERS = 3000;
    static final int TAIL_CHARACTERS = 1000;
    private static final CodePoints SPACES = new CodePoints(CharacterTables.SPACES);

    private MessageText() {}

    /** No lone surrogates, no NUL, and of a very long text head and tail with a line break between. */
    static String clean(String text) {
        int[] cut = cut(text);
        String read = cut == null ? text : text.substring(0, cut[0]) + "\n" + text.substring(cut[1]);
        return sound(read).replace("\0", "");
    }

    /** For each UTF-16 unit of {@code clean(text)} where it stands in the text. */
    static int[] origins(String text) {
        int[] cut = cut(text);
        IntStream places = IntStream.range(0, text.length());
        if (cut != null) {
            // The line break stands for the first character that is left out.
            places = IntStream.concat(IntStream.rangeClosed(0, cut[0]), IntStream.range(cut[1], text.length()));
            return places.filter(i -> i == cut[0] || text.charAt(i) != 0).toArray();
        }
        return places.filter(i -> text.charAt(i) != 0).toArray();
    }

    /** A text with U+FFFD in place of lone surrogates. */
    static String sound(String text) {
        StringBuilder result = new StringBuilder(text.length());
        text.codePoints().forEach(code -> {
            boolean lone = code >= Character.MIN_SURROGATE && code <= Character.MAX_SURROGATE;
            result.appendCodePoint(lone ? 0xfffd : code);
        });
        return result.toString();
    }

    /** Where the middle of a text that is too long to be read starts and ends; null of any other. */
    private static int[] cut(String text) {
        if (text.codePointCount(0, text.length()) <= HEAD_CHARACTERS + TAIL_CHARACTERS) return null;
        int head = text.offsetByCodePoints(0, HEAD_CHARACTERS);
        return new int[] {head, text.offsetByCodePoints(text.length(), -TAIL_CHARACTERS)};
    }

    /** Whether a text is empty or only spaces. */
    static boolean isBlank(String text) {
        return text.codePoints().allMatch(MessageText::isSpace);
    }

    /** Whether a character is a space as Python's {@code str.strip} sees it: four control characters too. */
    static boolean isSpace(int code) {
        return SPACES.contains(code) || (code >= 0x1c && code <= 0x1f);
    }
}
