package forewarn.client;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** What a release's index.json says of its latest version, checked. */
final class ReleaseIndex {
    static final String FILE = "index.json";

    private static final int FORMAT = 1;
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
    private static final Pattern DELTA = Pattern.compile("deltas/[0-9a-f]+-[0-9a-f]+[.]z");

    /** A file of the bundle, and how to get it. */
    static final class Entry {
        final String sha256;
        final long bytes;
        /** Where the difference to an older file lies, by that one's sha256. */
        final Map<String, String> deltas = new LinkedHashMap<>();

        private Entry(Map<?, ?> entry) {
            sha256 = (String) entry.get("sha256");
            require(SHA256.matcher(sha256).matches());
            double size = (Double) entry.get("bytes");
            bytes = (long) size;
            require(bytes == size && bytes >= 0);
            for (Map.Entry<?, ?> delta : ((Map<?, ?>) entry.get("deltas")).entrySet()) {
                String path = (String) ((Map<?, ?>) delta.getValue()).get("path");
                require(DELTA.matcher(path).matches());
                deltas.put((String) delta.getKey(), path);
            }
        }

        /** Where the whole file lies. */
        String path() {
            return "objects/" + sha256 + ".z";
        }
    }

    final String version;
    /** By name. */
    final Map<String, Entry> files = new LinkedHashMap<>();
    /** Of all files together. */
    final long bytes;

    /**
     * Reads the content of an index.json.
     *
     * @throws BundleException if it is none, or of another format.
     */
    static ReleaseIndex parse(byte[] json) {
        try {
            return new ReleaseIndex((Map<?, ?>) Json.parse(json));
        } catch (IllegalArgumentException | ClassCastException | NullPointerException e) {
            throw new BundleException(FILE + " is not a release's index; make it with `forewarn bundle pack`");
        }
    }

    private ReleaseIndex(Map<?, ?> index) {
        int format = Tokenizer.integer(index.get("format"));
        if (format != FORMAT) {
            throw new BundleException(FILE + " has format " + format + ", this version reads " + FORMAT
                    + "; upgrade the forewarn client");
        }
        version = (String) index.get("latest");
        Map<?, ?> latest = (Map<?, ?>) ((Map<?, ?>) index.get("versions")).get(version);
        long sum = 0;
        for (Map.Entry<?, ?> file : ((Map<?, ?>) latest.get("files")).entrySet()) {
            String name = (String) file.getKey();
            require(Manifest.isFileName(name));
            Entry entry = new Entry((Map<?, ?>) file.getValue());
            files.put(name, entry);
            sum += entry.bytes;
        }
        require(files.containsKey(Bundle.MANIFEST));
        bytes = sum;
    }

    private static void require(boolean condition) {
        if (!condition) throw new IllegalArgumentException("not an index");
    }
}
