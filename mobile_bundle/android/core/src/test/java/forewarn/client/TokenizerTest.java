package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.BeforeClass;
import org.junit.Test;

public class TokenizerTest {
    private static final String CONTENT = TestFiles.bundleText("tokenizer.json");

    private static final int MAX_LENGTH = 128;

    private static Map<?, ?> fixture;
    private static Tokenizer tokenizer;
    private static ScamClassifier classifier;

    @BeforeClass
    public static void open() {
        fixture = TestFiles.fixture();
        tokenizer = parse(CONTENT);
        classifier = new ScamClassifier(Bundle.open(TestFiles.BUNDLE), GoldenVectorsTest.goldenLogits());
    }

    @Test
    public void idsOfDifficultTextsArePythons() {
        List<String> wrong = new ArrayList<>();
        List<?> cases = (List<?>) fixture.get("cases");
        assertTrue(cases.size() > 500);
        for (Object item : cases) {
            String text = (String) ((Map<?, ?>) item).get("text");
            int[] ids = classifier.encode(text);
            if (!list(ids).equals(((Map<?, ?>) item).get("ids"))) wrong.add(text);
            assertTrue(ids.length <= MAX_LENGTH);
        }
        assertEquals(Collections.emptyList(), wrong);
    }

    @Test
    public void piecesStandWhereTheyStandInPythonThroughEverythingThatNormalisingMoves() {
        List<String> wrong = new ArrayList<>();
        for (Object item : (List<?>) fixture.get("cases")) {
            String text = (String) ((Map<?, ?>) item).get("text");
            // Python's are those of the first window.
            Pieces pieces = Windows.of(tokenizer.pieces(MessageText.clean(text)), tokenizer.room(MAX_LENGTH)).get(0);
            List<List<Double>> places = new ArrayList<>();
            for (int i = 0; i < pieces.size(); i++) {
                if (!pieces.isEmpty(i)) places.add(list(new int[] {pieces.start(i), pieces.end(i)}));
            }
            if (!places.equals(((Map<?, ?>) item).get("pieces"))) wrong.add(text);
        }
        assertEquals(Collections.emptyList(), wrong);
    }

    @Test
    public void tracingATextGivesTheSameText() {
        Normaliser normaliser = new Normaliser((Map<?, ?>) ((Map<?, ?>) Json.parse(CONTENT)).get("normalizer"));
        List<String> wrong = new ArrayList<>();
        for (Object item : (List<?>) fixture.get("cases")) {
            String text = MessageText.clean((String) ((Map<?, ?>) item).get("text"));
            if (!normaliser.run(Traced.of(text)).text.equals(normaliser.normalise(text))) wrong.add(text);
        }
        for (int code = 0; code < 0x33800; code++) {
            if (code >= Character.MIN_SURROGATE && code <= Character.MAX_SURROGATE) continue;
            String text = "x\u0301" + new String(Character.toChars(code)) + "\u0334\u0345";
            if (!normaliser.run(Traced.of(text)).text.equals(normaliser.normalise(text))) wrong.add(text);
        }
        assertEquals(Collections.emptyList(), wrong);
    }

    @Test
    public void theSameTextsAreBlankAsInPython() {
        List<String> wrong = new ArrayList<>();
        for (Object item : (List<?>) fixture.get("cases")) {
            String text = (String) ((Map<?, ?>) item).get("text");
            Verdict verdict = classifier.score(text);
            if ((verdict.typeScore == 0) != (Boolean) ((Map<?, ?>) item).get("blank")) wrong.add(text);
        }
        assertEquals(Collections.emptyList(), wrong);
    }

    @Test
    public void aToyTokenizerCutsAsInPythonWhereCostsAreCloseOrEqual() {
        Map<?, ?> toy = (Map<?, ?>) fixture.get("toy");
        Tokenizer cutter = parse((String) toy.get("tokenizer"));
        for (Object item : (List<?>) toy.get("cases")) {
            String text = (String) ((Map<?, ?>) item).get("text");
            assertEquals(text, ((Map<?, ?>) item).get("ids"), list(cutter.framed(cutter.encode(text))));
        }
    }

    @Test
    public void everyCharacterNormalisesAndSplitsAsInPython() throws NoSuchAlgorithmException {
        int block = ((Double) fixture.get("block")).intValue();
        List<String> wrong = new ArrayList<>();
        for (Object item : (List<?>) fixture.get("characters")) {
            int start = ((Double) ((Map<?, ?>) item).get("start")).intValue();
            List<String> lines = new ArrayList<>();
            for (int code = start; code < start + block; code++) {
                if (code >= Character.MIN_SURROGATE && code <= Character.MAX_SURROGATE) continue;
                String character = new String(Character.toChars(code));
                String alone = tokenizer.normalise("a" + character + "b");
                String among = tokenizer.normalise("x\u0301" + character + "\u0334\u0345");
                int ids = tokenizer.framed(tokenizer.encode("a" + character + "1")).length;
                lines.add(alone + "|" + among + "|" + ids);
            }
            String digest = sha256(String.join("\n", lines)).substring(0, 16);
            if (!digest.equals(((Map<?, ?>) item).get("sha256"))) wrong.add("U+" + Integer.toHexString(start));
        }
        assertEquals(Collections.emptyList(), wrong);
    }

    @Test
    public void aTokenizerWithAStepThatIsNotOursIsRefused() {
        String[][] changes = {
            {"{\"type\":\"NFKC\"}", "{\"type\":\"NFKD\"}"},
            {"\"\\\\p{Cf}\"", "\"\\\\p{Cc}\""},
            {"\"type\":\"Metaspace\"", "\"type\":\"Whitespace\""},
            {"\"individual_digits\":true}", "\"individual_digits\":true},{\"type\":\"Punctuation\"}"},
            {"\"individual_digits\":true", "\"individual_digits\":false"},
            {"\"type\":\"Unigram\"", "\"type\":\"WordPiece\""},
            {"\"byte_fallback\":false", "\"byte_fallback\":true"},
            {"\"lstrip\":false", "\"lstrip\":true"},
            {"\"type\":\"TemplateProcessing\"", "\"type\":\"BertProcessing\""},
        };
        String compact = CONTENT.replaceAll("(?m)^\\s+|(?<=[:,])[ \n]+(?=[\\[{\"tfn0-9-])", "").replace("\n", "");
        for (String[] change : changes) {
            assertTrue(change[0], compact.contains(change[0]));
            BundleException error = assertThrows(
                    change[1], BundleException.class, () -> parse(compact.replace(change[0], change[1])));
            assertTrue(error.getMessage(), error.getMessage().contains("upgrade the forewarn client"));
        }
    }

    @Test
    public void whatIsNoTokenizerIsRefused() {
        for (String content : new String[] {"", "{", "[]", "null", "{}", "{\"added_tokens\": 1}"}) {
            BundleException error = assertThrows(content, BundleException.class, () -> parse(content));
            assertTrue(error.getMessage().contains("is not a tokenizer"));
        }
    }

    private static Tokenizer parse(String content) {
        return Tokenizer.parse(content.getBytes(StandardCharsets.UTF_8));
    }

    private static List<Double> list(int[] ids) {
        List<Double> list = new ArrayList<>();
        for (int id : ids) list.add((double) id);
        return list;
    }

    private static String sha256(String text) throws NoSuchAlgorithmException {
        StringBuilder hex = new StringBuilder();
        for (byte b : MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8))) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }
}
