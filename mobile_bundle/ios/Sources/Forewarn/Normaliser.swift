/// The normalisation steps of a tokenizer.json: NFKC, format characters, spaces, lower case.
struct Normaliser: Sendable {
    private enum Step: Sendable {
        case nfkc, dropFormat, joinSpaces, lowerCase
    }

    private static let space: UInt32 = 0x20
    private static let capitalIWithDot: UInt32 = 0x130

    private let steps: [Step]

    /// Reads the steps of a tokenizer.json.
    ///
    /// - Throws: `ForewarnError.bundle` if it has a step that this version does not know.
    init(_ file: TokenizerFile.Normalizer) throws {
        guard file.type == "Sequence" else { throw TokenizerFile.unknown("normalizer", file.type) }
        steps = try file.normalizers.map { step in
            switch (step.type, step.pattern?.regex, step.content) {
            case ("NFKC", _, _): return .nfkc
            case ("Lowercase", _, _): return .lowerCase
            case ("Replace", "\\p{Cf}", ""): return .dropFormat
            case ("Replace", "\\s+", " "): return .joinSpaces
            default: throw TokenizerFile.unknown("normalizer", step.pattern?.regex ?? step.type)
            }
        }
    }

    /// The text as the model's pieces are looked up in it.
    func normalise(_ text: [Traced]) -> [Traced] {
        steps.reduce(text) { text, step in
            switch step {
            case .nfkc: return Compatibility.normalise(text)
            case .dropFormat: return text.filter { !CharacterTables.formatCharacters.contains($0.code) }
            case .joinSpaces: return Normaliser.joinSpaces(text)
            case .lowerCase: return Normaliser.lowerCase(text)
            }
        }
    }

    private static func joinSpaces(_ text: [Traced]) -> [Traced] {
        var result: [Traced] = []
        result.reserveCapacity(text.count)
        var after = false
        for character in text {
            let isSpace = CharacterTables.whiteSpace.contains(character.code)
            if isSpace, after { result.removeLast() }
            // The one that stays stands for the last of them.
            result.append(isSpace ? Traced(code: space, place: character.place) : character)
            after = isSpace
        }
        return result
    }

    private static func lowerCase(_ text: [Traced]) -> [Traced] {
        // One character at a time: over whole words Swift has a final sigma, which the library has not.
        var result: [Traced] = []
        result.reserveCapacity(text.count)
        for character in text {
            let code = CharacterTables.capitalLetters.map(character.code)
            if character.code == capitalIWithDot {
                result.append(Traced(code: 0x69, place: character.place))
                result.append(Traced(code: 0x307, place: character.place))
            } else {
                result.append(Traced(code: code, place: character.place))
            }
        }
        return result
    }
}
