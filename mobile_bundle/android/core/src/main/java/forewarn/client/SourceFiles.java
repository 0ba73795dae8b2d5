package forewarn.client;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;

/** The files of a bundle in a {@link BundleStore.Source}, and copying them into a folder. */
final class SourceFiles {
    private static final int MOST_HEAD_BYTES = 1 << 20;

    private final String where;
    private final BundleStore.Source source;
    private final String publicKey;

    /**
     * Of a source.
     *
     * @param where what to call it in errors.
     * @param publicKey that must have signed its bundle; null where nobody need have.
     */
    SourceFiles(String where, BundleStore.Source source, String publicKey) {
        this.where = where;
        this.source = source;
        this.publicKey = publicKey;
    }

    /** The manifest, which is believed only where its signature fits, if there must be one. */
    byte[] head() {
        byte[] head = content(Bundle.MANIFEST);
        if (head == null) throw Bundle.noManifest(where);
        if (publicKey != null) {
            byte[] signature = content(ManifestSignature.FILE);
            if (signature == null) throw ManifestSignature.missing(where);
            ManifestSignature.verify(where, head, signature, publicKey);
        }
        return head;
    }

    /**
     * Copies the bundle, which is not checked yet, into an empty folder.
     *
     * @param head what {@link #head} gave.
     * @param mostBytes of all files together.
     * @throws IOException if the folder cannot be written.
     * @throws BundleException if a file is missing, damaged or too large.
     */
    void copy(byte[] head, File folder, long mostBytes) throws IOException {
        Files.write(new File(folder, Bundle.MANIFEST).toPath(), head);
        long left = mostBytes;
        if (publicKey != null) left = copy(ManifestSignature.FILE, folder, left);
        for (String name : new Manifest(where, head).files.keySet()) left = copy(name, folder, left);
    }

    /** A small file; null where there is none. */
    private byte[] content(String name) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        try (InputStream in = source.open(name)) {
            pump(name, in, content, MOST_HEAD_BYTES);
        } catch (FileNotFoundException e) {
            return null;
        } catch (IOException e) {
            throw damaged(name);
        }
        return content.toByteArray();
    }

    /** Copies a file of at most {@code most} bytes, and says how many of them it leaves. */
    private long copy(String name, File folder, long most) throws IOException {
        InputStream in;
        try {
            in = source.open(name);
        } catch (FileNotFoundException e) {
            throw Bundle.missing(where, name);
        } catch (IOException e) {
            throw damaged(name);
        }
        try (InputStream from = in; OutputStream out = new FileOutputStream(new File(folder, name))) {
            return pump(name, from, out, most);
        }
    }

    private long pump(String name, InputStream in, OutputStream out, long most) throws IOException {
        byte[] buffer = new byte[1 << 16];
        long left = most;
        for (int n = read(name, in, buffer); n >= 0; n = read(name, in, buffer)) {
            left -= n;
            if (left < 0) {
                throw new BundleException("bundle " + where + ": " + name + " is too large to be one of ours");
            }
            out.write(buffer, 0, n);
        }
        return left;
    }

    /** Tells a source that cannot be read from a store that cannot be written. */
    private int read(String name, InputStream in, byte[] buffer) {
        try {
            return in.read(buffer);
        } catch (IOException e) {
            throw damaged(name);
        }
    }

    private BundleException damaged(String name) {
        return new BundleException("bundle " + where + ": " + name + " is damaged; " + Bundle.AGAIN);
    }
}
