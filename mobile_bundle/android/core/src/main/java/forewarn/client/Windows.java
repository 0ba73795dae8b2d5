package forewarn.client;

import java.util.ArrayList;
import java.util.List;

/** How a text that is longer than the model reads at once is read: in windows, of which the riskiest decides. */
final class Windows {
    /** Beyond it windows lie apart: 4000 characters have as many windows only where each of them is a piece or two. */
    static final int MAX_WINDOWS = 16;

    private Windows() {}

    /**
     * The pieces of each window of a text, in order; one window, which may be empty, of a text that is read at once.
     *
     * @param room pieces that a window holds.
     */
    static List<Pieces> of(Pieces pieces, int room) {
        List<Pieces> windows = new ArrayList<>();
        for (int start : starts(pieces.size(), room)) {
            windows.add(pieces.slice(start, Math.min(start + room, pieces.size())));
        }
        return windows;
    }

    /**
     * Where the windows of a text begin: at its first piece, so that the last one ends with it, and evenly between.
     *
     * <p>Neighbours share a quarter, so that a trick on the border of one stands whole in another, unless the text has
     * more than {@link #MAX_WINDOWS} of them.
     *
     * @param pieces pieces of the text.
     * @param room pieces that a window holds.
     */
    static int[] starts(int pieces, int room) {
        if (pieces <= room) return new int[] {0};
        int beyond = pieces - room;
        int step = Math.max(1, room * 3 / 4);
        int[] starts = new int[Math.min(MAX_WINDOWS, 1 + (beyond + step - 1) / step)];
        for (int i = 0; i < starts.length; i++) starts[i] = i * beyond / (starts.length - 1);
        return starts;
    }
}
