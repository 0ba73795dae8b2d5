package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;

/** Two signed versions of the nano bundle, and a release of both that {@code forewarn bundle pack} made. */
final class TestRelease implements Release {
    /** The version of the second one: one weight of its model has moved, and one forewarning says it otherwise. */
    static final String SECOND = "9999.1.0";

    final File first;
    final File second;
    final File folder;
    final KeyPair key = newKey();
    final String publicKey = TestFiles.pinned(key);
    final String firstVersion = Bundle.open(TestFiles.NANO).version();
    /** What was asked for, in order. */
    final List<String> asked = Collections.synchronizedList(new ArrayList<>());
    /** What is given out instead of a file, by a part of its path; null is nothing. */
    final Map<String, UnaryOperator<byte[]>> changes = new HashMap<>();

    TestRelease(File home) throws IOException, GeneralSecurityException, InterruptedException {
        first = new File(home, "first");
        second = new File(home, "second");
        folder = new File(home, "release");
        for (File bundle : new File[] {first, second}) {
            assertTrue(bundle.mkdir());
            TestFiles.copy(TestFiles.NANO, bundle);
        }
        byte[] model = Files.readAllBytes(new File(second, "model.onnx").toPath());
        model[model.length / 2] ^= 1; // nearly all of the file is weights
        change(second, "model.onnx", model);
        String forewarnings = TestFiles.text(new File(second, "forewarnings.json").toPath());
        assertTrue(forewarnings.contains("Fake couriers"));
        forewarnings = forewarnings.replace("Fake couriers", "Sham couriers");
        change(second, "forewarnings.json", forewarnings.getBytes(StandardCharsets.UTF_8));
        rewrite(second, manifest -> manifest.replace(firstVersion, SECOND));
        for (File bundle : new File[] {first, second}) {
            TestFiles.sign(bundle, key.getPrivate());
            pack(bundle);
        }
    }

    static KeyPair newKey() throws GeneralSecurityException {
        return KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
    }

    /** Adds a bundle to the release, with the program that a developer packs with. */
    void pack(File bundle) throws IOException, InterruptedException {
        String python = System.getenv().getOrDefault("PYTHON", ".venv/bin/python");
        String[] command = {python, "-m", "forewarn.inference.cli", "bundle", "pack", bundle.getPath(), "--to",
            folder.getPath()};
        assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor());
    }

    /** Changes a file of a bundle, and what its manifest says of it. */
    static void change(File bundle, String name, byte[] content) throws IOException {
        File file = new File(bundle, name);
        String before = Bundle.hex(Bundle.sha256().digest(Files.readAllBytes(file.toPath())));
        Files.write(file.toPath(), content);
        String after = Bundle.hex(Bundle.sha256().digest(content));
        rewrite(bundle, manifest -> manifest.replace(before, after));
    }

    static void rewrite(File bundle, UnaryOperator<String> change) throws IOException {
        File manifest = new File(bundle, "manifest.json");
        String changed = change.apply(TestFiles.text(manifest.toPath()));
        Files.write(manifest.toPath(), changed.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public InputStream open(String path) throws IOException {
        asked.add(path);
        return new ByteArrayInputStream(content(path));
    }

    /** What is given out for a path, changed where it is to be. */
    byte[] content(String path) throws IOException {
        File file = new File(folder, path);
        byte[] content = file.isFile() ? Files.readAllBytes(file.toPath()) : null;
        for (Map.Entry<String, UnaryOperator<byte[]>> change : changes.entrySet()) {
            if (content != null && path.contains(change.getKey())) content = change.getValue().apply(content);
        }
        if (content == null) throw new FileNotFoundException("HTTP 404");
        return content;
    }

    /** The sha256 of each file of a folder, by name. */
    static Map<String, String> sums(File folder) throws IOException {
        Map<String, String> sums = new TreeMap<>();
        for (File file : folder.listFiles()) {
            sums.put(file.getName(), Bundle.hex(Bundle.sha256().digest(Files.readAllBytes(file.toPath()))));
        }
        return sums;
    }
}
