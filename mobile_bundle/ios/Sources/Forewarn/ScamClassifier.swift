import Foundation

/// Runs the bundle's model.onnx. `ForewarnONNX` has one on ONNX Runtime.
public protocol Model: Sendable {
    /// The model's output `logits` for rows of ids. May be called from several threads at once.
    ///
    /// - Parameters:
    ///   - ids: input `input_ids`, one row a message, all rows equally long.
    ///   - mask: input `attention_mask`, of the same shape.
    /// - Returns: a row a message, one logit a label of the bundle.
    func logits(ids: [[Int64]], mask: [[Int64]]) throws -> [[Float]]
}

/// A loaded bundle, which scores messages on this device. Nothing that it is given leaves it. Safe to share between
/// threads.
///
/// Any string will do: NUL is dropped, and of a text longer than 4000 characters the first 3000 and last 1000 are read.
/// What has more than `maxLength` ids is read in windows, of which the one with the highest risk decides. A text with
/// nothing to read (empty, only spaces or invisible characters) is legitimate with risk 0, whatever the model.
public final class ScamClassifier: Sendable {
    /// Of the windows of a text the one with the highest risk, the first of equals.
    private struct Riskiest {
        let window: ArraySlice<Piece>
        /// Whether the text has no other.
        let isOnly: Bool
        let logits: [Float]
    }

    private let bundle: ModelBundle
    private let tokenizer: Tokenizer
    private let forewarnings: Forewarnings
    private let decision: Decision
    private let model: Model

    /// Makes a checked bundle ready to score, and runs its model once, so that one that cannot run is found here.
    ///
    /// - Parameter model: runs the bundle's model.onnx.
    /// - Throws: `ForewarnError.bundle` if the bundle's tokenizer, forewarnings or model cannot be used.
    public init(bundle: ModelBundle, model: Model) throws {
        self.bundle = bundle
        self.model = model
        tokenizer = try Tokenizer(json: bundle.read("tokenizer.json"))
        forewarnings = try Forewarnings(json: bundle.read("forewarnings.json"))
        decision = Decision(manifest: bundle.manifest)
        _ = try logits("")
    }

    /// Version of the model.
    public var version: String { bundle.version }

    /// The most ids that the model reads at once.
    public var maxLength: Int { bundle.manifest.maxLength }

    /// The verdict on one message.
    ///
    /// - Parameters:
    ///   - text: the message.
    ///   - sender: who sent it, as the network gave it; a sender that does not fit the message raises its risk.
    ///   - locale: BCP 47 tag of the reader: the language of the forewarning, of which unknown ones fall back to a
    ///     parent, then to English. Its region decides which senders are from abroad.
    ///   - explain: also give `evidence`, which costs up to 48 more runs of the model.
    /// - Throws: only if the model cannot be run.
    public func score(
        _ text: String, sender: String? = nil, locale: String? = nil, explain: Bool = false
    ) throws -> Verdict {
        let read = MessageText(text)
        let windows = windows(read.codes)
        if windows[0].isEmpty || read.isBlank {
            var verdict = decision.blank()
            if explain { verdict.evidence = [] }
            return verdict
        }
        let riskiest = try riskiest(windows)
        var verdict = decision.withSender(decision.decide(riskiest.logits), sender, locale: locale)
        if verdict.verdict == .scam || verdict.action != .allow {
            // A message that is warned of although its verdict is another one is warned of as its likeliest scam.
            verdict.forewarning = forewarnings.find(decision.likeliestScam(riskiest.logits), locale: locale)
        }
        if explain { verdict.evidence = try evidence(in: text, read, riskiest) }
        return verdict
    }

    /// One verdict a message, in order.
    ///
    /// Each message runs by itself, so its verdict is the one that `score` gives: a model that is quantised dynamically
    /// measures its inputs over the whole batch, and the company of others would move a message's logits.
    ///
    /// - Parameters:
    ///   - texts: the messages.
    ///   - senders: who sent each message, nil where unknown.
    ///   - locale: as for `score`.
    ///   - explain: as for `score`.
    /// - Throws: `ForewarnError.use` if there are not as many senders as texts; else only if the model cannot be run.
    public func scoreBatch(
        _ texts: [String], senders: [String?]? = nil, locale: String? = nil, explain: Bool = false
    ) throws -> [Verdict] {
        let senders = senders ?? Array(repeating: nil, count: texts.count)
        guard senders.count == texts.count else {
            let counts = "\(senders.count) senders for \(texts.count) texts"
            throw ForewarnError.use("\(counts); give one a text, nil where unknown")
        }
        return try zip(texts, senders).map { try score($0, sender: $1, locale: locale, explain: explain) }
    }

    /// The ids that the model reads of a message, of a longer one the first window; for comparing with other platforms.
    public func encode(_ text: String) -> [Int] {
        tokenizer.ids(windows(MessageText(text).codes)[0])
    }

    /// The text as the tokenizer normalises it, for comparing with other platforms.
    public func normalise(_ text: String) -> String {
        string(tokenizer.normalise(MessageText(text).codes))
    }

    /// The model's raw logits, one a leaf; not calibrated.
    ///
    /// Of a message that is read in windows, those of the window that decides.
    public func logits(_ text: String) throws -> [Float] {
        try riskiest(windows(MessageText(text).codes)).logits
    }

    private func windows(_ text: [UInt32]) -> [ArraySlice<Piece>] {
        tokenizer.windows(text, maxLength: maxLength)
    }

    /// What the model makes of a text that it reads in these windows. They run one by one, which takes no more memory
    /// than a short message.
    private func riskiest(_ windows: [ArraySlice<Piece>]) throws -> Riskiest {
        var riskiest = Riskiest(window: windows[0], isOnly: windows.count == 1, logits: try run(windows[0]))
        for window in windows.dropFirst() {
            let logits = try run(window)
            if decision.scamLogOdds(logits) > decision.scamLogOdds(riskiest.logits) {
                riskiest = Riskiest(window: window, isOnly: false, logits: logits)
            }
        }
        return riskiest
    }

    /// What made the window that decided look like a scam: where there are others, the part of the text in which it
    /// stands is explained, as a text of its own.
    private func evidence(in message: String, _ text: MessageText, _ riskiest: Riskiest) throws -> [Evidence] {
        func logOdds(_ codes: [UInt32]) throws -> Double {
            decision.scamLogOdds(try self.riskiest(windows(codes)).logits)
        }
        let pieces = riskiest.window.map(\.range)
        var part = text.codes.indices
        var whole = decision.scamLogOdds(riskiest.logits)
        if !riskiest.isOnly {
            part = (pieces.map(\.lowerBound).min() ?? 0)..<(pieces.map(\.upperBound).max() ?? 0)
            whole = try logOdds(Array(text.codes[part]))
        }
        return try Explanation(text, part: part, pieces: pieces).evidence(in: message, whole: whole, logOdds: logOdds)
    }

    private func run(_ window: ArraySlice<Piece>) throws -> [Float] {
        let ids = tokenizer.ids(window)
        let rows = try model.logits(ids: [ids.map(Int64.init)], mask: [Array(repeating: 1, count: ids.count)])
        let width = bundle.manifest.labels.leaves.count
        guard let logits = rows.first, rows.count == 1, logits.count == width else {
            let what = "model.onnx does not give one logit for each of \(width) labels"
            throw ModelBundle.error(bundle.folder, "\(what); export it again")
        }
        guard logits.allSatisfy(\.isFinite) else {
            throw ModelBundle.error(bundle.folder, "model.onnx gives logits that are not numbers; use another bundle")
        }
        return logits
    }
}
