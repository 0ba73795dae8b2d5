package forewarn.client;

import java.text.Normalizer;
import java.util.ArrayList;
import java.util.List;

/**
 * NFKC that knows where each character comes from, which {@link Normalizer} does not tell. It is slower, so it is for
 * explanations only; the text that it gives is the same.
 */
final class Composition {
    /** A character, and by how many it changes the length: 1 where it is added, -n where n others merge into it. */
    private static final class Change {
        final int code;
        final int by;

        Change(int code, int by) {
            this.code = code;
            this.by = by;
        }
    }

    // Marks of the classes 1 and 240, the lowest and the highest.
    private static final int LOWEST_MARK = 0x334;
    private static final int HIGHEST_MARK = 0x345;
    private static final int FIRST_BEYOND_ASCII = 0x80;

    private Composition() {}

    /**
     * Puts out the NFKC of a part of a text.
     *
     * @param text what goes into the step.
     * @param start where the part starts in it, and {@code end} where it ends.
     */
    static void compose(String text, int start, int end, Traced.Output out) {
        // No character of ASCII merges into what stands before it, so a text falls into independent segments there.
        for (int from = start, to; from < end; from = to) {
            to = from + 1;
            while (to < end && text.charAt(to) >= FIRST_BEYOND_ASCII) to++;
            String segment = text.substring(from, to);
            if (Normalizer.isNormalized(segment, Normalizer.Form.NFKC)) out.copy(from, to);
            else composeSegment(segment, from, out);
        }
    }

    private static void composeSegment(String segment, int offset, Traced.Output out) {
        int[] source = segment.codePoints().toArray();
        int[] places = new int[source.length];
        for (int i = 0, place = offset; i < source.length; place += Character.charCount(source[i++])) places[i] = place;
        int next = 0;
        for (Change change : composed(decomposed(source))) {
            int place = change.by > 0 ? Math.max(0, next - 1) : next;
            out.put(change.code, places[Math.min(place, places.length - 1)]);
            if (change.by <= 0) next += 1 - change.by;
        }
    }

    /** Compatibility decomposition with marks in canonical order. */
    private static List<Change> decomposed(int[] source) {
        List<Change> changes = new ArrayList<>();
        for (int original : source) {
            int by = 0;
            for (int code : codes(string(original), Normalizer.Form.NFKD)) {
                int at = changes.size();
                while (at > 0 && swaps(changes.get(at - 1).code, code)) at--;
                changes.add(at, new Change(code, by));
                by = 1;
            }
        }
        return changes;
    }

    /** Canonical composition: each mark merges into the character before it, if there is one for both. */
    private static List<Change> composed(List<Change> changes) {
        List<Change> done = new ArrayList<>();
        Change base = null;
        List<Change> marks = new ArrayList<>(); // those that did not merge, and stand after the base
        for (Change change : changes) {
            boolean starter = isStarter(change.code);
            if (base == null) {
                if (starter) base = change;
                else done.add(change);
                continue;
            }
            // A mark of the same class, or any mark before a starter, stands between the two.
            boolean blocked = !marks.isEmpty() && (starter || !swaps(change.code, marks.get(marks.size() - 1).code));
            int[] both = blocked ? null : codes(string(base.code) + string(change.code), Normalizer.Form.NFC);
            if (both != null && both.length == 1) {
                base = new Change(both[0], base.by + change.by - 1);
            } else if (starter) {
                done.add(base);
                done.addAll(marks);
                base = change;
                marks.clear();
            } else {
                marks.add(change);
            }
        }
        if (base != null) done.add(base);
        done.addAll(marks);
        return done;
    }

    /** Whether canonical order puts b before a: both are marks, and the combining class of a is the higher one. */
    private static boolean swaps(int a, int b) {
        if (a == b || a < FIRST_BEYOND_ASCII || b < FIRST_BEYOND_ASCII) return false;
        return Normalizer.normalize(string(a) + string(b), Normalizer.Form.NFD).equals(string(b) + string(a));
    }

    /** Whether the combining class is 0. Java does not tell it, but the lowest and the highest mark show it. */
    private static boolean isStarter(int code) {
        if (code == LOWEST_MARK || code == HIGHEST_MARK) return false;
        return !swaps(code, LOWEST_MARK) && !swaps(HIGHEST_MARK, code);
    }

    private static int[] codes(String text, Normalizer.Form form) {
        return Normalizer.normalize(text, form).codePoints().toArray();
    }

    private static String string(int code) {
        return new String(Character.toChars(code));
    }
}
