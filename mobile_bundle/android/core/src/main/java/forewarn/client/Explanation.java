package forewarn.client;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;

/**
 * Which parts of a text made it look like a scam.
 *
 * <p>By occlusion: take a part out, score again; a part's weight is the drop in the log-odds of scam.
 */
final class Explanation {
    private static final int MAX_SEGMENTS = 48;
    private static final int MAX_SPANS = 5;
    private static final int PIECES_PER_SEGMENT = 3;
    /** A part weighs at least this much, and at least this share of the heaviest one. */
    private static final double LEAST_WEIGHT = 0.05;

    private static final double LEAST_SHARE = 0.2;
    /** Thai to Burmese, Khmer, kana, Han, full-width forms: scripts written without spaces between words. */
    private static final CodePoints UNSPACED =
            new CodePoints("e00-eff 1000-109f 1780-17ff 3040-30ff 3400-9fff f900-faff 20000-3ffff");

    private Explanation() {}

    /** A part of a text, from start to end. */
    private static final class Span {
        final int start;
        final int end;
        final double weight;

        Span(int start, int end, double weight) {
            this.start = start;
            this.end = end;
            this.weight = weight;
        }
    }

    /**
     * The spans that raise the scam log-odds most, heaviest first; none where nothing does.
     *
     * @param text the original text.
     * @param pieces those of the cleaned text that the model read.
     * @param begin where the part of the cleaned text that is explained starts.
     * @param stop where that part ends.
     * @param logOdds the model, from a cleaned text to the log-odds of scam.
     * @param whole the log-odds of that part.
     */
    static List<Evidence> of(
            String text, Pieces pieces, int begin, int stop, ToDoubleFunction<String> logOdds, double whole) {
        String cleaned = MessageText.clean(text);
        List<Span> parts = new ArrayList<>();
        double heaviest = Double.NEGATIVE_INFINITY;
        for (Span part : segments(cleaned, begin, pieces)) {
            String rest = cleaned.substring(begin, part.start) + cleaned.substring(part.end, stop);
            double without = logOdds.applyAsDouble(rest);
            parts.add(new Span(part.start, part.end, whole - without));
            heaviest = Math.max(heaviest, whole - without);
        }
        List<Span> spans = joined(text, parts, Math.max(LEAST_WEIGHT, LEAST_SHARE * heaviest));
        spans.sort(Comparator.comparingDouble(span -> -span.weight));
        List<Evidence> evidence = new ArrayList<>();
        for (Span span : spans.subList(0, Math.min(MAX_SPANS, spans.size()))) {
            String shown = MessageText.sound(text.substring(span.start, span.end));
            evidence.add(new Evidence(span.start, span.end, shown, Math.round(span.weight * 1e4) / 1e4));
        }
        return Collections.unmodifiableList(evidence);
    }

    /** The parts of the cleaned text that weigh enough, as spans of the original one; neighbours are one span. */
    private static List<Span> joined(String text, List<Span> parts, double floor) {
        int[] places = MessageText.origins(text);
        List<Span> spans = new ArrayList<>();
        int last = -2;
        for (int i = 0; i < parts.size(); i++) {
            Span part = parts.get(i);
            if (part.weight < floor) continue;
            Span span = new Span(places[part.start], places[part.end - 1] + 1, part.weight);
            if (i == last + 1) {
                Span before = spans.get(spans.size() - 1);
                // Unless the cut of a very long text lies between them.
                if (text.codePointCount(before.end, span.start) < MessageText.TAIL_CHARACTERS / 10) {
                    span = new Span(before.start, span.end, before.weight + span.weight);
                    spans.remove(spans.size() - 1);
                }
            }
            spans.add(span);
            last = i;
        }
        return spans;
    }

    /** At most MAX_SEGMENTS parts of what the model sees: words, or a few pieces where a script has no spaces. */
    private static List<Span> segments(String cleaned, int begin, Pieces pieces) {
        // Beyond the last piece the model saw nothing; taking that out would change nothing.
        int seen = 0;
        for (int i = 0; i < pieces.size(); i++) if (!pieces.isEmpty(i)) seen = Math.max(seen, pieces.end(i));
        List<Span> segments = new ArrayList<>();
        for (int start = begin, end; start < seen; start = end + 1) {
            end = start;
            while (end < seen && !MessageText.isSpace(cleaned.charAt(end))) end++;
            if (end == start) continue;
            boolean isUnspaced = cleaned.substring(start, end).codePoints().anyMatch(UNSPACED::contains);
            if (isUnspaced) addCuts(start, end, pieces, segments);
            else segments.add(new Span(start, end, 0));
        }
        return segments.size() > MAX_SEGMENTS ? merged(segments) : segments;
    }

    /** Cuts a word of a script without spaces where every few pieces start. */
    private static void addCuts(int start, int end, Pieces pieces, List<Span> segments) {
        TreeSet<Integer> inner = new TreeSet<>();
        inner.add(start);
        for (int i = 0; i < pieces.size(); i++) {
            if (pieces.isEmpty(i) || pieces.start(i) >= end || pieces.end(i) <= start) continue;
            inner.add(Math.max(pieces.start(i), start));
        }
        List<Integer> cuts = new ArrayList<>(inner);
        for (int i = 0; i < cuts.size(); i += PIECES_PER_SEGMENT) {
            int next = i + PIECES_PER_SEGMENT < cuts.size() ? cuts.get(i + PIECES_PER_SEGMENT) : end;
            segments.add(new Span(cuts.get(i), next, 0));
        }
    }

    /** Neighbours put together, in MAX_SEGMENTS groups whose sizes differ by one at most. */
    private static List<Span> merged(List<Span> segments) {
        int size = segments.size() / MAX_SEGMENTS;
        int longer = segments.size() % MAX_SEGMENTS;
        List<Span> groups = new ArrayList<>();
        int next = 0;
        for (int group = 0; group < MAX_SEGMENTS; group++) {
            int first = next;
            next += size + (group < longer ? 1 : 0);
            groups.add(new Span(segments.get(first).start, segments.get(next - 1).end, 0));
        }
        return groups;
    }
}
