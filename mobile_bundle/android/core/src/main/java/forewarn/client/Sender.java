package forewarn.client;

import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * What a sender adds to a verdict: a small, bounded push, and only upwards.
 *
 * <p>Names and short codes are forged every day, so no sender makes a message safer. A private number or a mail address
 * that speaks for a bank, an office or a courier is what such senders do not use, and a number from abroad is one more
 * step. The sizes are those of the Python library (inference/sender.py).
 */
final class Sender {
    /** Types in which an institution speaks; a real one has a name or a short code. */
    static final Set<String> INSTITUTIONAL = Collections.unmodifiableSet(new HashSet<>(Arrays.asList(
            "authority_impersonation", "tax_rebate", "bank_alert", "account_takeover", "parcel_delivery",
            "bill_or_fine", "refund_service", "loan", "prize", "transactional", "public_notice", "promotion")));

    /** Country calling codes (ITU-T E.164 annex) of the regions that the training data covers, and their neighbours. */
    static final Map<String, String> CALLING_CODES = pairs(
            "AE 971 AR 54 AT 43 AU 61 BA 387 BD 880 BE 32 BN 673 BR 55 CA 1 CH 41 CL 56 CN 86 CO 57 CY 357 "
                    + "CZ 420 DE 49 DK 45 DZ 213 EG 20 ES 34 ET 251 FI 358 FR 33 GB 44 GH 233 GR 30 HK 852 HR 385 "
                    + "HU 36 ID 62 IE 353 IL 972 IN 91 IQ 964 IR 98 IT 39 JO 962 JP 81 KE 254 KH 855 KR 82 KW 965 "
                    + "KZ 7 LA 856 LB 961 LK 94 MA 212 ME 382 MM 95 MO 853 MX 52 MY 60 NG 234 NL 31 NO 47 NP 977 "
                    + "NZ 64 OM 968 PE 51 PH 63 PK 92 PL 48 PT 351 QA 974 RO 40 RS 381 RU 7 SA 966 SE 46 SG 65 TH 66 "
                    + "TR 90 TW 886 TZ 255 UA 380 UG 256 US 1 VN 84 ZA 27");

    private static final double PRIVATE_FOR_INSTITUTION = 1.0; // log-odds
    private static final double FROM_ABROAD = 0.7;
    private static final int LONGEST_SHORT_CODE = 6;
    /** How people set a number apart, and the marks that turn its direction. */
    private static final CodePoints IGNORED = new CodePoints("28-29 2d-2f 200e-200f 2010-2015 202a-202e");

    private Sender() {}

    /**
     * What a sender adds to the log-odds of scam; 0 without one, never negative.
     *
     * @param sender as the network gave it: a number, a short code, a name or a mail address; may be null.
     * @param type the verdict's leaf.
     * @param locale BCP 47 tag of the person who was written to; its region decides what is abroad; may be null.
     */
    static double logOdds(String sender, String type, String locale) {
        if (sender == null) return 0;
        String plain = plain(sender);
        String number = plain.startsWith("+") ? plain.substring(1) : plain;
        boolean isNumber = number.codePointCount(0, number.length()) > LONGEST_SHORT_CODE
                && number.codePoints().allMatch(Character::isDigit);
        boolean isPrivate = isNumber || plain.indexOf('@') >= 0;
        double added = isPrivate && INSTITUTIONAL.contains(type) ? PRIVATE_FOR_INSTITUTION : 0;
        return isNumber && isAbroad(plain, locale) ? added + FROM_ABROAD : added;
    }

    /** A probability after its log-odds have been added to; 0 and 1 stay what they are. */
    static double moved(double risk, double added) {
        if (added == 0 || !(risk > 0 && risk < 1)) return risk;
        double odds = risk / (1 - risk) * Math.exp(added);
        return odds / (1 + odds);
    }

    private static String plain(String sender) {
        StringBuilder plain = new StringBuilder(sender.length());
        sender.codePoints()
                .filter(code -> !MessageText.isSpace(code) && !IGNORED.contains(code))
                .forEach(plain::appendCodePoint);
        return plain.toString();
    }

    /** Whether a number in international form is of another country than the locale's region; false where unknown. */
    private static boolean isAbroad(String plain, String locale) {
        String home = CALLING_CODES.get(region(locale == null ? "" : locale));
        String prefix = plain.startsWith("+") ? "+" : "00";
        return home != null && plain.startsWith(prefix) && !plain.startsWith(home, prefix.length());
    }

    /** The first part after the language that is two letters long, in capitals; empty where there is none. */
    private static String region(String locale) {
        String[] parts = locale.split("[-_]");
        for (int i = 1; i < parts.length; i++) {
            boolean two = parts[i].codePointCount(0, parts[i].length()) == 2;
            if (two && parts[i].codePoints().allMatch(Character::isLetter)) return parts[i].toUpperCase(Locale.ROOT);
        }
        return "";
    }

    private static Map<String, String> pairs(String words) {
        Map<String, String> pairs = new HashMap<>();
        String[] split = words.split(" ");
        for (int i = 0; i < split.length; i += 2) pairs.put(split[i], split[i + 1]);
        return Collections.unmodifiableMap(pairs);
    }
}
