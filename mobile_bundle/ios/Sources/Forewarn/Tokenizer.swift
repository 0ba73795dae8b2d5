import Foundation

/// A piece of a text: its id, and which characters of the raw text it stands for.
struct Piece: Equatable {
    let id: Int
    let range: Range<Int>
}

/// From text to ids, as the bundle's tokenizer.json says and as the `tokenizers` library in Python does it.
///
/// Only the steps that forewarn models use are here. A tokenizer.json with any other step is refused, since a step done
/// nearly right gives other verdicts than the other platforms without anybody noticing.
struct Tokenizer: Sendable {
    private static let space: UInt32 = 0x20

    /// Added tokens such as [CLS], longest first, which count as themselves wherever they stand in the raw text.
    private let special: [(name: [UInt32], id: Int)]
    private let normaliser: Normaliser
    /// The mark that stands for the space before a word.
    private let mark: UInt32
    /// Ids that stand before and after those of the text.
    private let before: [Int]
    private let after: [Int]
    private let model: Unigram

    /// Builds from the content of a tokenizer.json.
    ///
    /// - Throws: `ForewarnError.bundle` if it is none, or has steps that this version does not know.
    init(json: Data) throws {
        do {
            try self.init(JSONDecoder().decode(TokenizerFile.self, from: json))
        } catch is DecodingError {
            throw TokenizerFile.none
        }
    }

    private init(_ file: TokenizerFile) throws {
        special = try file.addedTokens
            .map { token in
                guard !token.normalized, !token.singleWord, !token.lstrip, !token.rstrip, !token.content.isEmpty else {
                    throw TokenizerFile.unknown("added token", token.content)
                }
                return (codes(token.content), token.id)
            }
            .sorted { $0.name.count > $1.name.count }
        normaliser = try Normaliser(file.normalizer)

        let splitters = file.preTokenizer.pretokenizers
        guard splitters.count == 2 else { throw TokenizerFile.unknown("pre-tokenizer", "\(splitters.count) steps") }
        let replacement = codes(splitters[0].replacement ?? "")
        guard splitters[0].type == "Metaspace", splitters[0].prependScheme == "always", splitters[0].split == true,
            replacement.count == 1
        else { throw TokenizerFile.unknown("pre-tokenizer", splitters[0].type) }
        mark = replacement[0]
        guard splitters[1].type == "Digits", splitters[1].individualDigits == true else {
            throw TokenizerFile.unknown("pre-tokenizer", splitters[1].type)
        }

        let post = file.postProcessor
        guard post.type == "TemplateProcessing" else { throw TokenizerFile.unknown("post-processor", post.type) }
        guard let at = post.single.firstIndex(where: { $0.sequence != nil }) else { throw TokenizerFile.none }
        func ids(_ parts: ArraySlice<TokenizerFile.PostProcessor.Part>) throws -> [Int] {
            try parts.flatMap { part -> [Int] in
                guard let name = part.specialToken?.id, let token = post.specialTokens[name] else {
                    throw TokenizerFile.none
                }
                return token.ids
            }
        }
        before = try ids(post.single[..<at])
        after = try ids(post.single[(at + 1)...])
        model = try Unigram(file.model)
    }

    /// The pieces of a text in windows that the model reads at once: at least one, which is empty where the model would
    /// see nothing of the text but the template's frame.
    ///
    /// - Parameter maxLength: how many ids a window has at most, with the frame.
    func windows(_ text: [UInt32], maxLength: Int) -> [ArraySlice<Piece>] {
        let pieces = pieces(text)
        let room = max(0, maxLength - before.count - after.count)
        return Windows.starts(pieces.count, room: room).map { pieces[$0...].prefix(room) }
    }

    /// The ids of a window, in the template's frame ([CLS] ... [SEP]).
    func ids(_ window: some Sequence<Piece>) -> [Int] {
        before + window.map(\.id) + after
    }

    /// The pieces of a text, without the template's frame.
    func pieces(_ text: [UInt32]) -> [Piece] {
        var pieces: [Piece] = []
        for part in parts(text) {
            if let id = part.special {
                pieces.append(Piece(id: id, range: part.range))
            } else {
                let raw = part.range.map { Traced(code: text[$0], place: $0) }
                append(marked(normaliser.normalise(raw)), to: &pieces)
            }
        }
        return pieces
    }

    /// The text as the model's pieces are looked up in it.
    func normalise(_ text: [UInt32]) -> [UInt32] {
        normaliser.normalise(text.enumerated().map { Traced(code: $1, place: $0) }).map(\.code)
    }

    /// Special tokens, which are found in the raw text, before it is normalised, and what stands between them.
    private func parts(_ text: [UInt32]) -> [(range: Range<Int>, special: Int?)] {
        var parts: [(range: Range<Int>, special: Int?)] = []
        var start = 0
        var at = 0
        while at < text.count {
            guard let token = special.first(where: { text[at...].starts(with: $0.name) }) else {
                at += 1
                continue
            }
            if start < at { parts.append((start..<at, nil)) }
            parts.append((at..<at + token.name.count, token.id))
            at += token.name.count
            start = at
        }
        if start < at { parts.append((start..<at, nil)) }
        return parts
    }

    /// A normalised text with its spaces marked, and a mark before it, which stands for its first character.
    private func marked(_ text: [Traced]) -> [Traced] {
        var text = text
        for i in text.indices where text[i].code == Tokenizer.space { text[i].code = mark }
        if let first = text.first, first.code != mark { text.insert(Traced(code: mark, place: first.place), at: 0) }
        return text
    }

    /// Adds the pieces of a marked text.
    private func append(_ text: [Traced], to pieces: inout [Piece]) {
        func add(_ word: Range<Int>) {
            for piece in model.cut(text[word]) {
                let first = text[word.lowerBound + piece.range.lowerBound].place
                let last = text[word.lowerBound + piece.range.upperBound - 1].place
                pieces.append(Piece(id: piece.id, range: first..<max(first, last) + 1))
            }
        }
        // Words keep the mark at their start; each digit is a word of its own.
        var start = 0
        for i in text.indices {
            let isNumber = CharacterTables.numerals.contains(text[i].code)
            if i > start, isNumber || text[i].code == mark {
                add(start..<i)
                start = i
            }
            if isNumber || i + 1 == text.count {
                add(start..<i + 1)
                start = i + 1
            }
        }
    }
}

/// The code points of a text.
func codes(_ text: String) -> [UInt32] {
    text.unicodeScalars.map(\.value)
}

/// The text of some code points.
func string(_ codes: some Sequence<UInt32>) -> String {
    var scalars = String.UnicodeScalarView()
    for code in codes { scalars.append(Unicode.Scalar(code) ?? "\u{fffd}") }
    return String(scalars)
}
