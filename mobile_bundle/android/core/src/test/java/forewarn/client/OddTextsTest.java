package forewarn.client;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.Arrays;
import java.util.Collections;
import java.util.Random;
import org.junit.Test;

/** No string makes the client throw, and none but null is refused. */
public class OddTextsTest {
    private static final int MAX_LENGTH = 128;

    private final Bundle bundle = Bundle.open(TestFiles.BUNDLE);
    private final ScamClassifier classifier = new ScamClassifier(bundle, GoldenVectorsTest.goldenLogits());

    @Test
    public void anyCharactersAreScored() {
        Random random = new Random(7);
        int[] limits = {0x80, 0x600, 0x3000, 0x10000, 0x110000};
        for (int round = 0; round < 3000; round++) {
            StringBuilder text = new StringBuilder();
            int limit = limits[round % limits.length];
            for (int n = random.nextInt(80); n > 0; n--) {
                // Halves of pairs come alone too, and NUL.
                if (random.nextInt(10) == 0) text.append((char) (0xd800 + random.nextInt(0x800)));
                else text.appendCodePoint(random.nextInt(limit));
            }
            holds(text.toString());
        }
    }

    @Test
    public void veryLongTextsAreScored() {
        String[] units = {"a", " ", "\0", "1", "\ud83d", "\ude00", "\ud83d\ude00", "\u0301", "[SEP]", "win "};
        for (String unit : units) {
            String text = String.join("", Collections.nCopies(100_000 / unit.length(), unit));
            holds(text);
            holds(text + "\ud83d");
        }
    }

    @Test
    public void onlyHeadAndTailOfAVeryLongTextAreRead() {
        String spaces = String.join("", Collections.nCopies(50_000, " "));
        assertEquals("x y", classifier.normalise("x" + spaces + "not read" + spaces + "y"));
        assertEquals("x not read y", classifier.normalise("x not read" + spaces.substring(0, 3000) + "y"));
    }

    @Test
    public void loneHalvesCountAsReplacementCharactersAndNulAsNothing() {
        assertArrayEquals(classifier.encode("a\ufffdb"), classifier.encode("a\ud83db"));
        assertArrayEquals(classifier.encode("a\ufffd"), classifier.encode("a\udc00"));
        assertArrayEquals(classifier.encode("prize"), classifier.encode("p\0r\0ize\0"));
    }

    @Test
    public void nothingToReadIsLegitimate() {
        for (String text : new String[] {"", " ", "\n\t", "\0", "\u200b\u200d", "\u001c", "\u0085\u3000"}) {
            Verdict verdict = classifier.score(text, "en");
            assertEquals(Verdict.Name.LEGITIMATE, verdict.verdict);
            assertEquals(0, verdict.risk, 0);
        }
    }

    @Test
    public void nullIsRefusedAndAnErrorHoldsNothingOfAText() {
        assertThrows(ForewarnException.class, () -> classifier.score(null));
        Exception error = assertThrows(
                ForewarnException.class, () -> classifier.scoreBatch(Arrays.asList("marked text", null)));
        assertFalse(error.getMessage().contains("marked"));
    }

    @Test
    public void aModelThatIsNotTheBundlesIsFoundAtOnce() {
        float[] one = {1};
        float[] broken = new float[21];
        broken[3] = Float.NaN;
        assertThrows(BundleException.class, () -> new ScamClassifier(bundle, (ids, mask) -> new float[][] {one}));
        assertThrows(BundleException.class, () -> new ScamClassifier(bundle, (ids, mask) -> new float[0][]));
        assertThrows(BundleException.class, () -> new ScamClassifier(bundle, (ids, mask) -> new float[][] {broken}));
    }

    private void holds(String text) {
        int[] ids = classifier.encode(text);
        assertTrue(ids.length >= 2 && ids.length <= MAX_LENGTH);
        assertEquals(2, ids[0]);
        assertEquals(3, ids[ids.length - 1]);
        Verdict verdict = classifier.score(text, "und");
        assertTrue(verdict.risk >= 0 && verdict.risk <= 1);
        assertArrayEquals(ids, classifier.encode(text));
    }
}
