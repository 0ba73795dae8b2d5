/// A set of characters, or a mapping of some, from a table of `CharacterTables`.
struct CodePoints: Sendable {
    private struct Run: Sendable {
        let first: UInt32
        let last: UInt32
        /// Within a run every `step`th character counts, and is mapped to itself plus `distance`.
        let step: UInt32
        let distance: Int32
    }

    private let runs: [Run]

    /// Reads runs in rising order with white space between them, in hexadecimal.
    ///
    /// - Parameter table: `first`, `first-last` or `first-last/step+distance`; distance may be negative.
    init(_ table: String) {
        runs = table.split(whereSeparator: \.isWhitespace).map { entry in
            let parts = entry.split(separator: "/")
            let ends = parts[0].split(separator: "-").map { UInt32($0, radix: 16)! }
            let step = parts.count == 1 ? 1 : UInt32(parts[1].prefix(1), radix: 16)!
            let distance = parts.count == 1 ? 0 : Int32(parts[1].dropFirst(), radix: 16)!
            return Run(first: ends[0], last: ends[ends.count - 1], step: step, distance: distance)
        }
    }

    /// Whether a character is in the set.
    func contains(_ code: UInt32) -> Bool {
        run(code) != nil
    }

    /// What a character is mapped to; itself if it is not in the set.
    func map(_ code: UInt32) -> UInt32 {
        guard let run = run(code) else { return code }
        return UInt32(Int32(code) + run.distance)
    }

    /// The run that holds a character.
    private func run(_ code: UInt32) -> Run? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if code > runs[middle].last { low = middle + 1 } else { high = middle }
        }
        guard low < runs.count, code >= runs[low].first else { return nil }
        return (code - runs[low].first) % runs[low].step == 0 ? runs[low] : nil
    }
}

extension CharacterTables {
    static let formatCharacters = CodePoints(format)
    static let whiteSpace = CodePoints(spaces)
    static let numerals = CodePoints(numbers)
    static let capitalLetters = CodePoints(capitals)
}
