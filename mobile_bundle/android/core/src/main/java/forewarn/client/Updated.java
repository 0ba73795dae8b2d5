package forewarn.client;

/** What an update did. */
public final class Updated {
    /** The version before; empty where there was none, or a damaged one. */
    public final String before;
    /** The version that is there now. */
    public final String after;
    /** Whether another bundle is in use now. */
    public final boolean isChanged;
    /** Bytes that were fetched, the index aside. */
    public final long fetched;
    /** Bytes of the release's bundle. */
    public final long size;

    Updated(String before, String after, boolean isChanged, long fetched, long size) {
        this.before = before;
        this.after = after;
        this.isChanged = isChanged;
        this.fetched = fetched;
        this.size = size;
    }
}
