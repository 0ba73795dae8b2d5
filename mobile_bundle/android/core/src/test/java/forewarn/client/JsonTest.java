package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import org.junit.Test;

public class JsonTest {
    @Test
    public void valuesAreRead() {
        Map<?, ?> read = (Map<?, ?>) Json.parse(
                " {\"a\": [1, -0.5, 2e3, 1E-2, 0], \"b\" : {\"c\":null},\r\n\t"
                        + "\"d\": [true,false], \"\": [], \"e\": {}} ");
        assertEquals(Arrays.asList(1.0, -0.5, 2000.0, 0.01, 0.0), read.get("a"));
        assertEquals(Collections.singletonMap("c", null), read.get("b"));
        assertEquals(Arrays.asList(true, false), read.get("d"));
        assertEquals(Collections.emptyList(), read.get(""));
        assertEquals(Collections.emptyMap(), read.get("e"));
    }

    @Test
    public void escapesAreRead() {
        assertEquals(
                "\"\\/\b\f\n\r\t\u20ac\ud83d\ude00",
                Json.parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20AC\\ud83d\\ude00\""));
        assertEquals("a lone \ud83d half", Json.parse("\"a lone \\ud83d half\""));
        assertEquals("\0", Json.parse("\"\\u0000\""));
        assertEquals("\u4e2d\ud83d\ude00", Json.parse("\"\u4e2d\ud83d\ude00\""));
    }

    @Test
    public void whatIsNotJsonIsRefused() {
        String[] wrong = {
            "", " ", "{", "}", "[", "]", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
            "{'a':1}",
            "\"", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u\uff11\uff12\uff13\uff14\"", "\"a\nb\"", "\"\0\"",
            "01", "+1", "1.", ".5", "1e", "-", "--1", "0x1", "NaN", "Infinity", "1e999", "1d", "\u0661", "tru", "nulls",
            "True", "1 1", "[1]x", "\0", "1\0", "\ufeff1", "{\"a\":1,\"a\":2}", "/*c*/1",
        };
        for (String text : wrong) assertThrows(text, IllegalArgumentException.class, () -> Json.parse(text));
        String deep = String.join("", Collections.nCopies(100000, "["));
        assertThrows(IllegalArgumentException.class, () -> Json.parse(deep));
        for (byte[] bytes : new byte[][] {{'"', (byte) 0xff, '"'}, {'"', (byte) 0xed, (byte) 0xa0, (byte) 0x80, '"'}}) {
            assertThrows(IllegalArgumentException.class, () -> Json.parse(bytes));
        }
    }
}
