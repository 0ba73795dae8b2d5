package forewarn.client;

import java.math.BigInteger;
import java.util.regex.Pattern;

/** Which of two model versions, such as 2026.11.5 and 2026.11.10, is the newer one. */
final class Version {
    private static final Pattern NUMBER = Pattern.compile("[0-9]+");

    private Version() {}

    /** Below 0 if {@code a} is older than {@code b}, part by part; an empty one is older than any other. */
    static int compare(String a, String b) {
        String[] left = a.split("[.]", -1);
        String[] right = b.split("[.]", -1);
        for (int i = 0; i < left.length && i < right.length; i++) {
            boolean areNumbers = NUMBER.matcher(left[i]).matches() && NUMBER.matcher(right[i]).matches();
            int order = areNumbers
                    ? new BigInteger(left[i]).compareTo(new BigInteger(right[i]))
                    : left[i].compareTo(right[i]);
            if (order != 0) return order;
        }
        return Integer.compare(left.length, right.length);
    }
}
