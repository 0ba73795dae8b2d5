import Foundation

/// What a sender adds to a verdict: a small, bounded push, and only upwards.
///
/// Names and short codes are forged every day, so no sender makes a message safer. A private number or a mail address
/// that speaks for a bank, an office or a courier is what such senders do not use, and a number from abroad is one more
/// step. The sizes are those of the Python library (inference/sender.py).
enum Sender {
    /// Types in which an institution speaks; a real one has a name or a short code.
    static let institutional: Set<String> = [
        "authority_impersonation", "tax_rebate", "bank_alert", "account_takeover", "parcel_delivery", "bill_or_fine",
        "refund_service", "loan", "prize", "transactional", "public_notice", "promotion",
    ]

    private static let privateForInstitution = 1.0  // log-odds
    private static let fromAbroad = 0.7
    private static let longestShortCode = 6

    /// Country calling codes (ITU-T E.164 annex) of the regions that the training data covers, and their neighbours.
    static let callingCodes: [String: String] = {
        let table = """
            AE 971 AR 54 AT 43 AU 61 BA 387 BD 880 BE 32 BN 673 BR 55 CA 1 CH 41 CL 56 CN 86 CO 57 CY 357 CZ 420 DE 49
            DK 45 DZ 213 EG 20 ES 34 ET 251 FI 358 FR 33 GB 44 GH 233 GR 30 HK 852 HR 385 HU 36 ID 62 IE 353 IL 972
            IN 91 IQ 964 IR 98 IT 39 JO 962 JP 81 KE 254 KH 855 KR 82 KW 965 KZ 7 LA 856 LB 961 LK 94 MA 212 ME 382
            MM 95 MO 853 MX 52 MY 60 NG 234 NL 31 NO 47 NP 977 NZ 64 OM 968 PE 51 PH 63 PK 92 PL 48 PT 351 QA 974
            RO 40 RS 381 RU 7 SA 966 SE 46 SG 65 TH 66 TR 90 TW 886 TZ 255 UA 380 UG 256 US 1 VN 84 ZA 27
            """
        let words = table.split(whereSeparator: \.isWhitespace).map(String.init)
        let pairs = stride(from: 0, to: words.count, by: 2).map { (words[$0], words[$0 + 1]) }
        return Dictionary(uniqueKeysWithValues: pairs)
    }()

    /// What a sender adds to the log-odds of scam; 0 without one, never negative.
    ///
    /// - Parameters:
    ///   - sender: as the network gave it: a number, a short code, a name, or a mail address.
    ///   - type: the verdict's leaf.
    ///   - locale: BCP 47 tag of the person who was written to; its region decides what is abroad.
    static func logOdds(_ sender: String?, type: String, locale: String?) -> Double {
        guard let sender, !sender.isEmpty else { return 0 }
        let plain = sender.unicodeScalars.filter { !isIgnored($0) }
        let number = plain.first == "+" ? plain.dropFirst() : plain[...]
        let isNumber = number.count > longestShortCode
            && number.allSatisfy { $0.properties.generalCategory == .decimalNumber }
        let isPrivate = isNumber || plain.contains("@")
        let added = isPrivate && institutional.contains(type) ? privateForInstitution : 0
        return isNumber && isAbroad(String(plain), locale) ? added + fromAbroad : added
    }

    /// A probability after its log-odds have been added to; 0 and 1 stay what they are.
    static func moved(_ risk: Double, by added: Double) -> Double {
        guard added != 0, risk > 0, risk < 1 else { return risk }
        let odds = risk / (1 - risk) * exp(added)
        return odds / (1 + odds)
    }

    private static func isIgnored(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x2010...0x2015, 0x200e, 0x200f, 0x202a...0x202e: return true
        default: return "().-/".unicodeScalars.contains(scalar) || MessageText.isSpace(scalar.value)
        }
    }

    /// Whether a number in international form is of another country than the locale's region; false where unknown.
    private static func isAbroad(_ plain: String, _ locale: String?) -> Bool {
        let parts = (locale ?? "").split(omittingEmptySubsequences: false) { $0 == "-" || $0 == "_" }.dropFirst()
        let region = parts.first { $0.unicodeScalars.count == 2 && $0.allSatisfy(\.isLetter) }?.uppercased() ?? ""
        guard let home = callingCodes[region] else { return false }
        let digits = plain.hasPrefix("+") ? plain.dropFirst() : plain.hasPrefix("00") ? plain.dropFirst(2) : ""
        return !digits.isEmpty && !digits.hasPrefix(home)
    }
}
