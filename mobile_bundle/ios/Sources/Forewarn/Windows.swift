/// How a text that is longer than the model reads at once is read: in windows, of which the riskiest decides.
enum Windows {
    /// Beyond it windows lie apart: 4000 characters have as many windows only where each of them is a piece or two.
    static let most = 16

    /// Where the windows of a text begin: at its first piece, so that the last one ends with it, and evenly between.
    ///
    /// Neighbours share a quarter, so that a trick on the border of one stands whole in another, unless the text has
    /// more than `most` of them.
    ///
    /// - Parameters:
    ///   - pieces: pieces of the text.
    ///   - room: pieces that a window holds.
    static func starts(_ pieces: Int, room: Int) -> [Int] {
        let beyond = pieces - room
        if beyond <= 0 { return [0] }
        let step = max(1, room * 3 / 4)
        let count = min(most, 1 + (beyond + step - 1) / step)
        return (0..<count).map { $0 * beyond / (count - 1) }
    }
}
