package forewarn.android;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Remembers which messages of which conversation were there before, since messengers post a notification again, longer,
 * with each message that comes. It keeps no text: only digests, with a salt that goes with the process.
 */
final class SeenMessages {
    private static final int MOST = 2000;

    private final byte[] salt = new byte[16];
    /** The least recently seen ones go first. */
    private final Map<Long, Boolean> digests = new LinkedHashMap<Long, Boolean>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, Boolean> eldest) {
            return size() > MOST;
        }
    };

    SeenMessages() {
        new SecureRandom().nextBytes(salt);
    }

    /**
     * What is new of a text, which counts as seen from now on.
     *
     * @param conversation anything that stays the same while a conversation grows.
     * @param text a message, or several with line breaks between them.
     * @return the text without the lines at its start that were a text before; empty if it was one as a whole.
     */
    synchronized String unseen(String conversation, String text) {
        if (!isNew(conversation, text)) return "";
        String unseen = text;
        for (int end = text.lastIndexOf('\n'); end > 0; end = text.lastIndexOf('\n', end - 1)) {
            if (digests.get(digest(conversation, text.substring(0, end))) != null) {
                unseen = text.substring(end + 1);
                break;
            }
        }
        return unseen;
    }

    private boolean isNew(String conversation, String text) {
        return digests.put(digest(conversation, text), true) == null;
    }

    private long digest(String conversation, String text) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(salt);
            digest.update(conversation.getBytes(StandardCharsets.UTF_8));
            digest.update((byte) 0);
            return ByteBuffer.wrap(digest.digest(text.getBytes(StandardCharsets.UTF_8))).getLong();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Android has SHA-256", e);
        }
    }
}
