package forewarn.client;

/** A damaged, foreign or unsigned bundle. */
public class BundleException extends ForewarnException {
    private static final long serialVersionUID = 1L;

    /** Makes one with its line. */
    public BundleException(String message) {
        super(message);
    }
}
