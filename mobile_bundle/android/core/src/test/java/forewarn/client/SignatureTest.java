package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.util.Arrays;
import java.util.Base64;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class SignatureTest {
    @Rule
    public final TemporaryFolder temporary = new TemporaryFolder();

    private KeyPair key;
    private File folder;
    private Path signature;

    @Before
    public void sign() throws IOException, GeneralSecurityException {
        key = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        folder = TestFiles.copyTo(temporary.newFolder());
        TestFiles.sign(folder, key.getPrivate());
        signature = folder.toPath().resolve("manifest.sig");
    }

    @Test
    public void aSignedBundleOpensWithItsKeyAndWithoutOne() {
        assertEquals(Bundle.open(folder).version(), Bundle.open(folder, TestFiles.pinned(key)).version());
    }

    @Test
    public void aStoreKeepsOnlyWhatIsSignedWithItsKey() throws IOException, GeneralSecurityException {
        File home = temporary.newFolder();
        BundleStore.Source source = TestFiles.source(folder);
        Bundle bundle = new BundleStore(home, TestFiles.pinned(key)).open("folder", source);
        assertEquals(Bundle.open(folder).version(), bundle.version());
        KeyPair other = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        BundleStore foreign = new BundleStore(home, TestFiles.pinned(other));
        assertThrows(BundleException.class, () -> foreign.open("folder", source));
        Files.delete(signature);
        assertThrows(BundleException.class, () -> new BundleStore(home, TestFiles.pinned(key)).open("folder", source));
        assertThrows(ForewarnException.class, () -> new BundleStore(home, null));
    }

    @Test
    public void anotherKeyIsRefused() throws GeneralSecurityException {
        KeyPair other = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        refused(TestFiles.pinned(other), "is not signed with this key");
    }

    @Test
    public void aDamagedSignatureIsRefused() throws IOException {
        byte[] right = Files.readAllBytes(signature);
        for (int i = 0; i < right.length; i++) {
            byte[] wrong = right.clone();
            wrong[i] ^= 1;
            Files.write(signature, wrong);
            refused(TestFiles.pinned(key), "is not signed with this key");
        }
        for (byte[] wrong : new byte[][] {{}, Arrays.copyOf(right, 63), Arrays.copyOf(right, 65), new byte[64]}) {
            Files.write(signature, wrong);
            refused(TestFiles.pinned(key), "is not signed with this key");
        }
    }

    @Test
    public void aManifestThatWasChangedIsRefusedEvenWhereItsChecksumsFit() throws IOException {
        Path manifest = folder.toPath().resolve("manifest.json");
        String changed = TestFiles.text(manifest).replaceFirst("\"threshold\": 0[.]\\d+", "\"threshold\": 0.999999");
        Files.write(manifest, changed.getBytes());
        Bundle.open(folder);
        refused(TestFiles.pinned(key), "is not signed with this key");
    }

    @Test
    public void anUnsignedBundleIsRefused() throws IOException {
        Files.delete(signature);
        refused(TestFiles.pinned(key), "is not signed (no manifest.sig)");
    }

    @Test
    public void whatIsNoKeyIsRefused() {
        for (String wrong : new String[] {"", "no base64!", "AAAA", Base64.getEncoder().encodeToString(new byte[33])}) {
            ForewarnException error = assertThrows(ForewarnException.class, () -> Bundle.open(folder, wrong));
            assertTrue(error.getMessage(), error.getMessage().startsWith("the public key is not 32 bytes in base64"));
        }
        // No point of the curve.
        byte[] off = new byte[32];
        Arrays.fill(off, (byte) 0xff);
        assertThrows(ForewarnException.class, () -> Bundle.open(folder, Base64.getEncoder().encodeToString(off)));
        // Never silently without a check.
        assertThrows(ForewarnException.class, () -> Bundle.open(folder, null));
    }

    /** RFC 8032, section 7.1, test 2: other implementations' signatures fit here. */
    @Test
    public void theRfcsSignatureFits() {
        byte[] message = {0x72};
        String publicKey = Base64.getEncoder()
                .encodeToString(hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
        byte[] signed = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        ManifestSignature.verify("test", message, signed, publicKey);
        assertThrows(
                BundleException.class, () -> ManifestSignature.verify("test", new byte[] {0x73}, signed, publicKey));
    }

    private void refused(String publicKey, String reason) {
        BundleException error = assertThrows(reason, BundleException.class, () -> Bundle.open(folder, publicKey));
        assertTrue(error.getMessage(), error.getMessage().contains(reason));
        assertFalse(error.getMessage(), error.getMessage().contains("\n"));
    }

    private static byte[] hex(String text) {
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
