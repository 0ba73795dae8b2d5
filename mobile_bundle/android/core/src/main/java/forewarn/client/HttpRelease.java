package forewarn.client;

import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.MalformedURLException;
import java.net.URL;

/** A release folder over HTTP. A request carries nothing but the address, and what Java's own client adds to it. */
public final class HttpRelease implements Release {
    private static final int TIMEOUT_MS = 60_000;

    private final String address;

    /**
     * A release at an address.
     *
     * @param address of the folder that holds {@code index.json}: https, or http where the app allows it.
     * @throws ForewarnException if it is none.
     */
    public HttpRelease(String address) {
        this.address = address.endsWith("/") ? address : address + "/";
        try {
            String protocol = new URL(this.address).getProtocol();
            if (protocol.equals("https") || protocol.equals("http")) return;
        } catch (MalformedURLException e) {
            // Falls through to the one line for every address that is none.
        }
        throw new ForewarnException("the release's address does not start with https://; give the release's folder");
    }

    /** Opens a file of the release; any answer but 200 is an {@link IOException} that says which. */
    @Override
    public InputStream open(String path) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(address + path).openConnection();
        connection.setConnectTimeout(TIMEOUT_MS);
        connection.setReadTimeout(TIMEOUT_MS);
        // A damaged answer must not come again from a cache.
        connection.setUseCaches(false);
        // The files are compressed already.
        connection.setRequestProperty("Accept-Encoding", "identity");
        int status = connection.getResponseCode();
        if (status != HttpURLConnection.HTTP_OK) {
            connection.disconnect();
            throw new IOException("HTTP " + status);
        }
        return connection.getInputStream();
    }
}
