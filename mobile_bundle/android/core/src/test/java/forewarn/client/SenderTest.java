package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.Test;

/** What Python's own sender hint gives, as the web client's scripts/make_fixture.py wrote it. */
public class SenderTest {
    private final Map<?, ?> senders = (Map<?, ?>) TestFiles.fixture().get("senders");

    @Test
    public void theTablesArePythons() {
        assertEquals(new HashSet<>((List<?>) senders.get("institutional")), Sender.INSTITUTIONAL);
        assertEquals(senders.get("calling_codes"), Sender.CALLING_CODES);
    }

    @Test
    public void everySenderAddsWhatItAddsInPython() {
        List<?> types = (List<?>) senders.get("types");
        for (Object item : (List<?>) senders.get("added")) {
            Map<?, ?> line = (Map<?, ?>) item;
            List<?> added = (List<?>) line.get("added");
            for (int i = 0; i < types.size(); i++) {
                double got = Sender.logOdds(
                        (String) line.get("sender"), (String) types.get(i), (String) line.get("locale"));
                assertEquals(line.get("sender") + " " + line.get("locale"), (Double) added.get(i), got, 1e-12);
            }
        }
    }

    @Test
    public void verdictsMoveAsInPython() {
        ScamClassifier classifier =
                new ScamClassifier(Bundle.open(TestFiles.BUNDLE), GoldenVectorsTest.goldenLogits());
        int moved = 0;
        for (Object item : (List<?>) senders.get("verdicts")) {
            Map<?, ?> wanted = (Map<?, ?>) item;
            String text = (String) wanted.get("text");
            Verdict got = classifier.score(text, "en-SG", (String) wanted.get("sender"));
            assertEquals((Double) wanted.get("risk"), got.risk, 1e-5);
            assertEquals(wanted.get("action"), got.action.toString());
            if (got.risk != classifier.score(text, "en-SG").risk) moved++;
        }
        assertTrue("no verdict moved", moved > 0);
    }

    @Test
    public void certaintyStaysAndDoubtMovesUpOnly() {
        assertEquals(0, Sender.moved(0, 1.7), 0);
        assertEquals(1, Sender.moved(1, 1.7), 0);
        assertEquals(0.5, Sender.moved(0.5, 0), 0);
        assertEquals(1 / (1 + Math.exp(-1.7)), Sender.moved(0.5, 1.7), 1e-12);
    }

    @Test
    public void aTextThatIsAllowedIsNotBlockedForItsSender() {
        Decision decision = DecisionTest.decision(1, 0, 0.51, 0.6);
        float[] half = {0, -90, -90, -0.01f, -90};
        assertEquals(Verdict.Action.ALLOW, decision.decide(half, "en-SG", null).action);
        Verdict moved = decision.decide(half, "en-SG", "+44 7700 900123");
        assertTrue("risk " + moved.risk, moved.risk > 0.8);
        assertEquals(Verdict.Action.WARN, moved.action);
        assertEquals("No prize.", moved.forewarning);
    }
}
