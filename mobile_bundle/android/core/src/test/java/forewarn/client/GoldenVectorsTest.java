package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.Test;

public class GoldenVectorsTest {
    private static final Bundle BUNDLE = Bundle.open(TestFiles.BUNDLE);
    private static final byte[] VECTORS = BUNDLE.read("vectors.jsonl");

    @Test
    public void theirLogitsGiveTheirVerdicts() {
        for (File folder : TestFiles.BUNDLES) {
            Bundle bundle = Bundle.open(folder);
            ScamClassifier classifier = new ScamClassifier(bundle, goldenLogits(folder));
            GoldenVectors report = GoldenVectors.check(classifier, bundle.read("vectors.jsonl"));
            assertEquals(Collections.emptyList(), report.failures);
            assertTrue(folder + ": only " + report.count, report.count >= 50);
            // The vectors' logits are rounded to five digits.
            assertTrue(folder + ": risk " + report.worstRisk, report.worstRisk < 1e-5);
        }
    }

    @Test
    public void aBatchGivesEachTextTheVerdictThatItHasAlone() {
        ScamClassifier classifier = new ScamClassifier(BUNDLE, goldenLogits());
        List<String> texts = new ArrayList<>();
        for (Map<?, ?> vector : golden(TestFiles.BUNDLE)) texts.add((String) vector.get("text"));
        List<Verdict> batch = classifier.scoreBatch(texts, "de");
        assertEquals(texts.size(), batch.size());
        for (int i = 0; i < texts.size(); i++) {
            Verdict alone = classifier.score(texts.get(i), "de");
            assertEquals(alone.toString(), batch.get(i).toString());
            assertEquals(alone.forewarning, batch.get(i).forewarning);
        }
        assertEquals(Collections.emptyList(), classifier.scoreBatch(Collections.emptyList()));
    }

    @Test
    public void aVectorThatDoesNotHoldIsReported() {
        ScamClassifier classifier = new ScamClassifier(BUNDLE, goldenLogits());
        String line = new String(VECTORS, StandardCharsets.UTF_8).split("\n")[0];
        String[][] changes = {
            {"\"ids\": [2, ", "\"ids\": [3, "},
            {"\"normalised\": \"", "\"normalised\": \"x"},
            {"\"logits\": [", "\"logits\": [9, "},
            {"\"action\": \"block\"", "\"action\": \"allow\""},
        };
        for (String[] change : changes) {
            String changed = line.replace(change[0], change[1]);
            GoldenVectors report = GoldenVectors.check(classifier, changed.getBytes(StandardCharsets.UTF_8));
            assertEquals(change[0], 1, report.failures.size());
            assertTrue(report.failures.get(0).startsWith("vector 1: "));
        }
        assertThrows(BundleException.class, () -> GoldenVectors.check(classifier, "{}".getBytes()));
        assertThrows(BundleException.class, () -> GoldenVectors.check(classifier, new byte[0]));
    }

    private static List<Map<?, ?>> golden(File bundle) {
        List<Map<?, ?>> vectors = new ArrayList<>();
        String lines = TestFiles.text(new File(bundle, "vectors.jsonl").toPath());
        for (String line : lines.split("\n")) vectors.add((Map<?, ?>) Json.parse(line));
        return vectors;
    }

    static Model goldenLogits() {
        return goldenLogits(TestFiles.BUNDLE);
    }

    /** Gives the logits that stand in the vectors, by ids; other ids, as of further windows, are no scam at all. */
    private static Model goldenLogits(File bundle) {
        Map<List<?>, float[]> byIds = new HashMap<>();
        List<Leaf> leaves = Bundle.open(bundle).manifest().leaves;
        float[] honest = new float[leaves.size()];
        for (int i = 0; i < honest.length; i++) if (leaves.get(i).verdict == Verdict.Name.LEGITIMATE) honest[i] = 30;
        for (Map<?, ?> vector : golden(bundle)) {
            List<?> row = (List<?>) vector.get("logits");
            float[] logits = new float[row.size()];
            for (int i = 0; i < logits.length; i++) logits[i] = ((Double) row.get(i)).floatValue();
            byIds.put((List<?>) vector.get("ids"), logits);
        }
        return (ids, mask) -> {
            List<Double> key = new ArrayList<>();
            for (long id : ids[0]) key.add((double) id);
            return new float[][] {byIds.getOrDefault(key, honest)};
        };
    }
}
