package forewarn.client;

import java.util.Arrays;

/** A growing list of the pieces that a text was cut into: the id of each, and where it starts and ends. */
final class Pieces {
    private int[] ids = new int[64];
    private int[] starts = new int[64];
    private int[] ends = new int[64];
    private int size;

    void add(int id, int start, int end) {
        if (size == ids.length) {
            ids = Arrays.copyOf(ids, 2 * size);
            starts = Arrays.copyOf(starts, 2 * size);
            ends = Arrays.copyOf(ends, 2 * size);
        }
        ids[size] = id;
        starts[size] = start;
        ends[size++] = end;
    }

    /** Lets the last piece start earlier. */
    void extendLast(int start) {
        starts[size - 1] = start;
    }

    int id(int i) {
        return ids[i];
    }

    int start(int i) {
        return starts[i];
    }

    int end(int i) {
        return ends[i];
    }

    int size() {
        return size;
    }

    /** Whether a piece stands for nothing of the text. */
    boolean isEmpty(int i) {
        return starts[i] >= ends[i];
    }

    /** Where the first one in the text starts; there must be one. */
    int start() {
        return Arrays.stream(starts, 0, size).min().getAsInt();
    }

    /** Where the last one in the text ends; there must be one. */
    int end() {
        return Arrays.stream(ends, 0, size).max().getAsInt();
    }

    /** The pieces from one up to another. */
    Pieces slice(int from, int to) {
        Pieces slice = new Pieces();
        for (int i = from; i < to; i++) slice.add(ids[i], starts[i], ends[i]);
        return slice;
    }

    /** Turns the pieces from one on around. */
    void reverseFrom(int first) {
        for (int i = first, j = size - 1; i < j; i++, j--) {
            swap(ids, i, j);
            swap(starts, i, j);
            swap(ends, i, j);
        }
    }

    /**
     * Moves the pieces from one on from where they are in a normalised text to where they come from.
     *
     * @param shift of how many units before the normalised text these places know; such a unit stands for the text's
     *     first character.
     * @param offset where the raw text of {@code normalised} starts in the whole.
     */
    void traceFrom(int first, Traced normalised, int shift, int offset) {
        for (int i = first; i < size; i++) {
            starts[i] = offset + normalised.start(Math.max(0, starts[i] - shift));
            ends[i] = offset + normalised.end(Math.max(0, ends[i] - 1 - shift));
        }
    }

    private static void swap(int[] values, int i, int j) {
        int value = values[i];
        values[i] = values[j];
        values[j] = value;
    }
}
