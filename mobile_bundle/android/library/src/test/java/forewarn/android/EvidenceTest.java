package forewarn.android;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertTrue;

import forewarn.client.Bundle;
import forewarn.client.Evidence;
import forewarn.client.ScamClassifier;
import forewarn.client.TestFiles;
import forewarn.client.Verdict;
import java.io.File;
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

    @Test
    public void aScamBehindALongHonestTextIsFoundAndItsEvidenceLiesInIt() {
        String minutes = "The meeting notes of Tuesday are in the folder, thanks to all who came. See you next week. ";
        // Long enough to fill most of a window.
        String scam = "Your parcel is held at customs. Pay the fee of 1.99 at parcel-fee.example/pay today, or it "
                + "is sent back. This is the last notice from the post: the parcel cannot be delivered until the "
                + "customs fee is paid. Open parcel-fee.example/pay and enter your card now. Your parcel is held at "
                + "customs. Pay now.";
        for (File folder : TestFiles.BUNDLES) {
            Bundle bundle = Bundle.open(folder);
            try (OnnxModel model = new OnnxModel(bundle.file("model.onnx"))) {
                ScamClassifier classifier = new ScamClassifier(bundle, model);
                String honest = String.join("", Collections.nCopies(20, minutes));
                assertEquals(Verdict.Action.ALLOW, classifier.score(honest).action);
                Verdict verdict = classifier.explain(honest + scam);
                assertEquals("parcel_delivery", verdict.type);
                assertNotEquals(Verdict.Action.ALLOW, verdict.action);
                assertEquals(verdict.toString(), classifier.score(honest + scam).toString());
                assertFalse(verdict.evidence.isEmpty());
                for (Evidence span : verdict.evidence) assertTrue(span.text, span.end > honest.length());
            }
        }
    }

    private static List<String> places(List<Evidence> evidence) {
        List<String> places = new ArrayList<>();
        for (Evidence span : evidence) places.add(span.start + "-" + span.end + " " + span.text);
        return places;
    }
}
