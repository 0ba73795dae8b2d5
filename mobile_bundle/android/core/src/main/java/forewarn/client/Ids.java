package forewarn.client;

import java.util.Arrays;

/** A growing list of ids. */
final class Ids {
    private int[] ids = new int[64];
    private int size;

    void add(int id) {
        if (size == ids.length) ids = Arrays.copyOf(ids, 2 * size);
        ids[size++] = id;
    }

    int get(int i) {
        return ids[i];
    }

    int size() {
        return size;
    }

    /** Turns the ids from a place to the end around. */
    void reverseFrom(int start) {
        for (int i = start, j = size - 1; i < j; i++, j--) {
            int id = ids[i];
            ids[i] = ids[j];
            ids[j] = id;
        }
    }
}
