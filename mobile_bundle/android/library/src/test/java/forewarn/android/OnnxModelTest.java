package forewarn.android;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import forewarn.client.Bundle;
import forewarn.client.BundleException;
import forewarn.client.ForewarnException;
import forewarn.client.GoldenVectors;
import forewarn.client.ScamClassifier;
import forewarn.client.TestFiles;
import forewarn.client.Verdict;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.AfterClass;
import org.junit.BeforeClass;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** The shipped model on the real ONNX Runtime, through the class that runs it on a phone. */
public class OnnxModelTest {
    private static final List<String> TEXTS = Arrays.asList(
            "Your parcel is held. Pay the 1.99 fee today: post-redeliver.example/pay",
            "Hi mum, this is my new number. Can you send 400 now?",
            "Are we still on for dinner at 7?",
            "Your code is 481 920. Do not share it with anyone.",
            "20 % off all shoes this weekend in our shop on Main Street",
            "您的账户已被冻结，请点击链接验证 http://x.example",
            "");

    private static final Bundle BUNDLE = Bundle.open(TestFiles.BUNDLE);
    private static OnnxModel model;
    private static ScamClassifier classifier;

    @Rule
    public final TemporaryFolder temporary = new TemporaryFolder();

    @BeforeClass
    public static void load() {
        long start = System.nanoTime();
        model = new OnnxModel(BUNDLE.file("model.onnx"));
        classifier = new ScamClassifier(BUNDLE, model);
        System.out.printf(Locale.ROOT, "%nmodel loaded in %.0f ms%n", (System.nanoTime() - start) / 1e6);
    }

    @AfterClass
    public static void close() {
        model.close();
    }

    @Test
    public void everyGoldenVectorIsGiven() {
        everyVectorIsGiven("standard", BUNDLE, classifier);
        Bundle nano = Bundle.open(TestFiles.NANO);
        try (OnnxModel small = new OnnxModel(nano.file("model.onnx"))) {
            everyVectorIsGiven("nano", nano, new ScamClassifier(nano, small));
        }
    }

    private static void everyVectorIsGiven(String name, Bundle bundle, ScamClassifier classifier) {
        GoldenVectors report = GoldenVectors.check(classifier, bundle.read("vectors.jsonl"));
        assertEquals(Collections.emptyList(), report.failures);
        assertTrue("only " + report.count, report.count >= 50);
        System.out.printf(
                Locale.ROOT, "%n%s: %d golden vectors: farthest logit %.1e, farthest risk %.1e; %s%n",
                name, report.count, report.worstLogit, report.worstRisk, times(classifier));
    }

    private static String times(ScamClassifier classifier) {
        long[] times = new long[200];
        for (int i = 0; i < times.length; i++) {
            long start = System.nanoTime();
            classifier.score(TEXTS.get(i % TEXTS.size()));
            times[i] = System.nanoTime() - start;
        }
        Arrays.sort(times);
        return String.format(Locale.ROOT, "a short message %.1f ms at the median", times[times.length / 2] / 1e6);
    }

    @Test
    public void aBatchGivesEachMessageTheVerdictThatItHasAlone() {
        List<Verdict> batch = classifier.scoreBatch(TEXTS, "en");
        assertEquals(TEXTS.size(), batch.size());
        for (int i = 0; i < TEXTS.size(); i++) {
            assertEquals(classifier.score(TEXTS.get(i), "en").toString(), batch.get(i).toString());
        }
        assertEquals(Verdict.Action.ALLOW, batch.get(2).action);
        assertEquals(Verdict.Name.SCAM, batch.get(0).verdict);
    }

    @Test
    public void rowsOfOneRunAreRowsOfLogits() {
        long[] parcel = row(TEXTS.get(0));
        long[] ones = new long[parcel.length];
        Arrays.fill(ones, 1);
        float[][] logits = model.logits(new long[][] {parcel, parcel}, new long[][] {ones, ones});
        assertEquals(2, logits.length);
        for (float[] row : logits) assertArrayEquals(classifier.logits(TEXTS.get(0)), row, 1e-4f);
    }

    @Test
    public void threadsMayShareIt() throws Exception {
        List<Verdict> alone = classifier.scoreBatch(TEXTS);
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Future<List<Verdict>>> together = new ArrayList<>();
        for (int i = 0; i < 20; i++) together.add(threads.submit(() -> classifier.scoreBatch(TEXTS)));
        for (Future<List<Verdict>> verdicts : together) assertEquals(alone.toString(), verdicts.get().toString());
        threads.shutdown();
    }

    @Test
    public void aModelMayBeClosedWhileOthersRunIt() throws Exception {
        OnnxModel closing = new OnnxModel(BUNDLE.file("model.onnx"));
        ScamClassifier scoring = new ScamClassifier(BUNDLE, closing);
        ExecutorService threads = Executors.newFixedThreadPool(2);
        List<Future<ForewarnException>> refused = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            refused.add(threads.submit(() -> assertThrows(ForewarnException.class, () -> {
                while (true) scoring.score(TEXTS.get(0));
            })));
        }
        Thread.sleep(100);
        closing.close();
        closing.close();
        for (Future<ForewarnException> error : refused) {
            assertTrue(error.get().getMessage().startsWith("the model is closed"));
        }
        threads.shutdown();
    }

    @Test
    public void aDamagedBundleIsRefusedBeforeItsModelIsLoaded() throws IOException {
        for (File bundle : TestFiles.BUNDLES) {
            File folder = TestFiles.copy(bundle, temporary.newFolder());
            Path file = new File(folder, "model.onnx").toPath();
            byte[] content = Files.readAllBytes(file);
            content[content.length / 3] ^= 1;
            Files.write(file, content);
            assertThrows(BundleException.class, () -> Bundle.open(folder));
        }
    }

    @Test
    public void whatIsNoModelIsRefusedInOneLine() throws IOException {
        byte[] right = BUNDLE.read("model.onnx");
        byte[] newer = right.clone();
        assertEquals("the format's version stands first", 8, newer[0]);
        newer[1] = 100;
        byte[][] contents = {new byte[0], {1, 2, 3}, Arrays.copyOf(right, right.length / 2), newer};
        File file = temporary.newFile("model.onnx");
        for (byte[] content : contents) {
            Files.write(file.toPath(), content);
            refused(file);
        }
        refused(BUNDLE.file("tokenizer.json"));
        refused(new File(temporary.getRoot(), "nowhere.onnx"));
        refused(temporary.getRoot());
    }

    @Test
    public void rowsThatDoNotFitAreRefusedInOneLine() {
        long[][] ragged = {{2, 3}, {2, 5, 3}};
        long[][] outside = {{2, 9_999_999, 3}};
        for (long[][] ids : new long[][][] {ragged, outside}) {
            ForewarnException error = assertThrows(ForewarnException.class, () -> model.logits(ids, ids));
            assertTrue(error.getMessage(), error.getMessage().startsWith("the model cannot be run ("));
            assertFalse(error.getMessage(), error.getMessage().contains("\n"));
        }
    }

    private static void refused(File file) {
        BundleException error = assertThrows(file.getName(), BundleException.class, () -> new OnnxModel(file));
        assertTrue(error.getMessage(), error.getMessage().startsWith(file + " cannot be loaded ("));
        assertFalse(error.getMessage(), error.getMessage().contains("\n"));
    }

    private static long[] row(String text) {
        return Arrays.stream(classifier.encode(text)).asLongStream().toArray();
    }
}
