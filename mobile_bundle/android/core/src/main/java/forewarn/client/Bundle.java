package forewarn.client;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** A checked bundle folder; {@link BundleStore} makes one of a .zip and of an app's assets. */
public final class Bundle {
    static final String MANIFEST = "manifest.json";
    static final String AGAIN = "copy or download the bundle again";

    private final String where;
    private final File folder;
    private final Manifest manifest;

    private Bundle(String where, File folder, Manifest manifest) {
        this.where = where;
        this.folder = folder;
        this.manifest = manifest;
    }

    /**
     * Checks a bundle that came with the app, or otherwise from a place that you trust: its format, its manifest, and
     * the sha256 of every file that the manifest lists.
     *
     * @throws BundleException if there is none in this folder, or a damaged or foreign one.
     */
    public static Bundle open(File folder) {
        return check(folder.toString(), folder, null);
    }

    /**
     * Checks a bundle as {@link #open(File)} does, and before that who signed it.
     *
     * @param publicKey the Ed25519 key that must have signed it, in base64, as {@code forewarn bundle keygen} prints
     *     it; pin it in the app.
     * @throws BundleException if it is not signed with this key, damaged or foreign.
     * @throws ForewarnException if the key is none, or this device cannot check Ed25519 signatures.
     */
    public static Bundle open(File folder, String publicKey) {
        if (publicKey == null) throw new ForewarnException("the public key is null; pin the key that signs the bundle");
        return check(folder.toString(), folder, publicKey);
    }

    /**
     * As the two above, of a folder that somebody knows by another name.
     *
     * @param where what to call the bundle in errors.
     * @param publicKey null for a bundle that need not be signed.
     */
    static Bundle check(String where, File folder, String publicKey) {
        Bundle bundle = new Bundle(where, folder, manifest(where, folder, publicKey));
        // The model is not kept in memory here: ONNX Runtime reads it from its path.
        for (String name : bundle.manifest.files.keySet()) bundle.compare(name, digest(where, folder, name));
        return bundle;
    }

    /** The manifest of a folder, which is believed only where its signature fits, if there must be one. */
    static Manifest manifest(String where, File folder, String publicKey) {
        if (!new File(folder, MANIFEST).isFile()) throw noManifest(where);
        byte[] content = bytes(where, folder, MANIFEST);
        if (publicKey != null) {
            if (!new File(folder, ManifestSignature.FILE).isFile()) throw ManifestSignature.missing(where);
            byte[] signature = bytes(where, folder, ManifestSignature.FILE);
            ManifestSignature.verify(where, content, signature, publicKey);
        }
        return new Manifest(where, content);
    }

    static BundleException noManifest(String where) {
        return new BundleException("bundle " + where + ": has no " + MANIFEST + "; this is not a forewarn bundle");
    }

    static BundleException missing(String where, String name) {
        return new BundleException("bundle " + where + ": " + name + " is missing; " + AGAIN);
    }

    /** Version of the model. */
    public String version() {
        return manifest.version;
    }

    /**
     * A file of the bundle, which was whole when the bundle was opened; keep it where no other app can write.
     *
     * @throws BundleException if the manifest lists no such file.
     */
    public File file(String name) {
        if (!manifest.files.containsKey(name)) {
            throw new BundleException(this + ": its manifest lists no " + name);
        }
        return new File(folder, name);
    }

    /**
     * The bytes of a file of the bundle, which are checked once more.
     *
     * @throws BundleException if the manifest lists no such file, or it has been damaged since.
     */
    public byte[] read(String name) {
        byte[] content = bytes(where, folder, file(name).getName());
        compare(name, sha256().digest(content));
        return content;
    }

    /** This bundle, after its folder was renamed. */
    Bundle in(File moved) {
        return new Bundle(where, moved, manifest);
    }

    File folder() {
        return folder;
    }

    Manifest manifest() {
        return manifest;
    }

    @Override
    public String toString() {
        return "bundle " + where;
    }

    private void compare(String name, byte[] digest) {
        if (!hex(digest).equals(manifest.files.get(name))) {
            throw new BundleException(
                    this + ": " + name + " is damaged (its sha256 differs from the manifest's); " + AGAIN);
        }
    }

    static String hex(byte[] digest) {
        StringBuilder hex = new StringBuilder();
        for (byte b : digest) {
            hex.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return hex.toString();
    }

    private static byte[] digest(String where, File folder, String name) {
        MessageDigest digest = sha256();
        byte[] buffer = new byte[1 << 16];
        try (InputStream in = new FileInputStream(existing(where, folder, name))) {
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) digest.update(buffer, 0, n);
        } catch (IOException e) {
            throw unreadable(where, name);
        }
        return digest.digest();
    }

    private static byte[] bytes(String where, File folder, String name) {
        try {
            return Files.readAllBytes(existing(where, folder, name).toPath());
        } catch (IOException e) {
            throw unreadable(where, name);
        }
    }

    private static File existing(String where, File folder, String name) {
        File file = new File(folder, name);
        if (!file.exists()) throw missing(where, name);
        return file;
    }

    private static BundleException unreadable(String where, String name) {
        return new BundleException("bundle " + where + ": " + name + " cannot be read; check its permissions");
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            // Every Java and every Android has it.
            throw new ForewarnException("no security provider here knows SHA-256; add one with Security.addProvider");
        }
    }
}
