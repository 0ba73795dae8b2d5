package forewarn.client;

import java.text.Normalizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** The normalisation steps of a tokenizer.json: NFKC, format characters, spaces, lower case. */
final class Normaliser {
    /**
     * Characters that normalise or reorder in Unicode today but do not in the tables that the {@code tokenizers}
     * library has for it, which are from before Unicode 12. They pass unchanged, so that every platform agrees on them,
     * whichever version of Unicode it has. The list is the web client's (src/tokenizer.ts); TokenizerTest compares
     * every character with the library.
     */
    private static final CodePoints TOO_NEW = new CodePoints(
            "7fd 897-89f 8ca-8d3 9fe c3c d3b d3c eba 1715 1abf-1aeb 1df6-1dfa 32ff a7f1-a7f4 a82c ab69 105c9-105e4 "
                    + "10780-107ba 10d24-10d27 10d69-10d6d 10eab 10eac 10efa-10eff 10f46-10f50 10f82-10f85 11070 1133b "
                    + "11380-113e2 1145e 11839 1183a 11900-11959 119e0 11a34 11a47 11a99 11d42-11d45 11d97 11f41 11f42 "
                    + "16100-16139 16d40-16d79 16ff0 16ff1 1ccd6-1ccf9 1e030-1e06d 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef "
                    + "1e4ec-1e4ef 1e5ee 1e5ef 1e6e3-1e6f5 1f16c 1fbf0-1fbf9");

    private static final CodePoints FORMAT = new CodePoints(CharacterTables.FORMAT);
    private static final CodePoints SPACES = new CodePoints(CharacterTables.SPACES);
    private static final CodePoints CAPITALS = new CodePoints(CharacterTables.CAPITALS);
    private static final int CAPITAL_I_WITH_DOT = 0x130;

    private final List<UnaryOperator<Traced>> steps = new ArrayList<>();

    /**
     * Reads the steps of a tokenizer.json.
     *
     * @param normalizer the file's {@code normalizer}.
     * @throws BundleException if it has a step that this version does not know.
     */
    Normaliser(Map<?, ?> normalizer) {
        Tokenizer.expect("Sequence".equals(normalizer.get("type")), "normalizer", normalizer.get("type"));
        for (Object item : (List<?>) normalizer.get("normalizers")) steps.add(step((Map<?, ?>) item));
    }

    /** The text as the model's pieces are looked up in it. */
    String normalise(String text) {
        return run(Traced.untraced(text)).text;
    }

    /** As {@link #normalise}, of a text that may be traced. */
    Traced run(Traced text) {
        for (UnaryOperator<Traced> step : steps) text = step.apply(text);
        return text;
    }

    private static UnaryOperator<Traced> step(Map<?, ?> step) {
        Object type = step.get("type");
        if ("NFKC".equals(type)) return Normaliser::nfkc;
        if ("Lowercase".equals(type)) return Normaliser::lowerCase;
        Tokenizer.expect("Replace".equals(type), "normalizer", type);
        Object pattern = ((Map<?, ?>) step.get("pattern")).get("Regex");
        Object content = step.get("content");
        if ("\\p{Cf}".equals(pattern) && "".equals(content)) return Normaliser::dropFormat;
        Tokenizer.expect("\\s+".equals(pattern) && " ".equals(content), "normalizer", pattern);
        return Normaliser::joinSpaces;
    }

    private static Traced nfkc(Traced input) {
        Traced.Output out = input.output();
        String text = input.text;
        int start = 0;
        for (int i = 0, next; i < text.length(); i = next) {
            int code = text.codePointAt(i);
            next = i + Character.charCount(code);
            if (!TOO_NEW.contains(code)) continue;
            nfkc(text, start, i, out);
            out.put(code, i);
            start = next;
        }
        nfkc(text, start, text.length(), out);
        return out.done();
    }

    private static void nfkc(String text, int start, int end, Traced.Output out) {
        if (out.isTraced()) Composition.compose(text, start, end, out);
        else out.put(Normalizer.normalize(text.substring(start, end), Normalizer.Form.NFKC), start);
    }

    private static Traced dropFormat(Traced input) {
        Traced.Output out = input.output();
        for (int i = 0, code; i < input.text.length(); i += Character.charCount(code)) {
            code = input.text.codePointAt(i);
            if (!FORMAT.contains(code)) out.put(code, i);
        }
        return out.done();
    }

    private static Traced joinSpaces(Traced input) {
        Traced.Output out = input.output();
        String text = input.text;
        for (int i = 0; i < text.length(); i++) {
            boolean space = SPACES.contains(text.charAt(i));
            // Of several the last one stays.
            boolean drop = space && i + 1 < text.length() && SPACES.contains(text.charAt(i + 1));
            if (!drop) out.put(space ? ' ' : text.charAt(i), i);
        }
        return out.done();
    }

    private static Traced lowerCase(Traced input) {
        // One character at a time: over whole words Java has a final sigma, which the library has not.
        Traced.Output out = input.output();
        for (int i = 0, code; i < input.text.length(); i += Character.charCount(code)) {
            code = input.text.codePointAt(i);
            if (code == CAPITAL_I_WITH_DOT) out.put("i\u0307", i);
            else out.put(CAPITALS.map(code), i);
        }
        return out.done();
    }
}
