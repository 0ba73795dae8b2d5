package forewarn.client;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.Test;

/** Texts that are longer than the model reads at once; the library's tests read some with the real model. */
public class WindowsTest {
    private static final int MAX_LENGTH = 128;
    private static final String HONEST = "See you at dinner tonight, love mum. ";
    private static final String TRICK = "You won a prize";

    private static final Bundle BUNDLE = Bundle.open(TestFiles.BUNDLE);
    private static final List<Leaf> LEAVES = BUNDLE.manifest().leaves;
    private static final long PRIZE = Tokenizer.parse(BUNDLE.read("tokenizer.json")).encode("prize").id(0);

    /** The rows that the model was asked for, which is sure of a scam where it sees a prize. */
    private final List<long[]> rows = new ArrayList<>();

    private final ScamClassifier classifier = new ScamClassifier(BUNDLE, (ids, mask) -> {
        rows.add(ids[0]);
        return new float[][] {sure(hasPrize(ids[0]) ? "prize" : "personal")};
    });

    private static boolean hasPrize(long[] row) {
        return Arrays.stream(row).anyMatch(id -> id == PRIZE);
    }

    private static float[] sure(String leaf) {
        float[] logits = new float[LEAVES.size()];
        for (int i = 0; i < logits.length; i++) if (LEAVES.get(i).name.equals(leaf)) logits[i] = 100;
        return logits;
    }

    private static String honest(int times) {
        return String.join("", Collections.nCopies(times, HONEST));
    }

    @Test
    public void windowsLieEvenly() {
        assertArrayEquals(new int[] {0}, Windows.starts(0, 10));
        assertArrayEquals(new int[] {0}, Windows.starts(10, 10));
        assertArrayEquals(new int[] {0, 1}, Windows.starts(11, 10));
        assertArrayEquals(new int[] {0, 4, 8}, Windows.starts(18, 10));
        assertArrayEquals(
                new int[] {0, 6, 13, 20, 27, 34, 41, 48, 55, 62, 69, 76, 83, 90}, Windows.starts(100, 10));
        assertArrayEquals(IntStream.range(0, 16).map(i -> 66 * i).toArray(), Windows.starts(1000, 10));
    }

    @Test
    public void windowsReachFromTheFirstPieceToTheLast() {
        for (int room = 2; room < 255; room++) {
            for (int pieces = room + 1; pieces < 5000; pieces += 7) {
                int[] starts = Windows.starts(pieces, room);
                assertEquals(0, starts[0]);
                assertEquals(pieces - room, starts[starts.length - 1]);
                assertTrue(starts.length <= Windows.MAX_WINDOWS);
                for (int i = 1; i < starts.length; i++) {
                    int gap = starts[i] - starts[i - 1];
                    assertTrue(gap > 0);
                    if (starts.length < Windows.MAX_WINDOWS) assertTrue(gap <= Math.max(1, room * 3 / 4));
                }
            }
        }
    }

    @Test
    public void aScamIsFoundWhereverInALongTextItStands() {
        assertEquals("personal", classifier.score(honest(50)).type);
        for (int before : new int[] {0, 25, 50}) {
            String text = honest(before) + TRICK + ". " + honest(50 - before);
            assertEquals(0, classifier.score(honest(before)).risk, 1e-6);
            Verdict verdict = classifier.score(text);
            assertEquals("prize", verdict.type);
            assertEquals(1, verdict.risk, 1e-6);
            assertEquals(verdict.toString(), classifier.scoreBatch(Arrays.asList(HONEST, text)).get(1).toString());

            Verdict explained = classifier.explain(text);
            assertEquals(verdict.toString(), explained.toString());
            assertEquals(1, explained.evidence.size());
            Evidence span = explained.evidence.get(0);
            // A few words, since a window has more of them than parts are tried.
            assertTrue(span.text, span.text.contains("prize") && span.text.length() < 25);
            assertEquals(span.text, text.substring(span.start, span.end));
        }
    }

    @Test
    public void theMiddleOfAVeryLongTextIsLeftOut() {
        assertEquals("personal", classifier.score(honest(85) + TRICK + honest(85)).type);
    }

    @Test
    public void eachWindowIsARowOfItsOwnAndTheFirstOneGivesTheIds() {
        String text = honest(50) + TRICK;
        rows.clear();
        classifier.score(text);
        assertTrue(rows.size() + " rows", rows.size() > 3);
        for (long[] row : rows) {
            assertEquals(MAX_LENGTH, row.length);
            assertEquals(2, row[0]);
            assertEquals(3, row[MAX_LENGTH - 1]);
        }
        assertFalse(hasPrize(rows.get(0)));
        assertArrayEquals(rows.get(0), Arrays.stream(classifier.encode(text)).asLongStream().toArray());
        rows.clear();
        classifier.score(HONEST);
        assertEquals(1, rows.size());
    }

    @Test
    public void ofWindowsThatAreEquallyRiskyTheFirstDecides() {
        List<String> leaves = new ArrayList<>(Arrays.asList("", "prize", "loan", "bank_alert")); // "" as it is opened
        ScamClassifier sureOfOther = new ScamClassifier(BUNDLE, (ids, mask) -> new float[][] {sure(leaves.remove(0))});
        assertEquals("prize", sureOfOther.score(honest(26)).type);
        assertEquals(Collections.emptyList(), leaves);
    }
}
