import Foundation

/// The texts of forewarnings.json: what a trick is and what to do instead, by leaf and language.
struct Forewarnings: Sendable {
    private let byLeaf: [String: [String: String]]

    /// Reads the content of a forewarnings.json.
    ///
    /// - Throws: `ForewarnError.bundle` if it is none.
    init(json: Data) throws {
        guard let texts = try? JSONDecoder().decode([String: [String: String]].self, from: json) else {
            throw ForewarnError.bundle("forewarnings.json is not {leaf: {locale: text}}; export the bundle again")
        }
        byLeaf = texts.mapValues { byLocale in
            Dictionary(byLocale.map { ($0.key.lowercased(), $0.value) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// The text of the nearest locale: zh-Hant-TW, then zh-Hant, then zh, then en; nil where there is none of them.
    ///
    /// - Parameter locale: a BCP 47 tag in any case, with `-` or `_`; none is English.
    func find(_ leaf: String, locale: String?) -> String? {
        guard let texts = byLeaf[leaf] else { return nil }
        let asked = locale.flatMap { $0.isEmpty ? nil : $0 } ?? "en"
        var tag = asked.trimmingCharacters(in: .whitespacesAndNewlines).replacingOccurrences(of: "_", with: "-")
        tag = tag.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)[0].lowercased()
        // Where the script is not said, these regions write traditional Chinese.
        if ["zh-tw", "zh-hk", "zh-mo"].contains(tag) { tag = tag.replacingOccurrences(of: "zh-", with: "zh-hant-") }
        while !tag.isEmpty {
            if let text = texts[tag] { return text }
            tag = tag.lastIndex(of: "-").map { String(tag[..<$0]) } ?? ""
        }
        return texts["en"]
    }
}
