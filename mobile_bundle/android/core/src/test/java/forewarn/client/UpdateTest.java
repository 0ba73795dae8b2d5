package forewarn.client;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.zip.DeflaterOutputStream;
import org.junit.Before;
import org.junit.BeforeClass;
import org.junit.ClassRule;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Releases that {@code forewarn bundle pack} made, brought into a store whose app came with the first version. */
public class UpdateTest {
    @ClassRule
    public static final TemporaryFolder MADE = new TemporaryFolder();

    private static TestRelease release;

    @Rule
    public final TemporaryFolder temporary = new TemporaryFolder();

    private File home;
    private BundleStore store;
    private String key;

    @BeforeClass
    public static void makeRelease() throws Exception {
        release = new TestRelease(MADE.getRoot());
    }

    @Before
    public void installTheApp() throws IOException {
        home = temporary.newFolder();
        store = new BundleStore(home);
        key = release.publicKey;
        assertEquals(release.firstVersion, open().version());
        release.asked.clear();
        release.changes.clear();
    }

    /** What the app does at each start: its assets hold the first version, unsigned. */
    private Bundle open() {
        return store.open("assets", TestFiles.source(TestFiles.NANO));
    }

    @Test
    public void anUpdateFetchesWhatChangedAndGivesTheBytesThatWerePacked() throws IOException {
        Updated done = store.update(release, key);
        assertEquals(release.firstVersion, done.before);
        assertEquals(TestRelease.SECOND, done.after);
        assertTrue(done.isChanged);
        assertEquals(TestRelease.SECOND, open().version());
        assertEquals(TestRelease.sums(release.second), TestRelease.sums(open().folder()));
        // The index, and one for each of manifest, signature, model and forewarnings.
        assertEquals(release.asked.toString(), 5, release.asked.size());
        assertTrue(release.asked.toString(), release.asked.stream().anyMatch(path -> path.startsWith("deltas/")));
        long size = 0;
        for (File file : release.second.listFiles()) size += file.length();
        assertEquals(size, done.size);
        assertTrue("fetched " + done.fetched, done.fetched < 20_000);
        System.out.printf("%none weight and one forewarning: %d of %d bytes fetched%n", done.fetched, done.size);

        ScamClassifier classifier = new ScamClassifier(open(), (ids, mask) -> new float[][] {parcel()});
        assertTrue(classifier.score("a parcel", "en").forewarning.startsWith("Sham couriers"));
    }

    /** Logits of a model that finds parcels only. */
    private static float[] parcel() {
        List<Leaf> leaves = Bundle.open(TestFiles.NANO).manifest().leaves;
        float[] logits = new float[leaves.size()];
        for (int i = 0; i < logits.length; i++) logits[i] = leaves.get(i).name.equals("parcel_delivery") ? 9 : 0;
        return logits;
    }

    @Test
    public void anEmptyStoreFetchesTheWholeBundleOverHttp() throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/app/", exchange -> {
            try {
                byte[] content = release.content(exchange.getRequestURI().getPath().substring("/app/".length()));
                exchange.sendResponseHeaders(200, content.length);
                exchange.getResponseBody().write(content);
            } catch (IOException e) {
                exchange.sendResponseHeaders(404, -1);
            }
            exchange.close();
        });
        server.start();
        try {
            String address = "http://127.0.0.1:" + server.getAddress().getPort() + "/app";
            BundleStore empty = new BundleStore(new File(home, "empty"), key);
            Updated done = empty.update(new HttpRelease(address), key);
            assertEquals("", done.before);
            assertEquals(TestRelease.SECOND, done.after);
            assertTrue(done.fetched > 1_500_000 && done.fetched < done.size);
            Bundle bundle = empty.open("first", TestFiles.source(release.first));
            assertEquals(TestRelease.sums(release.second), TestRelease.sums(bundle.folder()));
            store.update(new HttpRelease(address + "/"), key);
            assertEquals(TestRelease.SECOND, open().version());

            refused(new HttpRelease(address + "/nowhere"), "index.json cannot be fetched (HTTP 404)");
        } finally {
            server.stop(0);
        }
        refused(new HttpRelease("http://127.0.0.1:9"), "index.json cannot be fetched (Connection refused");
        for (String address : new String[] {"", "release", "ftp://x/y", "file:///etc"}) {
            assertThrows(address, ForewarnException.class, () -> new HttpRelease(address));
        }
    }

    @Test
    public void rollbackPutsTheVersionBackAndForth() throws IOException {
        ForewarnException none = assertThrows(ForewarnException.class, () -> store.rollback());
        assertTrue(none.getMessage(), none.getMessage().startsWith("no previous version is kept"));
        store.update(release, key);
        assertEquals(release.firstVersion, store.rollback().version());
        assertEquals(release.firstVersion, open().version());
        assertEquals(TestRelease.sums(TestFiles.NANO), TestRelease.sums(open().folder()));
        assertEquals(TestRelease.SECOND, store.rollback().version());
        assertEquals(TestRelease.SECOND, open().version());
        // What was put back before is there still, so an update to it fetches the index alone.
        store.rollback();
        Updated again = store.update(release, key);
        assertEquals(0, again.fetched);
        assertTrue(again.isChanged);
        assertEquals(TestRelease.SECOND, open().version());
        assertEquals(2, bundles());
    }

    @Test
    public void anUpdateToWhatIsThereReplacesNothingSoThatThePreviousOneStays() throws IOException {
        store.update(release, key);
        release.asked.clear();
        Updated again = store.update(release, key);
        assertFalse(again.isChanged);
        assertEquals(0, again.fetched);
        assertEquals(Arrays.asList("index.json"), release.asked);
        assertEquals(release.firstVersion, store.rollback().version());
    }

    @Test
    public void aDamagedPreviousVersionIsNotPutBack() throws IOException {
        File old = open().file("model.onnx");
        store.update(release, key);
        Files.write(old.toPath(), new byte[9]);
        assertThrows(BundleException.class, () -> store.rollback());
        assertEquals(TestRelease.SECOND, open().version());
    }

    @Test
    public void aDamagedOrMissingDifferenceIsNoReasonToGiveUp() throws IOException {
        List<UnaryOperator<byte[]>> changes = Arrays.asList(
                UpdateTest::flipped, content -> null, content -> deflated(new byte[10]), content -> new byte[0]);
        for (UnaryOperator<byte[]> change : changes) {
            installTheApp();
            release.changes.put("deltas/", change);
            store.update(release, key);
            assertEquals(TestRelease.sums(release.second), TestRelease.sums(open().folder()));
        }
    }

    @Test
    public void whatIsRefusedReplacesNothingAndLeavesNothingBehind() throws IOException {
        String damaged = "a downloaded file is damaged; nothing was replaced";
        String noIndex = "index.json is not a release's index";
        String model = TestRelease.sums(release.second).get("model.onnx");
        byte[] emptyBlocks = new byte[4_000_000]; // a stream that never ends, and holds nothing
        for (int i = 2; i + 4 < emptyBlocks.length; i += 5) emptyBlocks[i + 3] = emptyBlocks[i + 4] = (byte) 0xff;
        System.arraycopy(deflated(new byte[0]), 0, emptyBlocks, 0, 2);

        objectRefused(UpdateTest::flipped, damaged);
        objectRefused(content -> Arrays.copyOf(content, content.length - 9), damaged);
        objectRefused(content -> deflated(new byte[1 << 22]), damaged);
        objectRefused(content -> new byte[0], damaged);
        objectRefused(content -> emptyBlocks, "it is longer than the index says");
        objectRefused(content -> null, "cannot be fetched (HTTP 404); nothing was replaced");
        indexRefused(index -> null, "index.json cannot be fetched");
        indexRefused(index -> "[]", noIndex);
        indexRefused(index -> index.replace("\"format\": 1", "\"format\": 2"), "upgrade the forewarn client");
        indexRefused(index -> index.replace("\"latest\": \"" + TestRelease.SECOND, "\"latest\": \"9999.2"), noIndex);
        indexRefused(index -> index.replace("\"manifest.json\"", "\"other.json\""), noIndex);
        indexRefused(index -> index.replace(model, "../" + model.substring(3)), noIndex);
        indexRefused(index -> index.replace("\"deltas/", "\"../"), noIndex);
        indexRefused(index -> index.replace("\"model.onnx\"", "\"../model.onnx\""), noIndex);
        indexRefused(index -> index.replace("\"bytes\": ", "\"bytes\": -"), noIndex);
        indexRefused(index -> index.replace("\"bytes\": ", "\"bytes\": 9999999"), "is too large to be one of ours");
        indexRefused(index -> index.replace("\"model.onnx\"", "\"model\""), "model.onnx is missing");
        indexRefused(index -> swapped(index, "model.onnx", "tokenizer.json"), "is damaged");
        indexRefused(index -> index.replace("\"manifest.sig\"", "\"manifest.asc\""), "is not signed (no manifest.sig)");
        indexRefused(
                index -> index.replace(TestRelease.SECOND, "9999.1.1"), "the release gives 9999.1.0 out as 9999.1.1");
    }

    private void objectRefused(UnaryOperator<byte[]> change, String reason) throws IOException {
        release.changes.put("objects/", change);
        release.changes.put("deltas/", content -> null);
        refused(release, reason);
    }

    private void indexRefused(UnaryOperator<String> change, String reason) throws IOException {
        release.changes.clear();
        release.changes.put("index.json", content -> {
            String index = new String(content, StandardCharsets.UTF_8);
            String changed = change.apply(index);
            assertFalse("the change changes nothing", index.equals(changed));
            return changed == null ? null : changed.getBytes(StandardCharsets.UTF_8);
        });
        refused(release, reason);
    }

    private void refused(Release from, String reason) throws IOException {
        String before = open().version();
        List<String> there = Arrays.asList(home.list());
        ForewarnException error = assertThrows(reason, ForewarnException.class, () -> store.update(from, key));
        assertTrue(error.getMessage() + ", not " + reason, error.getMessage().contains(reason));
        assertFalse(error.getMessage(), error.getMessage().contains("\n"));
        assertEquals(before, open().version());
        for (String name : home.list()) assertTrue(name, there.contains(name) || name.equals("lock.update"));
    }

    @Test
    public void anotherKeyAndNoneAreRefused() throws IOException, GeneralSecurityException {
        key = TestFiles.pinned(TestRelease.newKey());
        refused(release, "is not signed with this key");
        // Nothing but index, manifest and signature was fetched to see that.
        assertEquals(release.asked.toString(), 3, release.asked.size());
        key = "no key";
        refused(release, "the public key is not 32 bytes in base64");
        key = null;
        refused(release, "the public key is null");
        key = release.publicKey;
        store = new BundleStore(home, TestFiles.pinned(TestRelease.newKey()));
        assertThrows(ForewarnException.class, () -> store.update(release, key));
    }

    @Test
    public void aBundleThatTheAppCannotUseIsNotPutIntoUse() throws IOException {
        List<String> tried = new ArrayList<>();
        ForewarnException error = assertThrows(ForewarnException.class, () -> store.update(release, key, bundle -> {
            tried.add(bundle.version());
            throw new ForewarnException("this phone cannot run it");
        }));
        assertEquals("this phone cannot run it", error.getMessage());
        assertEquals(Arrays.asList(TestRelease.SECOND), tried);
        assertEquals(release.firstVersion, open().version());
        assertEquals(1, bundles());
    }

    @Test
    public void theNewestOfWhatTheAppBringsAndWhatWasDownloadedIsUsed() throws IOException {
        store.update(release, key);
        File newer = copy(TestFiles.NANO, "9999.0.9");
        assertEquals(TestRelease.SECOND, store.open("assets", TestFiles.source(newer)).version());
        assertEquals(release.firstVersion, store.rollback().version());
        store.rollback();
        File newest = copy(TestFiles.NANO, "9999.1.10");
        assertEquals("9999.1.10", store.open("assets", TestFiles.source(newest)).version());
        assertEquals(1, bundles());
        // A release that is older than that brings nothing back.
        Updated none = store.update(release, key);
        assertFalse(none.isChanged);
        assertEquals("9999.1.10", none.after);
        assertEquals("9999.1.10", store.open("assets", TestFiles.source(newest)).version());
        // Where nothing came from a release, the source's is taken, whatever its version.
        assertEquals(release.firstVersion, open().version());
    }

    private File copy(File bundle, String version) throws IOException {
        File copy = TestFiles.copy(bundle, temporary.newFolder());
        TestRelease.rewrite(copy, manifest -> manifest.replace(release.firstVersion, version));
        return copy;
    }

    @Test
    public void aDownloadedBundleThatIsDamagedSinceGivesWayToTheAppsAndIsFetchedAgain() throws IOException {
        store.update(release, key);
        Files.write(open().file("tokenizer.json").toPath(), new byte[9]);
        Updated again = store.update(release, key);
        assertTrue(again.isChanged);
        assertEquals(TestRelease.sums(release.second), TestRelease.sums(open().folder()));
        Files.write(open().file("tokenizer.json").toPath(), new byte[9]);
        assertEquals(release.firstVersion, open().version());
    }

    @Test
    public void aStateThatCannotBeReadIsMadeAnew() throws IOException {
        store.update(release, key);
        for (String content : new String[] {"", "x\ny\nz\n", "../../etc\n-\n-\n"}) {
            Files.write(new File(home, StoreState.FILE).toPath(), content.getBytes(StandardCharsets.US_ASCII));
            assertEquals(release.firstVersion, open().version());
            store.update(release, key);
            assertEquals(TestRelease.SECOND, open().version());
        }
    }

    /** An app's process that dies in the middle of an update; {@code args}: home, release, key, at which file. */
    public static final class Killed {
        private static int asked;

        public static void main(String[] args) {
            int last = Integer.parseInt(args[3]);
            Release dying = path -> {
                if (++asked == last) Runtime.getRuntime().halt(9);
                return Files.newInputStream(new File(args[1], path).toPath());
            };
            new BundleStore(new File(args[0])).update(dying, args[2], bundle -> Runtime.getRuntime().halt(9));
        }
    }

    @Test
    public void anUpdateThatIsKilledLeavesTheOldBundleWholeAndTheNextOneDoesIt() throws Exception {
        // At the index, at the second and the last file, and when all is there but not put into use.
        for (int place : new int[] {1, 3, 5, 99}) {
            installTheApp();
            String java = System.getProperty("java.home") + "/bin/java";
            String[] command = {java, "-cp", System.getProperty("java.class.path"), Killed.class.getName(),
                home.getPath(), release.folder.getPath(), key, String.valueOf(place)};
            assertEquals(9, new ProcessBuilder(command).inheritIO().start().waitFor());
            boolean isHalfDone = Arrays.stream(home.list()).anyMatch(name -> name.endsWith(".part"));
            assertEquals(place > 1, isHalfDone);
            assertEquals(release.firstVersion, open().version());
            assertEquals(TestRelease.sums(TestFiles.NANO), TestRelease.sums(open().folder()));
            store.update(release, key);
            assertEquals(TestRelease.sums(release.second), TestRelease.sums(open().folder()));
            assertEquals(2, bundles());
        }
    }

    @Test
    public void whoScoresDoesNotWaitForADownloadAndTwoUpdatesDoNotMeet() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        BundleStore.Source assets = TestFiles.source(TestFiles.NANO);
        Callable<String> opening = () -> new BundleStore(home).open("assets", assets).version();
        Release watched = path -> {
            try {
                String version = threads.submit(opening).get(20, TimeUnit.SECONDS);
                assertTrue(version, version.equals(release.firstVersion) || version.equals(TestRelease.SECOND));
            } catch (Exception e) {
                throw new AssertionError(e);
            }
            return release.open(path);
        };
        List<Future<Updated>> updates = new ArrayList<>();
        for (int i = 0; i < 2; i++) updates.add(threads.submit(() -> new BundleStore(home).update(watched, key)));
        int changes = 0;
        for (Future<Updated> update : updates) changes += update.get().isChanged ? 1 : 0;
        assertEquals(1, changes);
        assertEquals(TestRelease.SECOND, open().version());
        threads.shutdown();
    }

    @Test
    public void aDifferenceIsAddedByteByByteToAsMuchOfTheOldContentAsTheNewOneHas() throws IOException {
        byte[] change = {1, (byte) 255, 3, 4};
        assertArrayEquals(new byte[] {2, 1, 1, 4}, sum(new byte[] {1, 2, (byte) 254}, change));
        assertArrayEquals(new byte[] {2, 1, 6, 8}, sum(new byte[] {1, 2, 3, 4, 5}, change));
        assertArrayEquals(new byte[0], sum(new byte[] {1}, new byte[0]));
    }

    private static byte[] sum(byte[] old, byte[] change) throws IOException {
        try (InputStream sum = new Download.Sum(new ByteArrayInputStream(old), new ByteArrayInputStream(change))) {
            return sum.readAllBytes();
        }
    }

    @Test
    public void versionsAreComparedNumberByNumber() {
        String[] rising = {"", "2025.12.9", "2026.2", "2026.2.0", "2026.11.5", "2026.11.10", "2026.11.10.1", "9999"};
        for (int i = 0; i < rising.length; i++) {
            for (int j = 0; j < rising.length; j++) {
                assertEquals(Integer.signum(i - j), Integer.signum(Version.compare(rising[i], rising[j])));
            }
        }
        assertTrue(Version.compare("2026.a", "2026.b") < 0);
    }

    /** How many bundles the store keeps. */
    private long bundles() {
        return Arrays.stream(home.list()).filter(name -> !name.startsWith("lock") && !name.equals("versions")).count();
    }

    private static byte[] flipped(byte[] content) {
        content[content.length / 2] ^= 0x10;
        return content;
    }

    private static String swapped(String index, String a, String b) {
        return index.replace(a, "?").replace(b, a).replace("?", b);
    }

    private static byte[] deflated(byte[] content) {
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (DeflaterOutputStream out = new DeflaterOutputStream(packed)) {
            out.write(content);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return packed.toByteArray();
    }
}
