package forewarn.client;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.util.Enumeration;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * Gives a bundle in an app's assets, or in a .zip, a folder of its own, since ONNX Runtime reads the model from a path.
 *
 * <p>The folder is named by the sha256 of the bundle's manifest, which holds the sha256 of every other file. A bundle
 * that is there already is only checked; a newer one gets another folder, and then the older one is deleted. A folder
 * appears whole and checked, or not at all. Several threads and processes may open the same bundle at once.
 */
public final class BundleStore {
    /** Where a bundle's files are read from. */
    public interface Source {
        /**
         * Opens a file of the bundle.
         *
         * @param name its name, without any folder.
         * @throws FileNotFoundException if there is none of this name.
         * @throws IOException if it cannot be read.
         */
        InputStream open(String name) throws IOException;
    }

    /** A shipped bundle is at most 20 MB; the limits only keep a hostile .zip from filling the device. */
    private static final long MOST_BYTES = 1L << 28;

    private static final int MOST_HEAD_BYTES = 1 << 20;

    private final File home;
    private final String publicKey;
    private final long mostBytes;

    /**
     * A store of one bundle.
     *
     * @param home the folder that the bundle's folder is made in; it is the store's own, where no other app can write.
     */
    public BundleStore(File home) {
        this(home, null, MOST_BYTES);
    }

    /**
     * A store of one bundle that must be signed; see {@link Bundle#open(File, String)}.
     *
     * @param home as for {@link #BundleStore(File)}.
     * @param publicKey the Ed25519 key that must have signed it, in base64.
     */
    public BundleStore(File home, String publicKey) {
        this(home, publicKey, MOST_BYTES);
        if (publicKey == null) throw new ForewarnException("the public key is null; pin the key that signs the bundle");
    }

    BundleStore(File home, String publicKey, long mostBytes) {
        this.home = home;
        this.publicKey = publicKey;
        this.mostBytes = mostBytes;
    }

    /**
     * The bundle of a .zip, as {@code forewarn export} writes it or with the folder's name before each file's.
     *
     * @throws BundleException if it is damaged, foreign, too large or not signed as it must be.
     * @throws ForewarnException if the store cannot be written.
     */
    public Bundle openZip(File zip) {
        try (ZipFile archive = new ZipFile(zip)) {
            String folder = folder(archive);
            return open(zip.toString(), name -> {
                ZipEntry entry = archive.getEntry(folder + name);
                if (entry == null) throw new FileNotFoundException();
                return archive.getInputStream(entry);
            });
        } catch (IOException | IllegalArgumentException e) { // the latter of names that are in no known encoding
            throw new BundleException("bundle " + zip + ": not a readable .zip; copy or download it again");
        }
    }

    /**
     * The bundle of a source.
     *
     * @param where what to call the source in errors, such as {@code "assets/forewarn"}.
     * @throws BundleException if it is damaged, foreign, too large or not signed as it must be.
     * @throws ForewarnException if the store cannot be written.
     */
    public Bundle open(String where, Source source) {
        byte[] head = head(where, source);
        if (!home.isDirectory() && !home.mkdirs() && !home.isDirectory()) throw unwritable();
        // The lock keeps out other processes, and only those.
        synchronized (BundleStore.class) {
            try (RandomAccessFile lock = new RandomAccessFile(new File(home, "lock"), "rw")) {
                lock.getChannel().lock(); // until it is closed
                Bundle bundle = opened(where, source, head);
                deleteOthers(bundle);
                return bundle;
            } catch (IOException e) {
                throw unwritable();
            }
        }
    }

    private Bundle opened(String where, Source source, byte[] head) throws IOException {
        File folder = new File(home, Bundle.hex(Bundle.sha256().digest(head)));
        try {
            return Bundle.check(where, folder, publicKey);
        } catch (BundleException e) {
            // Not there yet, or damaged since; what is wrong with the source itself is found below.
        }
        File fresh = new File(home, folder.getName() + ".new");
        delete(fresh);
        delete(folder);
        if (!fresh.mkdir()) throw unwritable();
        try {
            Files.write(new File(fresh, Bundle.MANIFEST).toPath(), head);
            long left = mostBytes;
            if (publicKey != null) left = copy(where, source, ManifestSignature.FILE, fresh, left);
            for (String name : new Manifest(where, head).files.keySet()) {
                left = copy(where, source, name, fresh, left);
            }
            Bundle.check(where, fresh, publicKey);
            if (!fresh.renameTo(folder)) throw unwritable();
        } finally {
            delete(fresh);
        }
        return Bundle.check(where, folder, publicKey);
    }

    /** The manifest, which is believed only where its signature fits, if there must be one. */
    private byte[] head(String where, Source source) {
        byte[] head = content(where, source, Bundle.MANIFEST);
        if (head == null) throw Bundle.noManifest(where);
        if (publicKey != null) {
            byte[] signature = content(where, source, ManifestSignature.FILE);
            if (signature == null) throw ManifestSignature.missing(where);
            ManifestSignature.verify(where, head, signature, publicKey);
        }
        return head;
    }

    /** A small file of a source; null where there is none. */
    private static byte[] content(String where, Source source, String name) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        try (InputStream in = source.open(name)) {
            pump(where, name, in, content, MOST_HEAD_BYTES);
        } catch (FileNotFoundException e) {
            return null;
        } catch (IOException e) {
            throw damaged(where, name);
        }
        return content.toByteArray();
    }

    /** Copies a file of at most {@code most} bytes, and says how many of them it leaves. */
    private static long copy(String where, Source source, String name, File folder, long most) throws IOException {
        InputStream in;
        try {
            in = source.open(name);
        } catch (FileNotFoundException e) {
            throw Bundle.missing(where, name);
        } catch (IOException e) {
            throw damaged(where, name);
        }
        try (InputStream from = in; OutputStream out = new FileOutputStream(new File(folder, name))) {
            return pump(where, name, from, out, most);
        }
    }

    private static long pump(String where, String name, InputStream in, OutputStream out, long most)
            throws IOException {
        byte[] buffer = new byte[1 << 16];
        long left = most;
        for (int n = read(where, name, in, buffer); n >= 0; n = read(where, name, in, buffer)) {
            left -= n;
            if (left < 0) {
                throw new BundleException("bundle " + where + ": " + name + " is too large to be one of ours");
            }
            out.write(buffer, 0, n);
        }
        return left;
    }

    /** Tells a source that cannot be read from a store that cannot be written. */
    private static int read(String where, String name, InputStream in, byte[] buffer) {
        try {
            return in.read(buffer);
        } catch (IOException e) {
            throw damaged(where, name);
        }
    }

    private static BundleException damaged(String where, String name) {
        return new BundleException("bundle " + where + ": " + name + " is damaged; " + Bundle.AGAIN);
    }

    /** What stands before the names of the bundle's files in an archive. */
    private static String folder(ZipFile archive) {
        String folder = null;
        for (Enumeration<? extends ZipEntry> entries = archive.entries(); entries.hasMoreElements(); ) {
            String name = entries.nextElement().getName();
            String before = name.substring(0, name.lastIndexOf('/') + 1);
            boolean isManifest = name.equals(before + Bundle.MANIFEST);
            if (isManifest && (folder == null || before.length() < folder.length())) folder = before;
        }
        return folder == null ? "" : folder;
    }

    private void deleteOthers(Bundle bundle) {
        File[] all = home.listFiles();
        if (all == null) return;
        for (File other : all) {
            // Whatever else lies there, because somebody took a folder that is not the store's own, is left alone.
            boolean ours = other.getName().matches("[0-9a-f]{64}(\\.new)?");
            if (ours && !other.equals(bundle.folder())) delete(other);
        }
    }

    /** Deletes a bundle's folder, as far as possible; what is left of an old one is tried again next time. */
    private static void delete(File folder) {
        File[] files = folder.listFiles();
        if (files != null) for (File file : files) file.delete();
        folder.delete();
    }

    private ForewarnException unwritable() {
        return new ForewarnException(home + " cannot be written; free some space, or use a folder of the app's own");
    }
}
