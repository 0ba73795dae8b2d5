package forewarn.client;

import java.security.GeneralSecurityException;
import java.security.InvalidKeyException;
import java.security.KeyFactory;
import java.security.NoSuchAlgorithmException;
import java.security.PublicKey;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;

/** Ed25519 signatures of a bundle's manifest, which holds the checksum of every other file (RFC 8032). */
final class ManifestSignature {
    static final String FILE = "manifest.sig";

    private static final int KEY_BYTES = 32;
    private static final int SIGNATURE_BYTES = 64;
    /** What stands before the key's 32 bytes in a SubjectPublicKeyInfo (RFC 8410). */
    private static final byte[] X509_HEAD = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

    private ManifestSignature() {}

    /**
     * Checks that a signature is the key's on exactly these bytes.
     *
     * @param where the bundle's place, for messages.
     * @param manifest manifest.json as it lies there.
     * @param signature manifest.sig, 64 bytes.
     * @param publicKey 32 bytes in base64, as {@code forewarn bundle keygen} prints them.
     * @throws BundleException if it is not.
     * @throws ForewarnException if the key is none, or no security provider here knows Ed25519.
     */
    static void verify(String where, byte[] manifest, byte[] signature, String publicKey) {
        byte[] key = decode(publicKey);
        try {
            Signature verifier = Signature.getInstance("Ed25519");
            verifier.initVerify(publicKey(key));
            verifier.update(manifest);
            // The JDK's verifier overlooks bytes after the signature.
            if (signature.length == SIGNATURE_BYTES && verifier.verify(signature)) return;
        } catch (NoSuchAlgorithmException e) {
            throw new ForewarnException(
                    "no security provider here knows Ed25519, so the bundle's signature cannot be checked; add one "
                            + "(Bouncy Castle, or a current Conscrypt) with Security.insertProviderAt");
        } catch (InvalidKeySpecException | InvalidKeyException e) {
            throw notAKey();
        } catch (SignatureException e) {
            // Not of a signature's form: wrong, like one that does not fit.
        } catch (GeneralSecurityException e) {
            throw new ForewarnException("the bundle's signature cannot be checked; try another security provider");
        }
        throw new BundleException(
                "bundle " + where + ": is not signed with this key (manifest.sig does not fit manifest.json); do not "
                        + "use it, get it again from where the key comes from");
    }

    static BundleException missing(String where) {
        return new BundleException("bundle " + where + ": is not signed (no " + FILE + "); do not use it");
    }

    private static PublicKey publicKey(byte[] key) throws GeneralSecurityException {
        byte[] encoded = new byte[X509_HEAD.length + KEY_BYTES];
        System.arraycopy(X509_HEAD, 0, encoded, 0, X509_HEAD.length);
        System.arraycopy(key, 0, encoded, X509_HEAD.length, KEY_BYTES);
        return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
    }

    private static byte[] decode(String publicKey) {
        try {
            byte[] key = Base64.getDecoder().decode(publicKey);
            if (key.length == KEY_BYTES) return key;
        } catch (IllegalArgumentException e) {
            // Falls through to the one line for every key that is none.
        }
        throw notAKey();
    }

    private static ForewarnException notAKey() {
        return new ForewarnException(
                "the public key is not 32 bytes in base64; give what `forewarn bundle keygen` printed");
    }
}
