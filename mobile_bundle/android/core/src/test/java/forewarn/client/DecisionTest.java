package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import org.junit.Test;

public class DecisionTest {
    /** Leaves: two scams, a promotion, two legitimate ones. */
    static Decision decision(double temperature, double bias, double warn, double block) {
        String manifest = ("{'format': 1, 'version': 'test', 'max_length': 8, 'labels': {"
                        + "'verdicts': ['scam', 'promotion', 'legitimate'], 'leaves': ["
                        + "{'name': 'prize', 'verdict': 'scam', 'levers': ['greed', 'curiosity']},"
                        + "{'name': 'loan', 'verdict': 'scam', 'levers': ['need']},"
                        + "{'name': 'promotion', 'verdict': 'promotion', 'levers': []},"
                        + "{'name': 'personal', 'verdict': 'legitimate', 'levers': []},"
                        + "{'name': 'transactional', 'verdict': 'legitimate', 'levers': []}]},"
                        + "'calibration': {'temperature': " + temperature + ", 'scam_bias': " + bias + "},"
                        + "'operating_points': {'warn': {'threshold': " + warn + "}, 'block': {'threshold': " + block
                        + "}}, 'files': {'model.onnx': {'sha256': ''}, 'tokenizer.json': {'sha256': ''},"
                        + "'forewarnings.json': {'sha256': ''}}}")
                .replace('\'', '"');
        String forewarnings = "{'prize': {'en': 'No prize.', 'de': 'Kein Gewinn.'}, 'loan': {'fr': 'Non.'}}"
                .replace('\'', '"');
        return new Decision(
                new Manifest("test", manifest.getBytes(StandardCharsets.UTF_8)),
                new Forewarnings(forewarnings.getBytes(StandardCharsets.UTF_8)));
    }

    private static float[] logs(double... p) {
        float[] logits = new float[p.length];
        for (int i = 0; i < p.length; i++) logits[i] = (float) Math.log(p[i]);
        return logits;
    }

    @Test
    public void theVerdictIsTheLargestSumAndTheTypeItsLargestLeaf() {
        Verdict verdict = decision(1, 0, 0.5, 0.9).decide(logs(0.2, 0.24, 0.1, 0.4, 0.06), null, null);
        assertEquals(Verdict.Name.LEGITIMATE, verdict.verdict);
        assertEquals("personal", verdict.type);
        assertEquals(0.44, verdict.risk, 1e-6);
        assertEquals(0.4, verdict.typeScore, 1e-6);
        assertEquals(Collections.emptyList(), verdict.levers);
        assertEquals("test", verdict.model);
    }

    @Test
    public void onATieTheFirstOneWins() {
        Verdict verdict = decision(1, 0, 0.9, 0.95).decide(new float[] {1, 1, -50, 1, 1}, null, null);
        assertEquals(Verdict.Name.SCAM, verdict.verdict);
        assertEquals("prize", verdict.type);
        assertEquals(Arrays.asList("greed", "curiosity"), verdict.levers);
    }

    @Test
    public void biasMovesScamsAndTemperatureEverything() {
        float[] logits = logs(0.25, 0.25, 0.1, 0.2, 0.2);
        assertEquals(0.5, decision(1, 0, 0.9, 0.95).decide(logits, null, null).risk, 1e-6);
        assertEquals(0.75, decision(1, Math.log(3), 0.9, 0.95).decide(logits, null, null).risk, 1e-6);
        assertEquals(0.4, decision(1e6, 0, 0.9, 0.95).decide(logits, null, null).risk, 1e-4);
    }

    @Test
    public void theActionFollowsTheThresholds() {
        float[] half = {0, -90, -90, 0, -90};
        assertEquals(Verdict.Action.BLOCK, decision(1, 0, 0.3, 0.5).decide(half, null, null).action);
        assertEquals(Verdict.Action.WARN, decision(1, 0, 0.5, 0.6).decide(half, null, null).action);
        assertEquals(Verdict.Action.ALLOW, decision(1, 0, 0.51, 0.6).decide(half, null, null).action);
    }

    @Test
    public void hugeLogitsGiveProbabilities() {
        Verdict verdict = decision(0.01, 0, 0.5, 0.9).decide(new float[] {3e38f, -3e38f, 0, 1, 2}, null, null);
        assertEquals(1, verdict.risk, 0);
        assertEquals("prize", verdict.type);
    }

    @Test
    public void whatIsWarnedOfHasAForewarningInTheReadersLanguage() {
        Decision decision = decision(1, 0, 0.3, 0.9);
        float[] prize = {5, 0, 0, 0, 0};
        assertEquals("Kein Gewinn.", decision.decide(prize, "de-AT", null).forewarning);
        assertEquals("No prize.", decision.decide(prize, "xx", null).forewarning);
        assertNull(decision.decide(prize, null, null).forewarning);
        assertNull(decision.decide(new float[] {0, 0, 0, 9, 0}, "de", null).forewarning);
        // Legitimate, but over the threshold: the likeliest scam is what it is warned of as.
        Verdict doubtful = decision.decide(logs(0.3, 0.1, 0.01, 0.5, 0.09), "en", null);
        assertEquals(Verdict.Name.LEGITIMATE, doubtful.verdict);
        assertEquals(Verdict.Action.WARN, doubtful.action);
        assertEquals("No prize.", doubtful.forewarning);
        // No text in this language nor in English.
        assertNull(decision.decide(new float[] {0, 5, 0, 0, 0}, "de", null).forewarning);
    }

    @Test
    public void nothingToReadIsLegitimate() {
        Verdict blank = decision(1, 0, 0, 0).blank();
        assertEquals("legitimate, risk 0.000000, allow, personal (0.000000), []", blank.toString());
        assertTrue(blank.forewarning == null && blank.model.equals("test"));
    }
}
