package forewarn.client;

/** What the tokenizer gets of a message. */
final class MessageText {
    private static final int HEAD_CHARACTERS = 3000;
    private static final int TAIL_CHARACTERS = 1000;
    private static final CodePoints SPACES = new CodePoints(CharacterTables.SPACES);

    private MessageText() {}

    /** No lone surrogates, no NUL, and of a very long text head and tail with a line break between. */
    static String clean(String text) {
        if (text.codePointCount(0, text.length()) > HEAD_CHARACTERS + TAIL_CHARACTERS) {
            int head = text.offsetByCodePoints(0, HEAD_CHARACTERS);
            int tail = text.offsetByCodePoints(text.length(), -TAIL_CHARACTERS);
            text = text.substring(0, head) + "\n" + text.substring(tail);
        }
        StringBuilder result = new StringBuilder(text.length());
        text.codePoints().filter(code -> code != 0).forEach(code -> {
            boolean lone = code >= Character.MIN_SURROGATE && code <= Character.MAX_SURROGATE;
            result.appendCodePoint(lone ? 0xfffd : code);
        });
        return result.toString();
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
