package forewarn.client;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.util.Set;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class BundleTest {
    private static final Set<String> LISTED = Bundle.open(TestFiles.BUNDLE).manifest().files.keySet();

    @Rule
    public final TemporaryFolder temporary = new TemporaryFolder();

    @Test
    public void theShippedBundleOpensAndGivesItsFiles() throws IOException {
        Bundle bundle = Bundle.open(TestFiles.BUNDLE);
        File model = new File(TestFiles.BUNDLE, "model.onnx");
        assertEquals(model, bundle.file("model.onnx"));
        assertArrayEquals(Files.readAllBytes(model.toPath()), bundle.read("model.onnx"));
        assertTrue(TestFiles.bundleText("manifest.json").contains("\"version\": \"" + bundle.version() + "\""));
        assertThrows(BundleException.class, () -> bundle.file("other.bin"));
        assertThrows(BundleException.class, () -> bundle.read("manifest.json"));
    }

    @Test
    public void oneFlippedBitInAnyFileIsRefusedWhereverItIs() throws IOException {
        for (File bundle : TestFiles.BUNDLES) aFlippedBitIsRefused(TestFiles.copy(bundle, temporary.newFolder()));
    }

    private static void aFlippedBitIsRefused(File folder) throws IOException {
        for (String name : LISTED) {
            long last = new File(folder, name).length() - 1;
            for (long place : new long[] {0, last / 2, last}) {
                flip(new File(folder, name), place);
                refused(folder, name + " is damaged");
                flip(new File(folder, name), place);
            }
        }
        Bundle.open(folder);
    }

    @Test
    public void aFileThatIsDamagedAfterOpeningIsNotRead() throws IOException {
        File folder = TestFiles.copyTo(temporary.newFolder());
        Bundle bundle = Bundle.open(folder);
        flip(new File(folder, "tokenizer.json"), 100);
        assertThrows(BundleException.class, () -> bundle.read("tokenizer.json"));
    }

    @Test
    public void aBundleWithoutOneOfItsFilesIsRefused() throws IOException {
        File folder = TestFiles.copyTo(temporary.newFolder());
        for (String name : LISTED) {
            File file = new File(folder, name);
            byte[] content = Files.readAllBytes(file.toPath());
            Files.delete(file.toPath());
            refused(folder, name + " is missing");
            Files.write(file.toPath(), content);
        }
        refused(temporary.newFolder(), "has no manifest.json; this is not a forewarn bundle");
        refused(new File(folder, "nowhere"), "has no manifest.json");
        refused(new File(folder, "manifest.json"), "has no manifest.json");
    }

    @Test
    public void aForeignOrBrokenManifestIsRefusedInOneLine() throws IOException {
        String[][] changes = {
            {"^", "{", "is not JSON"},
            {"(?s).+", "[]", "is not an object"},
            {"\"format\": 1", "\"format\": 99", "upgrade the forewarn client"},
            {"\"format\": 1", "\"format\": 0.5", "bundle format is 0.5"},
            {"\"format\": 1,", "", "none that is known"},
            {"\"format\": 1", "\"format\": true", "none that is known"},
            {"\"version\"", "\"other\"", "has no model version"},
            {"\"max_length\": \\d+", "\"max_length\": 3", "max_length"},
            {"\"max_length\": \\d+", "\"max_length\": 12.5", "max_length"},
            {"\"temperature\": [0-9.]+", "\"temperature\": 0", "temperature"},
            {"\"calibration\"", "\"other\"", "has no calibration"},
            {"\"scam_bias\": [0-9.-]+", "\"scam_bias\": \"0\"", "scam_bias"},
            {"\"operating_points\"", "\"other\"", "has no operating points"},
            {"\"block\": \\{", "\"other\": {", "has no block threshold"},
            {"\"threshold\"", "\"other\"", "has no warn threshold"},
            {"\"files\"", "\"other\"", "lists no files"},
            {"\"model.onnx\"", "\"other\"", "does not list model.onnx"},
            {"\"vectors.jsonl\"", "\"../vectors.jsonl\"", "outside the bundle"},
            {"\"vectors.jsonl\"", "\"..\"", "outside the bundle"},
            {"\"vectors.jsonl\"", "\"a\\\\\\\\u0000\"", "outside the bundle"},
            {"\"sha256\"", "\"other\"", "has no sha256 for"},
            {"\"labels\"", "\"other\"", "has no label taxonomy"},
            {"\"promotion\",\n   \"legitimate\"", "\"promotion\", \"other\", \"legitimate\"", "unknown verdict"},
            {"\"verdict\": \"promotion\"", "\"verdict\": \"other\"", "has no known verdict for promotion"},
            {"\"levers\": \\[\\]", "\"levers\": [1]", "label without name or levers"},
            {"\"verdict\": \"scam\"", "\"verdict\": \"promotion\"", "has no labels for scam"},
        };
        for (String[] change : changes) {
            File folder = temporary.newFolder();
            TestFiles.withManifest(folder, manifest -> manifest.replaceAll(change[0], change[1]));
            refused(folder, change[2]);
        }
    }

    private static void refused(File folder, String reason) {
        BundleException error = assertThrows(reason, BundleException.class, () -> Bundle.open(folder));
        assertTrue(error.getMessage(), error.getMessage().contains(reason));
        assertTrue(error.getMessage(), error.getMessage().startsWith("bundle " + folder + ": "));
        assertFalse(error.getMessage(), error.getMessage().contains("\n"));
    }

    private static void flip(File file, long place) throws IOException {
        try (RandomAccessFile content = new RandomAccessFile(file, "rw")) {
            content.seek(place);
            int bits = content.read();
            content.seek(place);
            content.write(bits ^ 1);
        }
    }
}
