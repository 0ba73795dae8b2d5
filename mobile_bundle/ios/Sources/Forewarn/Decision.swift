import Foundation

/// From a row of logits to a verdict: calibration, sums over each verdict's leaves, operating points.
struct Decision: Sendable {
    let manifest: Manifest

    private var leaves: [Leaf] { manifest.labels.leaves }

    /// The verdict on a text, from one logit a leaf, in the manifest's order.
    func decide(_ logits: [Float]) -> Verdict {
        let p = probabilities(logits)
        var totals: [VerdictName: Double] = [:]
        for (leaf, p) in zip(leaves, p) { totals[leaf.verdict, default: 0] += p }

        // On a tie the first one wins, here and below, as it does on every platform.
        var verdict = manifest.labels.verdicts[0]
        for name in manifest.labels.verdicts where totals[name, default: 0] > totals[verdict, default: 0] {
            verdict = name
        }
        let best = Decision.best(p, of: leaves, verdict)
        // Sums of rounded floats may pass 1 by a hair; a probability may not.
        return result(best, risk: min(1, totals[.scam, default: 0]), typeScore: p[best])
    }

    /// The verdict on a message with nothing to read in it (empty, or only spaces and invisible characters).
    func blank() -> Verdict {
        var verdict = result(leaves.firstIndex { $0.verdict == .legitimate }!, risk: 0, typeScore: 0)
        verdict.action = .allow
        return verdict
    }

    /// The verdict on a text, once its sender is known: a higher `risk` where the sender does not fit.
    ///
    /// Never lower, and one step of `action` at most: a text that is allowed for itself is not blocked for its sender.
    /// `verdict`, `type` and `typeScore` stay the text's own.
    func withSender(_ verdict: Verdict, _ sender: String?, locale: String?) -> Verdict {
        let added = Sender.logOdds(sender, type: verdict.type, locale: locale)
        if added == 0 { return verdict }
        var moved = verdict
        moved.risk = Sender.moved(verdict.risk, by: added)
        let step = action(moved.risk)
        moved.action = verdict.action == .allow && step == .block ? .warn : step
        return moved
    }

    /// The log-odds of scam of a row of logits, calibrated.
    func scamLogOdds(_ logits: [Float]) -> Double {
        let sum = zip(leaves, probabilities(logits)).reduce(0) { $1.0.verdict == .scam ? $0 + $1.1 : $0 }
        let scam = min(max(sum, 1e-9), 1 - 1e-9)
        return log(scam) - log1p(-scam)
    }

    /// The likeliest kind of scam of a row of logits, whatever the verdict.
    func likeliestScam(_ logits: [Float]) -> String {
        leaves[Decision.best(logits, of: leaves, .scam)].name
    }

    /// The first of the highest among the leaves of a verdict; a checked manifest has one of every verdict that wins.
    private static func best<Value: Comparable>(_ values: [Value], of leaves: [Leaf], _ verdict: VerdictName) -> Int {
        var best: Int?
        for i in leaves.indices where leaves[i].verdict == verdict && (best == nil || values[i] > values[best!]) {
            best = i
        }
        return best ?? 0
    }

    private func result(_ index: Int, risk: Double, typeScore: Double) -> Verdict {
        let leaf = leaves[index]
        return Verdict(
            verdict: leaf.verdict, risk: risk, action: action(risk), type: leaf.name, typeScore: typeScore,
            levers: leaf.levers, model: manifest.version)
    }

    private func action(_ risk: Double) -> Action {
        if risk >= manifest.operatingPoints.block.threshold { return .block }
        return risk >= manifest.operatingPoints.warn.threshold ? .warn : .allow
    }

    private func probabilities(_ logits: [Float]) -> [Double] {
        let scaled = zip(leaves, logits).map { leaf, logit in
            (Double(logit) + (leaf.verdict == .scam ? manifest.calibration.scamBias : 0))
                / manifest.calibration.temperature
        }
        let top = scaled.max() ?? 0
        let exponentials = scaled.map { exp($0 - top) }
        let sum = exponentials.reduce(0, +)
        return exponentials.map { $0 / sum }
    }
}
