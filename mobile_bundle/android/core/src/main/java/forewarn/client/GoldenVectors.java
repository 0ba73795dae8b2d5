package forewarn.client;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Compares a device with a bundle's golden vectors: does it give the verdicts that every other platform gives? */
public final class GoldenVectors {
    /** How far a logit may lie from the golden one: runtimes round differently. */
    public static final double LOGIT_TOLERANCE = 0.05;

    /** How many vectors there were. */
    public final int count;
    /** The largest distance of a logit, and of a risk, from its golden value. */
    public final double worstLogit;

    public final double worstRisk;
    /** One line a deviation; empty when this device gives what every other one gives. */
    public final List<String> failures;

    private GoldenVectors(int count, double worstLogit, double worstRisk, List<String> failures) {
        this.count = count;
        this.worstLogit = worstLogit;
        this.worstRisk = worstRisk;
        this.failures = failures;
    }

    /**
     * Runs the vectors: normalised text, ids and verdict must be exact, logits within {@link #LOGIT_TOLERANCE}.
     *
     * @param vectors the content of the bundle's vectors.jsonl: {@code bundle.read("vectors.jsonl")}.
     * @throws BundleException if these are no golden vectors.
     */
    public static GoldenVectors check(ScamClassifier classifier, byte[] vectors) {
        double worstLogit = 0;
        double worstRisk = 0;
        List<String> failures = new ArrayList<>();
        List<Vector> golden = parse(vectors);
        for (int i = 0; i < golden.size(); i++) {
            Vector wanted = golden.get(i);
            String vector = "vector " + (i + 1) + ": ";
            if (!classifier.normalise(wanted.text).equals(wanted.normalised)) {
                failures.add(vector + "the normalised text differs");
            }
            if (!Arrays.equals(classifier.encode(wanted.text), wanted.ids)) failures.add(vector + "ids differ");

            double apart = distance(classifier.logits(wanted.text), wanted.logits);
            worstLogit = Math.max(worstLogit, apart);
            if (!(apart <= LOGIT_TOLERANCE)) failures.add(vector + "a logit is " + apart + " away");

            Verdict got = classifier.score(wanted.text);
            worstRisk = Math.max(worstRisk, Math.abs(got.risk - wanted.risk));
            if (!wanted.hasVerdict(got)) failures.add(vector + "the verdict differs: " + got);
        }
        return new GoldenVectors(golden.size(), worstLogit, worstRisk, failures);
    }

    private static List<Vector> parse(byte[] vectors) {
        List<Vector> golden = new ArrayList<>();
        try {
            for (String line : new String(vectors, StandardCharsets.UTF_8).split("\n")) {
                if (!line.isEmpty()) golden.add(new Vector((Map<?, ?>) Json.parse(line)));
            }
        } catch (IllegalArgumentException | ClassCastException | NullPointerException e) {
            throw new BundleException("vectors.jsonl is not golden vectors; export the bundle again");
        }
        if (golden.isEmpty()) throw new BundleException("vectors.jsonl is empty; export the bundle again");
        return golden;
    }

    private static double distance(float[] got, double[] wanted) {
        double worst = got.length == wanted.length ? 0 : Double.POSITIVE_INFINITY;
        for (int i = 0; i < got.length && i < wanted.length; i++) {
            worst = Math.max(worst, Math.abs(got[i] - wanted[i]));
        }
        return worst;
    }

    /** One line of vectors.jsonl, as {@code forewarn export} writes it. */
    private static final class Vector {
        final String text;
        final String normalised;
        final int[] ids;
        final double[] logits;
        final double risk;

        private final Map<?, ?> verdict;

        Vector(Map<?, ?> line) {
            text = Objects.requireNonNull((String) line.get("text"));
            normalised = (String) line.get("normalised");
            ids = ((List<?>) line.get("ids")).stream().mapToInt(Tokenizer::integer).toArray();
            logits = ((List<?>) line.get("logits")).stream().mapToDouble(logit -> (Double) logit).toArray();
            verdict = (Map<?, ?>) line.get("verdict");
            risk = (Double) verdict.get("risk");
        }

        boolean hasVerdict(Verdict got) {
            return got.verdict.toString().equals(verdict.get("verdict"))
                    && got.action.toString().equals(verdict.get("action"))
                    && got.type.equals(verdict.get("type"))
                    && got.levers.equals(verdict.get("levers"))
                    && got.model.equals(verdict.get("model"));
        }
    }
}
