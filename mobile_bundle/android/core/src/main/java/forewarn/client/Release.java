package forewarn.client;

import java.io.IOException;
import java.io.InputStream;

/**
 * A release folder, which {@code forewarn bundle pack} makes and any web server can hand out; {@link HttpRelease} reads
 * it over HTTP. For your own HTTP client, make one of these.
 */
public interface Release {
    /**
     * Opens a file of the release as it is: what a server calls a {@code Content-Encoding} must be undone.
     *
     * @param path such as {@code index.json} or {@code objects/SHA256.z}, below the folder.
     * @throws IOException if it is not there or cannot be read; its message says why in one line.
     */
    InputStream open(String path) throws IOException;
}
