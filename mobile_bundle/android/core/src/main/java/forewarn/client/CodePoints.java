package forewarn.client;

/** A set of characters, or a mapping of some, from a line of {@link CharacterTables}. */
final class CodePoints {
    private final int[] first;
    private final int[] last;
    /** Within a run every {@code step}th character counts, and is mapped to itself plus {@code distance}. */
    private final int[] step;

    private final int[] distance;

    /**
     * Reads runs in rising order with spaces between them, in hexadecimal.
     *
     * @param table {@code first}, {@code first-last} or {@code first-last/step+distance}; distance may be negative.
     */
    CodePoints(String table) {
        String[] runs = table.split(" ");
        first = new int[runs.length];
        last = new int[runs.length];
        step = new int[runs.length];
        distance = new int[runs.length];
        for (int i = 0; i < runs.length; i++) {
            int slash = runs[i].indexOf('/');
            String[] ends = (slash < 0 ? runs[i] : runs[i].substring(0, slash)).split("-");
            first[i] = Integer.parseInt(ends[0], 16);
            last[i] = Integer.parseInt(ends[ends.length - 1], 16);
            step[i] = slash < 0 ? 1 : Character.digit(runs[i].charAt(slash + 1), 16);
            distance[i] = slash < 0 ? 0 : Integer.parseInt(runs[i].substring(slash + 2), 16);
        }
    }

    /** Whether a character is in the set. */
    boolean contains(int code) {
        return run(code) >= 0;
    }

    /** What a character is mapped to; itself if it is not in the set. */
    int map(int code) {
        int run = run(code);
        return run < 0 ? code : code + distance[run];
    }

    /** The run that holds a character, or -1. */
    private int run(int code) {
        int low = 0;
        int high = first.length - 1;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            if (code < first[middle]) high = middle - 1;
            else if (code > last[middle]) low = middle + 1;
            else return (code - first[middle]) % step[middle] == 0 ? middle : -1;
        }
        return -1;
    }
}
