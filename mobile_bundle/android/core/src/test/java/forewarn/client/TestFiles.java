package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.Signature;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** The shipped bundles, and copies of them to damage. Paths are from the repository's root, where the tests run. */
public final class TestFiles {
    public static final File BUNDLE = new File("mobile_bundle/standard");
    public static final File NANO = new File("mobile_bundle/nano");
    public static final List<File> BUNDLES = Arrays.asList(BUNDLE, NANO);

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
        return copy(BUNDLE, folder);
    }

    /** A copy of a bundle in an empty folder. */
    public static File copy(File bundle, File folder) throws IOException {
        for (File file : bundle.listFiles()) Files.copy(file.toPath(), folder.toPath().resolve(file.getName()));
        return folder;
    }

    /** A bundle's folder as a source, such as an app's assets. */
    static BundleStore.Source source(File folder) {
        return name -> new FileInputStream(new File(folder, name));
    }

    /** Signs a bundle's manifest. */
    static void sign(File folder, PrivateKey key) throws IOException, GeneralSecurityException {
        Signature signer = Signature.getInstance("Ed25519");
        signer.initSign(key);
        signer.update(Files.readAllBytes(folder.toPath().resolve("manifest.json")));
        Files.write(folder.toPath().resolve("manifest.sig"), signer.sign());
    }

    /** A public key as {@code forewarn bundle keygen} prints it. */
    static String pinned(KeyPair pair) {
        byte[] encoded = pair.getPublic().getEncoded();
        return Base64.getEncoder().encodeToString(Arrays.copyOfRange(encoded, encoded.length - 32, encoded.length));
    }

    /** A folder with the shipped manifest, changed, and no other file, since none is looked at before it. */
    static File withManifest(File folder, UnaryOperator<String> change) throws IOException {
        String manifest = bundleText("manifest.json");
        String changed = change.apply(manifest);
        assertFalse("the change changes nothing", changed.equals(manifest));
        Files.write(folder.toPath().resolve("manifest.json"), changed.getBytes(StandardCharsets.UTF_8));
        return folder;
    }

    /**
     * What the web client's scripts/make_fixture.py wrote: what Python makes of difficult texts. It belongs to one
     * bundle.
     */
    static Map<?, ?> fixture() {
        Map<?, ?> fixture = (Map<?, ?>) Json.parse(text(Paths.get("mobile_bundle/web/tests/fixture.json")));
        byte[] manifest = bundleText("manifest.json").getBytes(StandardCharsets.UTF_8);
        assertEquals("fixture.json was made with another bundle; run make test-android",
                Bundle.hex(Bundle.sha256().digest(manifest)), fixture.get("manifest_sha256"));
        return fixture;
    }

    /** A text, and what Python's {@code score} with {@code explain} says of it. */
    public static final class Explained {
        public final String text;
        public final String locale;
        public final String forewarning;
        public final List<Evidence> evidence = new ArrayList<>();

        Explained(Map<?, ?> item) {
            text = (String) item.get("text");
            locale = (String) item.get("locale");
            forewarning = (String) item.get("forewarning");
            for (Object span : (List<?>) item.get("evidence")) {
                Map<?, ?> part = (Map<?, ?>) span;
                int start = Tokenizer.integer(part.get("start"));
                int end = Tokenizer.integer(part.get("end"));
                evidence.add(new Evidence(start, end, (String) part.get("text"), (Double) part.get("weight")));
            }
        }
    }

    /** The texts that the fixture explains. */
    public static List<Explained> explanations() {
        List<Explained> explanations = new ArrayList<>();
        for (Object item : (List<?>) fixture().get("explanations")) explanations.add(new Explained((Map<?, ?>) item));
        return explanations;
    }
}
