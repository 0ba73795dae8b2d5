package forewarn.client;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * From text to ids, as the bundle's tokenizer.json says and as the {@code tokenizers} library in Python does it.
 *
 * <p>Only the steps that forewarn models use are here. A tokenizer.json with any other step is refused, since a step
 * done nearly right gives other verdicts than the other platforms without anybody noticing.
 */
final class Tokenizer {
    private static final CodePoints NUMBERS = new CodePoints(CharacterTables.NUMBERS);

    /** Added tokens such as [CLS], which count as themselves wherever they stand in the raw text. */
    private final Map<String, Integer> special = new HashMap<>();

    private final Pattern specialName;
    private final Normaliser normaliser;
    /** The mark that stands for the space before a word. */
    private final char space;
    /** Ids that stand before and after those of the text. */
    private final int[] before;

    private final int[] after;
    private final Unigram model;

    /**
     * Builds from the content of a tokenizer.json.
     *
     * @throws BundleException if it is none, or has steps that this version does not know.
     */
    static Tokenizer parse(byte[] json) {
        try {
            return new Tokenizer((Map<?, ?>) Json.parse(json));
        } catch (IllegalArgumentException | ClassCastException | NullPointerException | IndexOutOfBoundsException e) {
            throw new BundleException("tokenizer.json is not a tokenizer; export the bundle again");
        }
    }

    private Tokenizer(Map<?, ?> t) {
        for (Object item : (List<?>) t.get("added_tokens")) {
            Map<?, ?> token = (Map<?, ?>) item;
            for (String flag : new String[] {"normalized", "single_word", "lstrip", "rstrip"}) {
                expect(Boolean.FALSE.equals(token.get(flag)), "added token", token.get("content"));
            }
            special.put((String) token.get("content"), integer(token.get("id")));
        }
        // Longest first, since the first alternative that fits is taken.
        String names = special.keySet().stream()
                .sorted((a, b) -> b.length() - a.length())
                .map(Pattern::quote)
                .collect(Collectors.joining("|"));
        // Where there are none, a pattern that fits nowhere.
        specialName = Pattern.compile(special.isEmpty() ? "(?!)" : names);
        normaliser = new Normaliser((Map<?, ?>) t.get("normalizer"));

        List<?> splitters = (List<?>) ((Map<?, ?>) t.get("pre_tokenizer")).get("pretokenizers");
        expect(splitters.size() == 2, "pre-tokenizer", splitters.size() + " steps");
        Map<?, ?> metaspace = (Map<?, ?>) splitters.get(0);
        String mark = (String) metaspace.get("replacement");
        expect(
                "Metaspace".equals(metaspace.get("type")) && "always".equals(metaspace.get("prepend_scheme"))
                        && Boolean.TRUE.equals(metaspace.get("split")) && mark.length() == 1,
                "pre-tokenizer",
                metaspace.get("type"));
        space = mark.charAt(0);
        Map<?, ?> digits = (Map<?, ?>) splitters.get(1);
        expect(
                "Digits".equals(digits.get("type")) && Boolean.TRUE.equals(digits.get("individual_digits")),
                "pre-tokenizer",
                digits.get("type"));

        Map<?, ?> post = (Map<?, ?>) t.get("post_processor");
        expect("TemplateProcessing".equals(post.get("type")), "post-processor", post.get("type"));
        List<?> template = (List<?>) post.get("single");
        int at = 0;
        while (!((Map<?, ?>) template.get(at)).containsKey("Sequence")) at++;
        before = frame(template.subList(0, at), post);
        after = frame(template.subList(at + 1, template.size()), post);
        model = new Unigram((Map<?, ?>) t.get("model"));
    }

    /** How many pieces have room in a row of ids, beside the template's frame. */
    int room(int maxLength) {
        return maxLength - before.length - after.length;
    }

    /** The ids of pieces, in the template's frame ([CLS] ... [SEP]). */
    int[] framed(Pieces pieces) {
        int[] framed = Arrays.copyOf(before, before.length + pieces.size() + after.length);
        for (int i = 0; i < pieces.size(); i++) framed[before.length + i] = pieces.id(i);
        System.arraycopy(after, 0, framed, before.length + pieces.size(), after.length);
        return framed;
    }

    /**
     * The pieces of a text, of which only the ids count.
     *
     * @param text the message; must hold no lone surrogate.
     */
    Pieces encode(String text) {
        return pieces(text, false);
    }

    /**
     * The pieces of a text and where they stand in it, in UTF-16 units.
     *
     * @param text as for {@link #encode}.
     */
    Pieces pieces(String text) {
        return pieces(text, true);
    }

    private Pieces pieces(String text, boolean isTraced) {
        Pieces pieces = new Pieces();
        // Special tokens are found in the raw text, before it is normalised.
        int start = 0;
        Matcher found = specialName.matcher(text);
        while (found.find()) {
            cut(text.substring(start, found.start()), start, isTraced, pieces);
            pieces.add(special.get(found.group()), found.start(), found.end());
            start = found.end();
        }
        cut(text.substring(start), start, isTraced, pieces);
        return pieces;
    }

    /** The text as the model's pieces are looked up in it. */
    String normalise(String text) {
        return normaliser.normalise(text);
    }

    /** Adds the pieces of a part of a text that holds no special tokens; places count only if it is traced. */
    private void cut(String part, int offset, boolean isTraced, Pieces pieces) {
        int first = pieces.size();
        Traced normalised = normaliser.run(isTraced ? Traced.of(part) : Traced.untraced(part));
        if (normalised.text.isEmpty()) return;
        String text = normalised.text.replace(' ', space);
        int added = text.charAt(0) == space ? 0 : 1;
        if (added > 0) text = space + text;
        // Words keep the mark at their start; each digit is a word of its own.
        int start = 0;
        for (int i = 0, next; i < text.length(); i = next) {
            int code = text.codePointAt(i);
            next = i + Character.charCount(code);
            boolean number = NUMBERS.contains(code);
            if (i > start && (number || code == space)) {
                model.cut(text.substring(start, i), start, pieces);
                start = i;
            }
            if (number || next == text.length()) {
                model.cut(text.substring(start, next), start, pieces);
                start = next;
            }
        }
        if (isTraced) pieces.traceFrom(first, normalised, added, offset);
    }

    private static int[] frame(List<?> parts, Map<?, ?> post) {
        Map<?, ?> tokens = (Map<?, ?>) post.get("special_tokens");
        List<Integer> ids = new ArrayList<>();
        for (Object part : parts) {
            Object name = ((Map<?, ?>) ((Map<?, ?>) part).get("SpecialToken")).get("id");
            for (Object id : (List<?>) ((Map<?, ?>) tokens.get(name)).get("ids")) ids.add(integer(id));
        }
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    static int integer(Object value) {
        double number = (Double) value;
        if (number != (int) number) throw new IllegalArgumentException("not an integer");
        return (int) number;
    }

    static void expect(boolean condition, String part, Object what) {
        if (condition) return;
        throw new BundleException(
                "tokenizer.json has a " + part + " that this version cannot run (" + what
                        + "); upgrade the forewarn client");
    }
}
