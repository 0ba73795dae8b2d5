package forewarn.client;

import java.util.Arrays;

/**
 * A text on its way through the normaliser, and, if somebody wants to know, where its characters come from in the raw
 * text, as the {@code tokenizers} library counts it.
 *
 * <p>Each character that a step puts out stands for one that went in: the one that it replaces, or, where a step puts
 * out more characters than went in, the one before. Characters that are dropped or merged into another stand for
 * nothing.
 */
final class Traced {
    final String text;
    /** For each UTF-16 unit where the character that it stands for starts and ends; null if nobody wants to know. */
    private final int[] starts;

    private final int[] ends;

    private Traced(String text, int[] starts, int[] ends) {
        this.text = text;
        this.starts = starts;
        this.ends = ends;
    }

    /** The raw text itself, of which only the result counts. */
    static Traced untraced(String text) {
        return new Traced(text, null, null);
    }

    /** The raw text itself. */
    static Traced of(String text) {
        int[] starts = new int[text.length()];
        int[] ends = new int[text.length()];
        for (int i = 0, next; i < text.length(); i = next) {
            next = i + Character.charCount(text.codePointAt(i));
            Arrays.fill(starts, i, next, i);
            Arrays.fill(ends, i, next, next);
        }
        return new Traced(text, starts, ends);
    }

    /** Where the character that a UTF-16 unit stands for starts in the raw text. */
    int start(int place) {
        return starts[place];
    }

    /** Where the character that a UTF-16 unit stands for ends in the raw text. */
    int end(int place) {
        return ends[place];
    }

    /** Collects what a step makes of this text. */
    Output output() {
        return new Output(this);
    }

    /** What a step puts out. */
    static final class Output {
        private final Traced input;
        private final StringBuilder text;
        private int[] starts;
        private int[] ends;

        private Output(Traced input) {
            this.input = input;
            text = new StringBuilder(input.text.length());
            starts = isTraced() ? new int[input.text.length()] : null;
            ends = isTraced() ? new int[input.text.length()] : null;
        }

        /** Whether somebody wants to know where characters come from. */
        boolean isTraced() {
            return input.starts != null;
        }

        /** Puts out characters that all stand for the one at a place of the input. */
        void put(CharSequence characters, int place) {
            int from = text.length();
            text.append(characters);
            if (isTraced()) stand(from, place);
        }

        /** Puts out a character that stands for the one at a place of the input. */
        void put(int code, int place) {
            int from = text.length();
            text.appendCodePoint(code);
            if (isTraced()) stand(from, place);
        }

        /** Puts out a part of the input as it is. */
        void copy(int start, int end) {
            for (int i = start; i < end; i++) put(input.text.charAt(i), i);
        }

        Traced done() {
            return new Traced(text.toString(), starts, ends);
        }

        private void stand(int from, int place) {
            int to = text.length();
            if (to > starts.length) {
                starts = Arrays.copyOf(starts, 2 * to);
                ends = Arrays.copyOf(ends, 2 * to);
            }
            Arrays.fill(starts, from, to, input.starts[place]);
            Arrays.fill(ends, from, to, input.ends[place]);
        }
    }
}
