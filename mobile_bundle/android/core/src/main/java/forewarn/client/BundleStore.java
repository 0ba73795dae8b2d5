package forewarn.client;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;
import java.util.function.Consumer;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * Gives a bundle in an app's assets, or in a .zip, a folder of its own, since ONNX Runtime reads the model from a path,
 * and brings it up to date from a release.
 *
 * <p>The folder is named by the sha256 of the bundle's manifest, which holds the sha256 of every other file. A bundle
 * that is there already is only checked; a newer one gets another folder, and then the older one is deleted, but for
 * the one that an update replaced. A folder appears whole and checked, or not at all, and a file of a few lines says
 * which one is in use. Several threads and processes may use the same store at once.
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

    /** What a killed update may leave, which the next one deletes. */
    private static final String PART = "[0-9a-f]{64}\\.part";

    /** Held by an update while it downloads, so that two do not meet, and nobody who only scores must wait. */
    private static final Object UPDATING = new Object();

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
     * The bundle of a .zip, as {@code forewarn export} writes it or with the folder's name before each file's; or the
     * one that an update has put in its place, as {@link #open} says.
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
     * The bundle of a source, or the one that an update has put in its place, unless the source's is newer.
     *
     * @param where what to call the source in errors, such as {@code "assets/forewarn"}.
     * @throws BundleException if it is damaged, foreign, too large or not signed as it must be.
     * @throws ForewarnException if the store cannot be written.
     */
    public Bundle open(String where, Source source) {
        SourceFiles files = new SourceFiles(where, source, publicKey);
        byte[] head = files.head();
        return locked(() -> {
            StoreState state = StoreState.read(home);
            Bundle updated = state.isUpdated() ? whole(state.current, publicKey) : null;
            if (updated != null && Version.compare(updated.version(), new Manifest(where, head).version) >= 0) {
                return updated;
            }
            Bundle bundle = opened(where, files, head);
            use(state, state.opened(bundle.folder().getName()));
            return bundle;
        });
    }

    /** As {@link #update(Release, String, Consumer)}, with nothing to try. */
    public Updated update(Release release, String key) {
        return update(release, key, bundle -> {});
    }

    /**
     * Brings the bundle to the release's latest version; the one that was there is kept for {@link #rollback}.
     *
     * <p>Of what is there already nothing is fetched, and of what changed a little only the difference. Everything is
     * checked before anything is replaced: sizes, every sha256, the signature, the version. A release with the version
     * that is in use, or an older one, replaces nothing. What is in use goes on working meanwhile; {@link #open} gives
     * the new bundle from then on.
     *
     * @param key the Ed25519 key that must have signed it, in base64, as {@code forewarn bundle keygen} prints it; pin
     *     it in the app. Of a store with a key of its own it is the same one.
     * @param trial gets the checked bundle before it is put into use; if it throws, nothing is replaced.
     * @throws BundleException if what came is damaged or not signed with the key.
     * @throws ForewarnException if something cannot be fetched, the store cannot be written, or this device cannot
     *     check Ed25519 signatures.
     */
    public Updated update(Release release, String key, Consumer<Bundle> trial) {
        if (key == null) throw new ForewarnException("the public key is null; pin the key that signs the release");
        if (publicKey != null && !publicKey.equals(key)) {
            throw new ForewarnException("the release's key is not the store's; sign both with the same key");
        }
        makeHome();
        synchronized (UPDATING) {
            try (RandomAccessFile lock = lockFile("lock.update")) {
                lock.getChannel().lock(); // until it is closed
                return updated(release, key, trial);
            } catch (IOException e) {
                throw unwritable();
            }
        }
    }

    /**
     * Puts the bundle back that the last update replaced, and which becomes the previous one in turn.
     *
     * @return the bundle that is in use now.
     * @throws ForewarnException if none is kept, or the store cannot be written.
     * @throws BundleException if it is damaged; nothing is changed then.
     */
    public Bundle rollback() {
        return locked(() -> {
            StoreState state = StoreState.read(home);
            if (state.previous == null) {
                throw new ForewarnException("no previous version is kept; there is one after an update");
            }
            File folder = new File(home, state.previous);
            Bundle bundle = Bundle.check(folder.toString(), folder, publicKey);
            use(state, state.rolledBack());
            return bundle;
        });
    }

    private Bundle opened(String where, SourceFiles files, byte[] head) throws IOException {
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
            files.copy(head, fresh, mostBytes);
            Bundle bundle = Bundle.check(where, fresh, publicKey);
            if (!fresh.renameTo(folder)) throw unwritable();
            return bundle.in(folder);
        } finally {
            delete(fresh);
        }
    }

    private Updated updated(Release release, String key, Consumer<Bundle> trial) throws IOException {
        deleteAll(PART);
        ReleaseIndex index = Download.index(release);
        if (index.bytes > mostBytes) {
            throw new BundleException("the release's bundle is too large to be one of ours; use another release");
        }
        StoreState state = StoreState.read(home);
        Bundle current = state.current == null ? null : whole(state.current, publicKey);
        String before = current == null ? "" : current.version();
        // Going back is for rollback: nobody who can only change the index may bring an old model back.
        if (Version.compare(index.version, before) < 0) return new Updated(before, before, false, 0, index.bytes);

        String name = index.files.get(Bundle.MANIFEST).sha256;
        File fresh = new File(home, name + ".part");
        long fetched = 0;
        try {
            Bundle bundle = whole(name, key); // the one in use, or the one before
            if (bundle == null) {
                if (!fresh.mkdir()) throw unwritable();
                fetched = new Download(release, folders(state)).bring(index, fresh, key);
                bundle = Bundle.check(Download.WHERE, fresh, key);
            }
            if (!bundle.version().equals(index.version)) {
                throw new BundleException("the release gives " + bundle.version() + " out as " + index.version
                        + "; use another release");
            }
            boolean isChanged = current == null || !name.equals(state.current);
            if (isChanged) {
                trial.accept(bundle);
                locked(() -> {
                    moveIn(fresh, name);
                    StoreState now = StoreState.read(home); // a source may have been opened meanwhile
                    use(now, now.updated(name));
                    return null;
                });
            }
            return new Updated(before, index.version, isChanged, fetched, index.bytes);
        } finally {
            delete(fresh);
        }
    }

    /** Gives a checked bundle its place, unless it is there already. */
    private void moveIn(File fresh, String name) {
        if (!fresh.exists() || whole(name, publicKey) != null) return;
        File folder = new File(home, name);
        delete(folder);
        if (!fresh.renameTo(folder)) throw unwritable();
    }

    /** The bundle of this name; null where there is none, a damaged one, or one that the key has not signed. */
    private Bundle whole(String name, String key) {
        File folder = new File(home, name);
        try {
            return Bundle.check(folder.toString(), folder, key);
        } catch (BundleException e) {
            return null;
        }
    }

    private List<File> folders(StoreState state) {
        List<File> folders = new ArrayList<>();
        for (String name : new String[] {state.current, state.previous}) {
            if (name != null) folders.add(new File(home, name));
        }
        return folders;
    }

    /** Work on the store, while nobody else works on it. */
    private interface Work<T> {
        T run() throws IOException;
    }

    private <T> T locked(Work<T> work) {
        makeHome();
        // The lock keeps out other processes, and only those.
        synchronized (BundleStore.class) {
            try (RandomAccessFile lock = lockFile("lock")) {
                lock.getChannel().lock(); // until it is closed
                return work.run();
            } catch (IOException e) {
                throw unwritable();
            }
        }
    }

    private void makeHome() {
        if (!home.isDirectory() && !home.mkdirs() && !home.isDirectory()) throw unwritable();
    }

    private RandomAccessFile lockFile(String name) throws IOException {
        return new RandomAccessFile(new File(home, name), "rw");
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

    /** Puts a state into use, and deletes the bundles that it does not name. */
    private void use(StoreState before, StoreState state) throws IOException {
        if (state != before) state.write(home);
        // Whatever else lies there, because somebody took a folder that is not the store's own, is left alone.
        deleteAll("(?!" + state.current + "$|" + state.previous + "$)[0-9a-f]{64}(\\.new)?");
    }

    private void deleteAll(String names) {
        File[] all = home.listFiles((folder, name) -> name.matches(names));
        if (all != null) for (File bundle : all) delete(bundle);
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
