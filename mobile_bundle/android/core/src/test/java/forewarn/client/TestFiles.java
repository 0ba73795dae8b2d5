package forewarn.client;

import static org.junit.Assert.assertFalse;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.function.UnaryOperator;

/** The shipped bundle, and copies of it to damage. Paths are from the repository's root, where the tests run. */
public final class TestFiles {
    public static final File BUNDLE = new File("mobile_bundle/standard");

    private TestFiles() {}

    static String text(Path path) {
        try {
            return new String(Files.readAllBytes(path), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException(path + " cannot be read; run `make test-android` from the root");
        }
    }

    static String bundleText(String name) {
        return text(BUNDLE.toPath().resolve(name));
    }

    /** A copy of the shipped bundle in an empty folder. */
    public static File copyTo(File folder) throws IOException {
        for (File file : BUNDLE.listFiles()) Files.copy(file.toPath(), folder.toPath().resolve(file.getName()));
        return folder;
    }

    /** A folder with the shipped manifest, changed, and no other file, since none is looked at before it. */
    static File withManifest(File folder, UnaryOperator<String> change) throws IOException {
        String manifest = bundleText("manifest.json");
        String changed = change.apply(manifest);
        assertFalse("the change changes nothing", changed.equals(manifest));
        Files.write(folder.toPath().resolve("manifest.json"), changed.getBytes(StandardCharsets.UTF_8));
        return folder;
    }

    /** What the web client's scripts/make_fixture.py wrote: what Python makes of difficult texts. */
    static Path fixture() {
        return Paths.get("mobile_bundle/web/tests/fixture.json");
    }
}
