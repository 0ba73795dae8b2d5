/// Which parts of a text made it look like a scam.
///
/// By occlusion: take a part out, score again; a part's weight is the drop in the log-odds of scam.
struct Explanation {
    private static let maxSegments = 48
    private static let maxSpans = 5
    private static let piecesPerSegment = 3

    private let text: MessageText
    private let part: Range<Int>
    private let segments: [Range<Int>]

    /// - Parameters:
    ///   - part: the part of the text that is explained.
    ///   - pieces: where the pieces that the model read of it stand in the text.
    init(_ text: MessageText, part: Range<Int>, pieces: [Range<Int>]) {
        self.text = text
        self.part = part
        segments = Explanation.segments(of: text.codes, from: part.lowerBound, pieces)
    }

    /// The spans that raise the scam log-odds most, heaviest first; none where nothing does.
    ///
    /// - Parameters:
    ///   - message: the original text.
    ///   - whole: the log-odds of the part that is explained.
    ///   - logOdds: the model, from a text's code points to the log-odds of scam.
    func evidence(in message: String, whole: Double, logOdds: ([UInt32]) throws -> Double) throws -> [Evidence] {
        let weights = try segments.map { segment in
            let before = text.codes[part.lowerBound..<segment.lowerBound]
            let after = text.codes[segment.upperBound..<part.upperBound]
            return whole - (try logOdds(Array(before + after)))
        }
        let floor = max(0.05, 0.2 * (weights.max() ?? 0))

        var spans: [(start: Int, end: Int, weight: Double)] = []
        var last = -2
        for (i, segment) in segments.enumerated() where weights[i] >= floor {
            var span = (
                start: text.origins[segment.lowerBound], end: text.origins[segment.upperBound - 1] + 1,
                weight: weights[i]
            )
            // Neighbours become one span, unless the cut of a very long text lies between them.
            if i == last + 1, let before = spans.last, span.start - before.end < MessageText.tailCharacters / 10 {
                span = (before.start, span.end, before.weight + span.weight)
                spans.removeLast()
            }
            spans.append(span)
            last = i
        }
        let scalars = message.unicodeScalars
        return spans.sorted { $0.weight > $1.weight }.prefix(Explanation.maxSpans).map { span in
            let start = scalars.index(scalars.startIndex, offsetBy: span.start)
            let range = start..<scalars.index(start, offsetBy: span.end - span.start)
            let weight = (span.weight * 10_000).rounded() / 10_000
            return Evidence(range: range, text: String(scalars[range]), weight: weight)
        }
    }

    /// At most `maxSegments` parts of what the model sees: words, or a few pieces where a script has no spaces.
    private static func segments(of codes: [UInt32], from begin: Int, _ pieces: [Range<Int>]) -> [Range<Int>] {
        // What follows the last piece is nothing to the model; taking that out would change nothing.
        let seen = pieces.reduce(0) { max($0, $1.upperBound) }
        var segments: [Range<Int>] = []
        for word in words(codes[begin..<seen]) {
            guard codes[word].contains(where: isUnspaced) else {
                segments.append(word)
                continue
            }
            let inside = pieces.filter { $0.lowerBound < word.upperBound && $0.upperBound > word.lowerBound }
            let starts = Set(inside.map { max($0.lowerBound, word.lowerBound) } + [word.lowerBound]).sorted()
            let cuts = stride(from: 0, to: starts.count, by: piecesPerSegment).map { starts[$0] } + [word.upperBound]
            segments += zip(cuts, cuts.dropFirst()).filter { $0 < $1 }.map { $0..<$1 }
        }
        return segments.count > maxSegments ? merged(segments) : segments
    }

    private static func words(_ codes: ArraySlice<UInt32>) -> [Range<Int>] {
        codes.indices.split { MessageText.isSpace(codes[$0]) }
    }

    /// Thai to Burmese, Khmer, kana, Han, full-width forms: scripts written without spaces between words.
    private static func isUnspaced(_ code: UInt32) -> Bool {
        switch code {
        case 0x0e00...0x0eff, 0x1000...0x109f, 0x1780...0x17ff, 0x3040...0x30ff, 0x3400...0x9fff, 0xf900...0xfaff,
            0x20000...0x3ffff:
            return true
        default: return false
        }
    }

    /// Neighbours put together, in `maxSegments` groups whose sizes differ by one at most.
    private static func merged(_ segments: [Range<Int>]) -> [Range<Int>] {
        let (size, longer) = segments.count.quotientAndRemainder(dividingBy: maxSegments)
        var next = 0
        return (0..<maxSegments).map { group in
            let first = next
            next += size + (group < longer ? 1 : 0)
            return segments[first].lowerBound..<segments[next - 1].upperBound
        }
    }
}
