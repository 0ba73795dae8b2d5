package forewarn.android;

import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class SeenMessagesTest {
    private final SeenMessages seen = new SeenMessages();

    @Test
    public void aMessageIsNewOnceInAConversation() {
        assertEquals("hello", seen.unseen("a", "hello"));
        assertEquals("", seen.unseen("a", "hello"));
        assertEquals("hello", seen.unseen("b", "hello"));
        assertEquals("hello?", seen.unseen("a", "hello?"));
    }

    @Test
    public void ofATextThatGrowsOnlyTheNewLinesAreNew() {
        assertEquals("one", seen.unseen("a", "one"));
        assertEquals("two", seen.unseen("a", "one\ntwo"));
        assertEquals("three\nfour", seen.unseen("a", "one\ntwo\nthree\nfour"));
        assertEquals("", seen.unseen("a", "one\ntwo\nthree\nfour"));
        assertEquals("other\ntwo", seen.unseen("a", "other\ntwo"));
        assertEquals("\none", seen.unseen("a", "\none"));
    }

    @Test
    public void oldOnesAreForgottenWhileNewOnesCome() {
        seen.unseen("a", "old");
        seen.unseen("c", "kept");
        for (int i = 0; i < 5000; i++) {
            seen.unseen("b", "message " + i);
            assertEquals("", seen.unseen("c", "kept"));
        }
        assertEquals("old", seen.unseen("a", "old"));
    }
}
