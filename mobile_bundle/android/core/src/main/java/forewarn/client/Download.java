package forewarn.client;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.InflaterInputStream;

/** Brings the files of a release's bundle into a folder, out of what is on the device already as far as possible. */
final class Download {
    /** What to call the bundle in errors. */
    static final String WHERE = "from the release";

    private static final int MOST_INDEX_BYTES = 1 << 24;
    private static final int BUFFER_BYTES = 1 << 16;
    private static final String NOTHING_REPLACED = "nothing was replaced, try again";

    private final Release release;
    /** Our own files, by the sha256 of what they hold: a file may have another name in the other version. */
    private final Map<String, File> local = new HashMap<>();

    /**
     * Of a release, beside folders whose files may be used; they may be missing or damaged.
     *
     * @param folders bundles on this device.
     */
    Download(Release release, List<File> folders) {
        this.release = release;
        for (File folder : folders) {
            File[] files = folder.listFiles(File::isFile);
            if (files == null) continue;
            for (File file : files) {
                String sha256 = sha256(file);
                if (sha256 != null) local.put(sha256, file);
            }
        }
    }

    /**
     * The release's index.
     *
     * @throws ForewarnException if it cannot be fetched.
     * @throws BundleException if it is none.
     */
    static ReleaseIndex index(Release release) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] buffer = new byte[BUFFER_BYTES];
        try (Fetched in = new Fetched(release, ReleaseIndex.FILE, MOST_INDEX_BYTES)) {
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) content.write(buffer, 0, n);
        } catch (IOException e) {
            throw unfetched(ReleaseIndex.FILE, e);
        }
        return ReleaseIndex.parse(content.toByteArray());
    }

    /**
     * Writes the files of the bundle, each checked against the index, into an empty folder.
     *
     * @param publicKey the key that must have signed its manifest.
     * @return the bytes that were fetched.
     * @throws IOException if the folder cannot be written.
     * @throws ForewarnException if something cannot be fetched, or this device cannot check signatures.
     * @throws BundleException if what came is damaged or not signed with the key.
     */
    long bring(ReleaseIndex index, File folder, String publicKey) throws IOException {
        long fetched = 0;
        Map<String, ReleaseIndex.Entry> left = new LinkedHashMap<>(index.files);
        for (String name : new String[] {Bundle.MANIFEST, ManifestSignature.FILE}) {
            ReleaseIndex.Entry entry = left.remove(name);
            if (entry != null) fetched += bring(entry, new File(folder, name));
        }
        // Before the large files: they are not fetched day after day to find that their signature cannot be checked.
        Bundle.manifest(WHERE, folder, publicKey);
        for (Map.Entry<String, ReleaseIndex.Entry> file : left.entrySet()) {
            fetched += bring(file.getValue(), new File(folder, file.getKey()));
        }
        return fetched;
    }

    /** Writes a file from our own copy, by a difference to one, or whole; gives the bytes that were fetched for it. */
    private long bring(ReleaseIndex.Entry entry, File target) throws IOException {
        File own = local.get(entry.sha256);
        if (own != null && copies(own, entry, target)) return 0;
        for (Map.Entry<String, String> delta : entry.deltas.entrySet()) {
            File old = local.get(delta.getKey());
            if (old == null) continue;
            try {
                return change(old, delta.getValue(), entry, target);
            } catch (ForewarnException e) {
                // A difference that is damaged or gone is no reason to give up: the whole file is there too.
            }
        }
        try (Fetched packed = new Fetched(release, entry.path(), mostPacked(entry))) {
            write(new InflaterInputStream(packed), entry, target);
            return packed.count;
        }
    }

    private static boolean copies(File own, ReleaseIndex.Entry entry, File target) throws IOException {
        try (InputStream in = new FileInputStream(own)) {
            write(in, entry, target);
            return true;
        } catch (ForewarnException e) {
            return false; // it is not what it was a moment ago
        }
    }

    private long change(File old, String path, ReleaseIndex.Entry entry, File target) throws IOException {
        try (InputStream base = new FileInputStream(old);
                Fetched packed = new Fetched(release, path, mostPacked(entry))) {
            write(new Sum(base, new InflaterInputStream(packed)), entry, target);
            return packed.count;
        }
    }

    /** Writes exactly what an entry says; whatever cannot be read is damaged. */
    private static void write(InputStream in, ReleaseIndex.Entry entry, File target) throws IOException {
        MessageDigest digest = Bundle.sha256();
        byte[] buffer = new byte[BUFFER_BYTES];
        long left = entry.bytes;
        try (FileOutputStream out = new FileOutputStream(target)) {
            for (int n = read(in, buffer); n >= 0; n = read(in, buffer)) {
                left -= n;
                if (left < 0) throw damaged();
                digest.update(buffer, 0, n);
                out.write(buffer, 0, n);
            }
            out.getFD().sync();
        }
        if (left != 0 || !Bundle.hex(digest.digest()).equals(entry.sha256)) throw damaged();
    }

    private static int read(InputStream in, byte[] buffer) {
        try {
            return in.read(buffer);
        } catch (IOException e) {
            throw damaged(); // not what zlib made; the network's own errors are told apart in Fetched
        }
    }

    /** The sha256 of a file; null if it cannot be read. */
    private static String sha256(File file) {
        MessageDigest digest = Bundle.sha256();
        byte[] buffer = new byte[BUFFER_BYTES];
        try (InputStream in = new FileInputStream(file)) {
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) digest.update(buffer, 0, n);
        } catch (IOException e) {
            return null;
        }
        return Bundle.hex(digest.digest());
    }

    /** No compression makes more of a file than this. */
    private static long mostPacked(ReleaseIndex.Entry entry) {
        return entry.bytes + (entry.bytes >> 8) + 64;
    }

    private static BundleException damaged() {
        return new BundleException("a downloaded file is damaged; " + NOTHING_REPLACED);
    }

    private static ForewarnException unfetched(String path, IOException e) {
        String reason = e.getMessage();
        if (reason == null || reason.indexOf('\n') >= 0) reason = e.getClass().getSimpleName();
        return new ForewarnException(path + " cannot be fetched (" + reason + "); " + NOTHING_REPLACED);
    }

    /** A file of a release as it comes, counted; its errors are lines for people. */
    private static final class Fetched extends FilterInputStream {
        final String path;
        final long most;
        long count;

        Fetched(Release release, String path, long most) {
            super(open(release, path));
            this.path = path;
            this.most = most;
        }

        private static InputStream open(Release release, String path) {
            try {
                return release.open(path);
            } catch (IOException e) {
                throw unfetched(path, e);
            }
        }

        @Override
        public int read() {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] buffer, int start, int length) {
            int n;
            try {
                n = super.read(buffer, start, length);
            } catch (IOException e) {
                throw unfetched(path, e);
            }
            count += Math.max(0, n);
            if (count > most) throw unfetched(path, new IOException("it is longer than the index says"));
            return n;
        }
    }

    /** The old content, cut or filled with zeros to the length of a change, plus the change, byte by byte. */
    static final class Sum extends FilterInputStream {
        private final InputStream change;
        private byte[] old = new byte[0];

        Sum(InputStream base, InputStream change) {
            super(base);
            this.change = change;
        }

        @Override
        public int read(byte[] buffer, int start, int length) throws IOException {
            int n = change.read(buffer, start, length);
            if (old.length < n) old = new byte[n];
            int have = 0;
            for (int got = 0; have < n && got >= 0; have += Math.max(0, got)) got = super.read(old, have, n - have);
            for (int i = 0; i < have; i++) buffer[start + i] += old[i];
            return n;
        }
    }
}
