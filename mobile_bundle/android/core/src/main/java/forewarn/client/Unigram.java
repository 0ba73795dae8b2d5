package forewarn.client;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The most probable way to cut a word into known pieces. */
final class Unigram {
    /** The library's penalty: an unknown character costs this much more than the rarest piece. */
    private static final double UNKNOWN_PENALTY = 10;

    private final Map<String, Integer> pieces = new HashMap<>();
    private final double[] scores;
    private final int unknownId;
    private final double unknownScore;
    private final int longest;

    /**
     * Reads the {@code model} of a tokenizer.json.
     *
     * @throws BundleException if it is not a Unigram model without byte fallback.
     */
    Unigram(Map<?, ?> model) {
        boolean plain = model.get("byte_fallback") == null || Boolean.FALSE.equals(model.get("byte_fallback"));
        Tokenizer.expect("Unigram".equals(model.get("type")) && plain, "model", model.get("type"));
        unknownId = Tokenizer.integer(model.get("unk_id"));
        List<?> vocabulary = (List<?>) model.get("vocab");
        scores = new double[vocabulary.size()];
        double least = Double.POSITIVE_INFINITY;
        int length = 0;
        for (int id = 0; id < scores.length; id++) {
            List<?> entry = (List<?>) vocabulary.get(id);
            String piece = (String) entry.get(0);
            pieces.put(piece, id);
            scores[id] = (Double) entry.get(1);
            least = Math.min(least, scores[id]);
            length = Math.max(length, piece.length());
        }
        unknownScore = least - UNKNOWN_PENALTY;
        longest = length;
    }

    /**
     * Adds the pieces of the best cut of a word (Viterbi); neighbouring unknown characters are one piece.
     *
     * @param offset where the word starts in its text.
     */
    void cut(String word, int offset, Pieces cut) {
        Cuts cuts = new Cuts(word.length());
        for (int start = 0, next; start < word.length(); start = next) {
            next = start + Character.charCount(word.codePointAt(start));
            boolean single = false;
            // A slice that ends within a surrogate pair is no piece, so it does no harm to look it up.
            for (int end = start + 1; end <= Math.min(word.length(), start + longest); end++) {
                Integer id = pieces.get(word.substring(start, end));
                if (id == null) continue;
                cuts.offer(start, end, id, scores[id]);
                single |= end == next;
            }
            if (!single) cuts.offer(start, next, unknownId, unknownScore);
        }

        int from = cut.size();
        int following = -1;
        for (int end = word.length(); end > 0; end = cuts.lastStart[end]) {
            int id = cuts.lastId[end];
            int start = offset + cuts.lastStart[end];
            if (id == unknownId && following == unknownId) cut.extendLast(start);
            else cut.add(id, start, offset + end);
            following = id;
        }
        cut.reverseFrom(from);
    }

    /** For each position of a word the best cut that ends there: its score, its last piece, and where that starts. */
    private static final class Cuts {
        final double[] best;
        final int[] lastId;
        final int[] lastStart;

        Cuts(int size) {
            best = new double[size + 1];
            lastId = new int[size + 1];
            lastStart = new int[size + 1];
            Arrays.fill(lastStart, -1);
        }

        void offer(int start, int end, int id, double score) {
            double total = best[start] + score;
            if (lastStart[end] != -1 && total <= best[end]) return;
            best[end] = total;
            lastId[end] = id;
            lastStart[end] = start;
        }
    }
}
