/// What the model reads of a message, and where each part of that stands in the message.
struct MessageText {
    static let headCharacters = 3000
    static let tailCharacters = 1000
    private static let lineBreak: UInt32 = 0x0a

    /// No NUL, and of a very long text head and tail with a line break between.
    let codes: [UInt32]
    /// For each of `codes` which code point of the message it is.
    let origins: [Int]

    init(_ text: String) {
        let all = text.unicodeScalars
        var codes: [UInt32] = []
        var origins: [Int] = []
        func keep(_ part: some Sequence<Unicode.Scalar>, from place: Int) {
            for (i, scalar) in part.enumerated() where scalar != "\0" {
                codes.append(scalar.value)
                origins.append(place + i)
            }
        }
        let count = all.count
        if count > MessageText.headCharacters + MessageText.tailCharacters {
            keep(all.prefix(MessageText.headCharacters), from: 0)
            codes.append(MessageText.lineBreak)
            origins.append(MessageText.headCharacters)
            keep(all.suffix(MessageText.tailCharacters), from: count - MessageText.tailCharacters)
        } else {
            keep(all, from: 0)
        }
        self.codes = codes
        self.origins = origins
    }

    /// Whether there is nothing or only spaces, as Python's `str.strip` sees them: four control characters too.
    var isBlank: Bool {
        codes.allSatisfy(MessageText.isSpace)
    }

    static func isSpace(_ code: UInt32) -> Bool {
        CharacterTables.whiteSpace.contains(code) || (0x1c...0x1f).contains(code)
    }
}
