package forewarn.android;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import forewarn.client.Bundle;
import forewarn.client.Evidence;
import forewarn.client.ScamClassifier;
import forewarn.client.TestFiles;
import forewarn.client.Verdict;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.junit.Test;

/** What the shipped model says of why, on the real ONNX Runtime, beside what Python says. */
public class EvidenceTest {
    @Test
    public void evidenceAndForewarningsArePythons() {
        Bundle bundle = Bundle.open(TestFiles.BUNDLE);
        List<TestFiles.Explained> explanations = TestFiles.explanations();
        List<String> different = new ArrayList<>();
        double worst = 0;
        int spans = 0;
        long start = System.nanoTime();
        try (OnnxModel model = new OnnxModel(bundle.file("model.onnx"))) {
            ScamClassifier classifier = new ScamClassifier(bundle, model);
            for (TestFiles.Explained wanted : explanations) {
                Verdict got = classifier.explain(wanted.text, wanted.locale);
                assertEquals(wanted.forewarning, got.forewarning);
                spans += got.evidence.size();
                if (!places(got.evidence).equals(places(wanted.evidence))) {
                    different.add(wanted.text);
                    continue;
                }
                for (int i = 0; i < got.evidence.size(); i++) {
                    worst = Math.max(worst, Math.abs(got.evidence.get(i).weight - wanted.evidence.get(i).weight));
                }
            }
        }
        System.out.printf(
                Locale.ROOT,
                "%n%d explanations with %d spans: %d with other spans, farthest weight %.1e; %.0f ms each%n",
                explanations.size(), spans, different.size(), worst,
                (System.nanoTime() - start) / 1e6 / explanations.size());
        assertTrue(spans > 150);
        // In a text that says the same over and over, parts weigh the same to the last digits, and which of them are
        // shown is chance.
        int mayDiffer = Math.min(different.size(), explanations.size() / 50);
        assertEquals(Collections.emptyList(), different.subList(mayDiffer, different.size()));
        assertTrue("weight " + worst, worst < 0.001);
    }

    private static List<String> places(List<Evidence> evidence) {
        List<String> places = new ArrayList<>();
        for (Evidence span : evidence) places.add(span.start + "-" + span.end + " " + span.text);
        return places;
    }
}
