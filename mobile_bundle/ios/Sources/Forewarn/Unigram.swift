/// The most probable way to cut a word into known pieces.
struct Unigram: Sendable {
    /// The library's penalty: an unknown character costs this much more than the rarest piece.
    private static let unknownPenalty = 10.0

    // Pieces as UTF-8, in the order of their bytes: less memory than a dictionary of strings, which besides would take
    // canonically equivalent pieces for one.
    private let bytes: [UInt8]
    /// Where each piece starts in `bytes`, and the end of the last one.
    private let starts: [Int32]
    private let ids: [Int32]
    /// By id.
    private let scores: [Double]
    private let unknownId: Int
    private let unknownScore: Double

    /// - Throws: `ForewarnError.bundle` if the model has no vocabulary that can be used.
    init(_ model: TokenizerFile.Model) throws {
        let entries = model.vocabulary
        guard entries.indices.contains(model.unknownId) else { throw TokenizerFile.none }
        let order = entries.indices.sorted { a, b in
            entries[a].piece.utf8.lexicographicallyPrecedes(entries[b].piece.utf8)
        }
        var bytes: [UInt8] = []
        var starts: [Int32] = []
        var ids: [Int32] = []
        var before: Int?
        for id in order where !entries[id].piece.isEmpty {
            let piece = entries[id].piece.utf8
            if let before, entries[before].piece.utf8.elementsEqual(piece) { throw TokenizerFile.none }
            before = id
            starts.append(Int32(bytes.count))
            ids.append(Int32(id))
            bytes.append(contentsOf: piece)
        }
        starts.append(Int32(bytes.count))
        self.bytes = bytes
        self.starts = starts
        self.ids = ids
        scores = entries.map(\.score)
        unknownId = model.unknownId
        unknownScore = (scores.min() ?? 0) - Unigram.unknownPenalty
    }

    /// The best cut of a word (Viterbi): ids, and where in the word each piece starts and ends. Neighbouring unknown
    /// characters are one piece.
    func cut(_ word: ArraySlice<Traced>) -> [(id: Int, range: Range<Int>)] {
        // For each position of the word the best cut that ends there: its score, its last piece, and where that starts.
        var best = [Double](repeating: 0, count: word.count + 1)
        var lastId = [Int](repeating: unknownId, count: word.count + 1)
        var lastStart = [Int](repeating: -1, count: word.count + 1)
        func offer(_ start: Int, _ end: Int, _ id: Int, _ score: Double) {
            let total = best[start] + score
            if lastStart[end] != -1, total <= best[end] { return }
            best[end] = total
            lastId[end] = id
            lastStart[end] = start
        }

        for start in 0..<word.count {
            var single = false
            // The pieces that begin like the word does from here on, and how many bytes they have in common with it.
            var candidates = ids.indices
            var length = 0
            for end in start + 1...word.count {
                for byte in Unigram.utf8(word[word.startIndex + end - 1].code) {
                    candidates = narrow(candidates, byte, at: length)
                    length += 1
                }
                guard let first = candidates.first else { break }
                guard starts[first + 1] - starts[first] == length else { continue }
                let id = Int(ids[first])
                offer(start, end, id, scores[id])
                if end == start + 1 { single = true }
            }
            if !single { offer(start, start + 1, unknownId, unknownScore) }
        }

        var pieces: [(id: Int, range: Range<Int>)] = []
        var end = word.count
        while end > 0 {
            let start = lastStart[end]
            if let following = pieces.last, lastId[end] == unknownId, following.id == unknownId {
                pieces[pieces.count - 1].range = start..<following.range.upperBound
            } else {
                pieces.append((lastId[end], start..<end))
            }
            end = start
        }
        return pieces.reversed()
    }

    /// Those of some neighbouring pieces that have `byte` at `place`; they agree in all bytes before it.
    private func narrow(_ candidates: Range<Int>, _ byte: UInt8, at place: Int) -> Range<Int> {
        // A piece that ends there comes before all that go on.
        func byteAt(_ piece: Int) -> Int {
            let index = Int(starts[piece]) + place
            return index < starts[piece + 1] ? Int(bytes[index]) : -1
        }
        func firstNotBelow(_ wanted: Int) -> Int {
            var low = candidates.lowerBound
            var high = candidates.upperBound
            while low < high {
                let middle = (low + high) / 2
                if byteAt(middle) < wanted { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return firstNotBelow(Int(byte))..<firstNotBelow(Int(byte) + 1)
    }

    private static func utf8(_ code: UInt32) -> Unicode.UTF8.EncodedScalar {
        Unicode.UTF8.encode(Unicode.Scalar(code) ?? "\u{fffd}")!
    }
}
