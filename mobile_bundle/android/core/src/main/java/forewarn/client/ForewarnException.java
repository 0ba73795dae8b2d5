package forewarn.client;

/** Wrong use, or something missing around the client. The message is one line: what is wrong, and what to do. */
public class ForewarnException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Makes one with its line. */
    public ForewarnException(String message) {
        super(message);
    }
}
