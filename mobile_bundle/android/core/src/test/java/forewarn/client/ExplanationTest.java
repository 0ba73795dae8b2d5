package forewarn.client;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.Test;

/** With weights that are given here; the library's tests compare the real model's with Python's. */
public class ExplanationTest {
    private static final Bundle BUNDLE = Bundle.open(TestFiles.BUNDLE);
    private static final Tokenizer TOKENIZER = Tokenizer.parse(BUNDLE.read("tokenizer.json"));

    /** Evidence where each occurrence of a word adds its weight to the log-odds. */
    private static List<Evidence> evidence(String text, Object... wordsAndWeights) {
        String read = MessageText.clean(text);
        Pieces pieces = TOKENIZER.pieces(read);
        double whole = logOdds(read, wordsAndWeights);
        return Explanation.of(text, pieces, 0, read.length(), part -> logOdds(part, wordsAndWeights), whole);
    }

    private static double logOdds(String text, Object... wordsAndWeights) {
        double sum = 0;
        for (int i = 0; i < wordsAndWeights.length; i += 2) {
            int count = (" " + text + " ").split((String) wordsAndWeights[i], -1).length - 1;
            sum += count * ((Number) wordsAndWeights[i + 1]).doubleValue();
        }
        return sum;
    }

    private static List<String> texts(List<Evidence> evidence) {
        return evidence.stream().map(span -> span.text).collect(Collectors.toList());
    }

    @Test
    public void wordsThatWeighEnoughAreShownHeaviestFirst() {
        String text = "your parcel is held at the depot, pay 1.99";
        List<Evidence> found = evidence(text, "parcel", 1, "pay", 3, "depot", 0.5);
        assertEquals(Arrays.asList("pay", "parcel"), texts(found));
        assertEquals(34, found.get(0).start);
        assertEquals(37, found.get(0).end);
        assertEquals(3, found.get(0).weight, 0);
    }

    @Test
    public void neighboursAreOneSpanAndTheirWeightsAdd() {
        List<Evidence> found = evidence("please pay  the fee now", "pay", 1, "the", 1.33333333);
        assertEquals(Collections.singletonList("pay  the"), texts(found));
        assertEquals(2.3333, found.get(0).weight, 0);
    }

    @Test
    public void atMostFiveSpansAreShownAndNoneWhereNothingWeighs() {
        List<Evidence> found = evidence("a1 x b1 x c1 x d1 x e1 x f1 x g1", "[a-g]1", 1);
        assertEquals(5, found.size());
        assertEquals(Collections.emptyList(), evidence("see you at dinner", "dinner", 0.04));
        assertEquals(Collections.emptyList(), evidence("", "dinner", 1));
        assertThrows(UnsupportedOperationException.class, () -> evidence("a b", "b", 1).clear());
    }

    @Test
    public void aScriptWithoutSpacesIsCutIntoAFewPieces() {
        String text = "您的账户已被冻结，请立即转账到安全账户，否则后果自负";
        List<Evidence> found = evidence(text, "转账", 2);
        assertEquals(1, found.size());
        Evidence span = found.get(0);
        assertEquals(text.substring(span.start, span.end), span.text);
        assertTrue(span.text, span.text.contains("转") || span.text.contains("账"));
        assertTrue(span.text, span.text.length() < text.length() / 2);
    }

    @Test
    public void placesAreThoseOfTheMessageAsItCame() {
        String text = "\ud83d\ude00 p\0ay \ud83d now";
        Evidence pay = evidence(text, "pay", 1).get(0);
        // What the model reads has no NUL; the message's part has.
        assertEquals("p\0ay", text.substring(pay.start, pay.end));
        assertEquals("p\0ay", pay.text);
        Evidence half = evidence(text, "\ufffd", 1).get(0);
        assertEquals("\ud83d", text.substring(half.start, half.end));
        assertEquals("\ufffd", half.text);
    }

    @Test
    public void ofAPartOnlyThatPartIsExplained() {
        String text = "pay here, pay\0 there, pay nowhere";
        String read = MessageText.clean(text);
        int begin = read.indexOf("pay there");
        int stop = read.indexOf(", pay nowhere");
        Pieces pieces = TOKENIZER.pieces(read);
        int first = 0;
        while (pieces.end(first) <= begin) first++;
        int after = first;
        while (pieces.start(after) < stop) after++;
        List<String> asked = new ArrayList<>();
        List<Evidence> found = Explanation.of(
                text,
                pieces.slice(first, after),
                begin,
                stop,
                part -> {
                    asked.add(part);
                    return logOdds(part, "pay", 1);
                },
                1);
        assertEquals(Arrays.asList(" there", "pay "), asked);
        assertEquals(Collections.singletonList("pay"), texts(found));
        assertEquals(text.indexOf("pay\0 there"), found.get(0).start);
    }

    @Test
    public void eachUnitOfWhatIsReadComesFromThatUnitOfTheMessage() {
        String long4000 = String.join("", Collections.nCopies(1000, "a\0\ud83d\ude00b"));
        String[] texts = {"", "a\0b\ud83d\ude00c", "\ud83dx\0", long4000, long4000 + "x", "x" + long4000 + long4000};
        for (String text : texts) {
            String read = MessageText.clean(text);
            int[] places = MessageText.origins(text);
            assertEquals(read.length(), places.length);
            for (int i = 0; i < places.length; i++) {
                // What is not there as it came is a lone surrogate, or the line break where the middle is left out.
                boolean isNew = read.charAt(i) == '\ufffd' || read.charAt(i) == '\n';
                if (!isNew) assertEquals(read.charAt(i), text.charAt(places[i]));
                if (i > 0) assertTrue(places[i] > places[i - 1]);
            }
        }
        assertArrayEquals(new int[] {0, 2, 3, 4, 5}, MessageText.origins("a\0b\ud83d\ude00c"));
    }

    @Test
    public void onlyAnExplainedVerdictHasEvidenceAndItIsTheSameVerdict() {
        ScamClassifier classifier = new ScamClassifier(BUNDLE, GoldenVectorsTest.goldenLogits());
        String text = "Your parcel is held at customs. Pay 1.99 at parcel-fee.example/pay today";
        Verdict scored = classifier.score(text, "de", "+6591234567");
        Verdict explained = classifier.explain(text, "de", "+6591234567");
        assertNull(scored.evidence);
        assertTrue(explained.evidence.size() > 0);
        assertEquals(scored.toString(), explained.toString());
        assertEquals(scored.forewarning, explained.forewarning);
        assertEquals(classifier.score(text, "en").forewarning, classifier.explain(text).forewarning);
        assertEquals(Collections.emptyList(), classifier.explain(" \u200b").evidence);
        assertNull(classifier.explain("", "en").forewarning);
        assertThrows(ForewarnException.class, () -> classifier.explain(null));
    }
}
