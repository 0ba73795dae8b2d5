package forewarn.client;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A strict JSON reader (RFC 8259): objects become maps, arrays lists, numbers doubles.
 *
 * <p>It refuses what a bundle never holds: a name twice in one object, numbers beyond a double, nesting over 64 deep.
 */
final class Json {
    private static final int DEEPEST = 64;

    private final String text;
    /** The same names come again and again in a file: each is kept once. */
    private final Map<String, String> names = new HashMap<>();
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /**
     * Reads one JSON text.
     *
     * @param utf8 the text, which must be valid UTF-8.
     * @return a Map, List, String, Double or Boolean, or null.
     * @throws IllegalArgumentException if it is not JSON; the message holds nothing of the text.
     */
    static Object parse(byte[] utf8) {
        try {
            return parse(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString());
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("not UTF-8");
        }
    }

    /** As {@link #parse(byte[])}, of a string. */
    static Object parse(String text) {
        Json json = new Json(text);
        Object value = json.value(0);
        json.skipSpace();
        if (json.at < text.length()) throw json.wrong();
        return value;
    }

    private Object value(int depth) {
        if (depth > DEEPEST) throw wrong();
        skipSpace();
        switch (peek()) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> members = new LinkedHashMap<>();
        at++;
        skipSpace();
        if (take('}')) return members;
        do {
            skipSpace();
            if (peek() != '"') throw wrong();
            String name = names.computeIfAbsent(string(), same -> same);
            skipSpace();
            if (!take(':') || members.containsKey(name)) throw wrong();
            members.put(name, value(depth + 1));
            skipSpace();
        } while (take(','));
        if (!take('}')) throw wrong();
        return members;
    }

    private List<Object> array(int depth) {
        List<Object> items = new ArrayList<>();
        at++;
        skipSpace();
        if (take(']')) return items;
        do {
            items.add(value(depth + 1));
            skipSpace();
        } while (take(','));
        if (!take(']')) throw wrong();
        return items;
    }

    private String string() {
        int start = ++at;
        while (peek() != '"' && peek() != '\\') next();
        if (take('"')) return text.substring(start, at - 1);
        StringBuilder result = new StringBuilder(text.substring(start, at));
        while (!take('"')) {
            char c = next();
            result.append(c == '\\' ? escape() : c);
        }
        return result.toString();
    }

    private char escape() {
        char c = next();
        int which = "\"\\/bfnrt".indexOf(c);
        if (which >= 0) return "\"\\/\b\f\n\r\t".charAt(which);
        if (c != 'u') throw wrong();
        int code = 0;
        for (int i = 0; i < 4; i++) {
            char digit = next();
            int value = digit < 128 ? Character.digit(digit, 16) : -1;
            if (value < 0) throw wrong();
            code = 16 * code + value;
        }
        return (char) code;
    }

    private Double number() {
        int start = at;
        take('-');
        if (!take('0')) digits();
        if (take('.')) digits();
        if (take('e') || take('E')) {
            if (!take('-')) take('+');
            digits();
        }
        double value = Double.parseDouble(text.substring(start, at));
        if (Double.isInfinite(value)) throw wrong();
        return value;
    }

    private void digits() {
        int start = at;
        while (peek() >= '0' && peek() <= '9') at++;
        if (at == start) throw wrong();
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) throw wrong();
        at += word.length();
        return value;
    }

    private void skipSpace() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') at++;
    }

    /** The next character, which may be no bare control character; for inside of strings. */
    private char next() {
        char c = peek();
        if (c < ' ') throw wrong();
        at++;
        return c;
    }

    private boolean take(char wanted) {
        if (peek() != wanted) return false;
        at++;
        return true;
    }

    /** The next character; NUL at the end, which no JSON has outside of escapes. */
    private char peek() {
        return at < text.length() ? text.charAt(at) : '\0';
    }

    private IllegalArgumentException wrong() {
        return new IllegalArgumentException("not JSON at character " + at);
    }
}
