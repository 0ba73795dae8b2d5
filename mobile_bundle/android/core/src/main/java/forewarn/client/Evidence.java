package forewarn.client;

/** A part of a message that made it look like a scam. */
public final class Evidence {
    /** Where it starts and ends in the message, in UTF-16 units, as {@link String#substring(int, int)} takes them. */
    public final int start;

    public final int end;
    /** The part itself; lone surrogates in it are U+FFFD. */
    public final String text;
    /** How much of the scam log-odds it carries. */
    public final double weight;

    Evidence(int start, int end, String text, double weight) {
        this.start = start;
        this.end = end;
        this.text = text;
        this.weight = weight;
    }
}
