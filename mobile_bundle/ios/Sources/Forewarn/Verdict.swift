/// What to do with a message, by the bundle's operating points.
public enum Action: String, Sendable {
    case allow, warn, block
}

/// A part of the message that made it look like a scam.
public struct Evidence: Equatable, Sendable {
    /// Where it stands in the message.
    public let range: Range<String.Index>
    public let text: String
    /// How much of the scam log-odds it carries.
    public let weight: Double
}

/// What the model says of one message.
public struct Verdict: Equatable, Sendable {
    public let verdict: VerdictName
    /// Calibrated probability of a scam, 0 to 1.
    public internal(set) var risk: Double
    public internal(set) var action: Action
    /// The most probable leaf within the verdict, such as `parcel_delivery`.
    public let type: String
    /// Probability of that leaf, 0 to 1.
    public let typeScore: Double
    /// The human levers that this kind of message pulls, such as `urgency`.
    public let levers: [String]
    /// Version of the model.
    public let model: String
    /// What the trick is and what to do instead, in the reader's language; nil where there is nothing to warn of.
    public internal(set) var forewarning: String?
    /// With `explain`: what made the message look like a scam, heaviest first; empty where nothing did.
    public internal(set) var evidence: [Evidence]?
}
