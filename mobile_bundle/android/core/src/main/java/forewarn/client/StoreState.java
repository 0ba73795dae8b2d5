package forewarn.client;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;

/** Which of a store's bundles is in use; each is named by the sha256 of its manifest, as its folder is. */
final class StoreState {
    /** The file that it is kept in: a line each, in the order below. */
    static final String FILE = "versions";

    private static final String NONE = "-";
    private static final Pattern LINE = Pattern.compile("[0-9a-f]{64}|" + NONE);

    /** The one in use; null where there is none yet. */
    final String current;
    /** The one before, for a rollback; null where there is none. */
    final String previous;
    /** The last one that was taken from a source, such as the app's assets, and not from a release; may be null. */
    final String source;

    StoreState(String current, String previous, String source) {
        this.current = current;
        this.previous = previous;
        this.source = source;
    }

    /** What a store's folder says; nothing where it says nothing that can be read. */
    static StoreState read(File home) {
        try {
            List<String> lines = Files.readAllLines(new File(home, FILE).toPath(), StandardCharsets.US_ASCII);
            if (lines.size() == 3 && lines.stream().allMatch(line -> LINE.matcher(line).matches())) {
                return new StoreState(name(lines.get(0)), name(lines.get(1)), name(lines.get(2)));
            }
        } catch (IOException e) {
            // A new store, or a damaged one, which is made anew.
        }
        return new StoreState(null, null, null);
    }

    /** After a bundle was taken from a source: what was there before it is no longer needed. */
    StoreState opened(String name) {
        return name.equals(current) ? this : new StoreState(name, null, name);
    }

    /** After a bundle came from a release. */
    StoreState updated(String name) {
        return name.equals(current) ? this : new StoreState(name, current, source);
    }

    /** After the bundle before was put back. */
    StoreState rolledBack() {
        return new StoreState(previous, current, source);
    }

    /** Whether the bundle in use came from a release. */
    boolean isUpdated() {
        return current != null && !current.equals(source);
    }

    /** Puts it into a store's folder, in one step: there is the old state or the new one. */
    void write(File home) throws IOException {
        File fresh = new File(home, FILE + ".new");
        List<String> lines = Arrays.asList(line(current), line(previous), line(source));
        try (FileOutputStream out = new FileOutputStream(fresh)) {
            out.write((String.join("\n", lines) + "\n").getBytes(StandardCharsets.US_ASCII));
            out.getFD().sync();
        }
        Files.move(fresh.toPath(), new File(home, FILE).toPath(), StandardCopyOption.ATOMIC_MOVE);
    }

    private static String name(String line) {
        return line.equals(NONE) ? null : line;
    }

    private static String line(String name) {
        return name == null ? NONE : name;
    }
}
