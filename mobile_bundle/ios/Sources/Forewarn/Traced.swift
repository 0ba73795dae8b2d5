/// A character of a text on its way through the normaliser, and where the one that it stands for was in the raw text.
///
/// Each character that a step puts out stands for one that went in: the one that it replaces, or, where a step puts out
/// more characters than went in, the one before. Characters that are dropped or merged into another stand for nothing.
/// Code points, not Swift's `Character` or `String`, since those take canonically equivalent texts for equal, and the
/// model does not.
struct Traced: Equatable {
    var code: UInt32
    var place: Int
}
