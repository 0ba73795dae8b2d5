import Foundation

/// What went wrong, in one line that says what to do. It never holds anything of a message.
public enum ForewarnError: Error, Equatable, Sendable {
    /// A damaged, foreign or unsigned bundle.
    case bundle(String)
    /// Wrong use, such as a public key that is none.
    case use(String)
}

extension ForewarnError: LocalizedError, CustomStringConvertible {
    public var description: String {
        switch self {
        case .bundle(let message), .use(let message): return message
        }
    }

    public var errorDescription: String? { description }
}
