/// NFKC as the `tokenizers` library does it.
///
/// Foundation has NFKC as well, but another Unicode with every iOS, and some characters wrong: beyond U+FFFF it takes a
/// few hundred for others (U+10391 for U+0391), and it leaves the marks after U+0385 in the order that they came in.
enum Compatibility {
    /// Characters that are taken apart: where in `parts` each one's are.
    private static let decompositions: [UInt32: [UInt32]] = {
        var all: [UInt32: [UInt32]] = [:]
        for table in [LowDecompositions.all, HighDecompositions.all] {
            for (codes, parts) in entries(table) {
                for (i, code) in codes.enumerated() {
                    all[code] = parts.count == 1 ? [parts[0] + UInt32(i)] : parts
                }
            }
        }
        return all
    }()

    private static let combiningClasses: [UInt32: UInt8] = {
        var all: [UInt32: UInt8] = [:]
        for (codes, value) in entries(CompositionTables.combiningClasses) {
            for code in codes { all[code] = UInt8(value[0]) }
        }
        return all
    }()

    private static let compositions: [UInt64: UInt32] = {
        var all: [UInt64: UInt32] = [:]
        for entry in CompositionTables.pairs.split(whereSeparator: \.isWhitespace) {
            let codes = entry.split { $0 == "." || $0 == "=" }.map { UInt32($0, radix: 16)! }
            all[pair(codes[0], codes[1])] = codes[2]
        }
        return all
    }()

    /// A character, the place that it stands for, and by how many it changes the length: 1 where it is added, -n where
    /// n others merge into it.
    private struct Change {
        var code: UInt32
        var by: Int
    }

    /// The NFKC of a text.
    static func normalise(_ text: [Traced]) -> [Traced] {
        // Nothing of ASCII changes, and most texts are nothing else.
        if text.allSatisfy({ $0.code < 0x80 }) { return text }
        var result: [Traced] = []
        result.reserveCapacity(text.count)
        var next = 0
        for change in compose(decompose(text)) {
            let at = min(change.by > 0 ? max(0, next - 1) : next, text.count - 1)
            result.append(Traced(code: change.code, place: text[at].place))
            if change.by <= 0 { next += 1 - change.by }
        }
        return result
    }

    /// Compatibility decomposition with marks in canonical order.
    private static func decompose(_ text: [Traced]) -> [Change] {
        var changes: [Change] = []
        changes.reserveCapacity(text.count)
        for character in text {
            for (i, code) in parts(of: character.code).enumerated() {
                let order = combiningClass(code)
                var at = changes.count
                if order > 0 {
                    while at > 0, combiningClass(changes[at - 1].code) > order { at -= 1 }
                }
                changes.insert(Change(code: code, by: i == 0 ? 0 : 1), at: at)
            }
        }
        return changes
    }

    /// Canonical composition: each mark merges into the character before it, if there is one for both.
    private static func compose(_ changes: [Change]) -> [Change] {
        var done: [Change] = []
        done.reserveCapacity(changes.count)
        var base: Int?  // where in `done` the character is that marks merge into
        for change in changes {
            let order = combiningClass(change.code)
            if let at = base {
                // A mark of the same class, or any mark before a starter, stands between the two.
                let blocked = done.count > at + 1 && (order == 0 || combiningClass(done[done.count - 1].code) >= order)
                if !blocked, let both = composition(done[at].code, change.code) {
                    done[at] = Change(code: both, by: done[at].by + change.by - 1)
                    continue
                }
            }
            if order == 0 { base = done.count }
            done.append(change)
        }
        return done
    }

    // Hangul syllables are numbered by their letters (Unicode, chapter 3.12).
    private static let syllables: UInt32 = 0xac00
    private static let leads: UInt32 = 0x1100
    private static let vowels: UInt32 = 0x1161
    private static let tails: UInt32 = 0x11a7
    private static let leadCount: UInt32 = 19
    private static let vowelCount: UInt32 = 21
    private static let tailCount: UInt32 = 28
    private static let syllableCount = leadCount * vowelCount * tailCount

    private static func parts(of code: UInt32) -> [UInt32] {
        if code >= syllables, code < syllables + syllableCount {
            let index = code - syllables
            let lead = leads + index / (vowelCount * tailCount)
            let vowel = vowels + index / tailCount % vowelCount
            let tail = index % tailCount
            return tail == 0 ? [lead, vowel] : [lead, vowel, tails + tail]
        }
        return decompositions[code] ?? [code]
    }

    private static func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if first >= leads, first < leads + leadCount, second >= vowels, second < vowels + vowelCount {
            return syllables + ((first - leads) * vowelCount + second - vowels) * tailCount
        }
        if first >= syllables, first < syllables + syllableCount, (first - syllables) % tailCount == 0,
            second > tails, second < tails + tailCount
        {
            return first + second - tails
        }
        return compositions[pair(first, second)]
    }

    private static func combiningClass(_ code: UInt32) -> UInt8 {
        code < 0x300 ? 0 : combiningClasses[code] ?? 0
    }

    private static func pair(_ first: UInt32, _ second: UInt32) -> UInt64 {
        UInt64(first) << 32 | UInt64(second)
    }

    /// Entries `first-last=a.b.c` of a table.
    private static func entries(_ table: String) -> [(ClosedRange<UInt32>, [UInt32])] {
        table.split(whereSeparator: \.isWhitespace).map { entry in
            let sides = entry.split(separator: "=")
            let ends = sides[0].split(separator: "-").map { UInt32($0, radix: 16)! }
            return (ends[0]...ends[ends.count - 1], sides[1].split(separator: ".").map { UInt32($0, radix: 16)! })
        }
    }
}
