/// What a message filter extension answers: where iOS should show a message.
///
/// The numbers are those of Apple's ILMessageFilterAction and ILMessageFilterSubAction, and a verdict becomes the same
/// ones as in the HTTP service (`/v1/filter/apple`). Nothing here needs IdentityLookup, so that it can be tested
/// anywhere.
public struct MessageFilter: Sendable {
    /// ILMessageFilterAction.
    public enum Action: Int, Sendable {
        case none = 0
        case allow = 1
        case junk = 2
        case promotion = 3
        case transaction = 4
    }

    /// ILMessageFilterSubAction, as far as the model can tell.
    public enum SubAction: Int, Sendable {
        case none = 0
        case publicServices = 10008
    }

    /// What to tell iOS.
    public enum Answer: Equatable, Sendable {
        case answer(Action, SubAction)
        /// Let iOS ask the app's server.
        case deferToNetwork
    }

    private let defers: @Sendable (Verdict?) -> Bool

    /// - Parameter defers: whether iOS should ask the app's server instead, given the verdict, or nil where there is
    ///   none (the bundle is damaged, the model cannot run). By default nothing leaves the phone.
    public init(defers: @escaping @Sendable (Verdict?) -> Bool = { _ in false }) {
        self.defers = defers
    }

    /// The answer on a message.
    ///
    /// - Parameters:
    ///   - text: the message's body; nil is an empty one.
    ///   - sender: who sent it.
    ///   - locale: BCP 47 tag of the phone's owner.
    ///   - classifier: nil where there is none, since the bundle could not be opened.
    public func answer(
        to text: String?, from sender: String?, locale: String?, by classifier: ScamClassifier?
    ) -> Answer {
        // A phone must get an answer whatever happens: one that cannot be judged is not filtered.
        answer(on: try? classifier?.score(text ?? "", sender: sender, locale: locale))
    }

    /// The answer on a verdict; without one the message is shown as if there were no filter.
    public func answer(on verdict: Verdict?) -> Answer {
        if defers(verdict) { return .deferToNetwork }
        guard let verdict else { return .answer(.none, .none) }
        // Only a scam that the operating points act on is junk.
        if verdict.verdict == .scam, verdict.action != .allow { return .answer(.junk, .none) }
        if verdict.verdict == .promotion { return .answer(.promotion, .none) }
        switch verdict.type {
        case "transactional": return .answer(.transaction, .none)
        case "public_notice": return .answer(.transaction, .publicServices)
        default: return .answer(.allow, .none)
        }
    }
}
