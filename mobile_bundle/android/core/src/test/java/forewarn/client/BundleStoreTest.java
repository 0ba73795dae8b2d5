package forewarn.client;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class BundleStoreTest {
    @Rule
    public final TemporaryFolder temporary = new TemporaryFolder();

    private File home;
    private BundleStore store;

    @Before
    public void makeStore() throws IOException {
        home = new File(temporary.newFolder(), "made/on/demand");
        store = new BundleStore(home);
    }

    @Test
    public void aZipGivesTheBundleThatItHolds() throws IOException {
        for (String folder : new String[] {"", "standard/", "a/b/"}) {
            Bundle bundle = store.openZip(zip(TestFiles.BUNDLE, folder));
            assertArrayEquals(Bundle.open(TestFiles.BUNDLE).read("model.onnx"), bundle.read("model.onnx"));
            assertEquals(home, bundle.file("model.onnx").getParentFile().getParentFile());
        }
    }

    @Test
    public void whatIsThereAlreadyIsNotWrittenAgain() throws IOException {
        File zip = zip(TestFiles.BUNDLE, "");
        File model = store.openZip(zip).file("model.onnx");
        assertTrue(model.setLastModified(0));
        assertEquals(model, store.openZip(zip).file("model.onnx"));
        BundleStore.Source folder = TestFiles.source(TestFiles.BUNDLE);
        assertEquals(model, new BundleStore(home).open("folder", folder).file("model.onnx"));
        assertEquals(0, model.lastModified());
    }

    @Test
    public void aDamagedCopyAndACopyThatWasCutShortAreMadeAgain() throws IOException {
        File zip = zip(TestFiles.BUNDLE, "");
        File model = store.openZip(zip).file("model.onnx");
        Files.write(model.toPath(), new byte[9]);
        File cut = new File(model.getParentFile() + ".new");
        assertTrue(cut.mkdir());
        Files.write(new File(cut, "manifest.json").toPath(), new byte[9]);
        assertEquals(model, store.openZip(zip).file("model.onnx"));
        assertEquals(new File(TestFiles.BUNDLE, "model.onnx").length(), model.length());
        assertFalse(cut.exists());
    }

    @Test
    public void aNewerBundleTakesThePlaceOfTheOlderAndOtherFilesStay() throws IOException {
        File old = store.openZip(zip(TestFiles.BUNDLE, "")).file("model.onnx").getParentFile();
        File other = new File(home, "somebody-elses");
        assertTrue(other.mkdir());
        File newer = TestFiles.copyTo(temporary.newFolder());
        String manifest = TestFiles.bundleText("manifest.json");
        manifest = manifest.replaceFirst("\"version\": \".+\"", "\"version\": \"9.9\"");
        Files.write(new File(newer, "manifest.json").toPath(), manifest.getBytes(StandardCharsets.UTF_8));
        assertEquals("9.9", store.open("folder", TestFiles.source(newer)).version());
        assertFalse(old.exists());
        assertTrue(other.exists());
    }

    @Test
    public void aDamagedOrForeignZipIsRefusedAndLeavesNothingBehind() throws IOException {
        byte[] right = Files.readAllBytes(zip(TestFiles.BUNDLE, "").toPath());
        File file = temporary.newFile();
        for (int part : new int[] {0, 1, 50, 99}) {
            Files.write(file.toPath(), Arrays.copyOf(right, right.length / 100 * part));
            refused(file, "not a readable .zip");
        }
        for (int place = right.length / 7; place < right.length - 3000; place += right.length / 7) {
            byte[] wrong = right.clone();
            wrong[place] ^= 1;
            Files.write(file.toPath(), wrong);
            refused(file, " is damaged");
        }
        refused(new File(home, "nowhere.zip"), "not a readable .zip");
        refused(zip(temporary.newFolder(), ""), "has no manifest.json; this is not a forewarn bundle");
        File folder = TestFiles.copyTo(temporary.newFolder());
        Files.delete(new File(folder, "tokenizer.json").toPath());
        refused(zip(folder, ""), "tokenizer.json is missing");
        Files.write(new File(folder, "manifest.json").toPath(), new byte[(1 << 20) + 1]);
        refused(zip(folder, ""), "manifest.json is too large to be one of ours");
        assertArrayEquals(new String[] {"lock"}, home.list());
    }

    @Test
    public void aFileOutsideTheFolderIsNeitherReadNorWritten() throws IOException {
        String manifest = TestFiles.bundleText("manifest.json").replace("\"vectors.jsonl\"", "\"../../evil\"");
        File folder = TestFiles.copyTo(temporary.newFolder());
        Files.write(new File(folder, "manifest.json").toPath(), manifest.getBytes(StandardCharsets.UTF_8));
        File zip = temporary.newFile();
        write(zip, folder, "", "../../evil");
        refused(zip, "lists a file outside the bundle");
        // One that no manifest lists is never looked at.
        write(zip, TestFiles.BUNDLE, "", "../../evil");
        store.openZip(zip);
        assertFalse(new File(home, "../evil").exists());
        assertFalse(new File(home, "../../evil").exists());
    }

    @Test
    public void aBundleThatWouldFillTheDeviceIsRefused() throws IOException {
        store = new BundleStore(home, null, 10_000_000);
        refused(zip(TestFiles.BUNDLE, ""), "model.onnx is too large to be one of ours");
    }

    @Test
    public void aStoreThatCannotBeWrittenIsSaidSo() throws IOException {
        File inTheWay = temporary.newFile();
        BundleStore nowhere = new BundleStore(new File(inTheWay, "home"));
        Exception error = assertThrows(
                ForewarnException.class, () -> nowhere.open("folder", TestFiles.source(TestFiles.BUNDLE)));
        assertTrue(error.getMessage(), error.getMessage().contains("cannot be written; free some space"));
    }

    @Test
    public void severalMayOpenItAtOnce() throws Exception {
        File zip = zip(TestFiles.BUNDLE, "");
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Future<Bundle>> opened = new ArrayList<>();
        for (int i = 0; i < 4; i++) opened.add(threads.submit(() -> new BundleStore(home).openZip(zip)));
        for (Future<Bundle> bundle : opened) assertTrue(bundle.get().file("model.onnx").isFile());
        threads.shutdown();
    }

    private void refused(File zip, String reason) {
        BundleException error = assertThrows(reason, BundleException.class, () -> store.openZip(zip));
        assertTrue(error.getMessage(), error.getMessage().contains(reason));
        assertTrue(error.getMessage(), error.getMessage().startsWith("bundle " + zip + ": "));
        assertFalse(error.getMessage(), error.getMessage().contains("\n"));
    }

    private File zip(File folder, String prefix) throws IOException {
        File zip = temporary.newFile();
        write(zip, folder, prefix, "another/manifest.json.txt");
        return zip;
    }

    /** Writes a folder's files and an empty one of another name. */
    private static void write(File zip, File folder, String prefix, String other) throws IOException {
        try (OutputStream file = Files.newOutputStream(zip.toPath());
                ZipOutputStream out = new ZipOutputStream(file)) {
            out.setLevel(1);
            for (File from : folder.listFiles()) {
                out.putNextEntry(new ZipEntry(prefix + from.getName()));
                Files.copy(from.toPath(), out);
            }
            out.putNextEntry(new ZipEntry(other));
        }
    }
}
