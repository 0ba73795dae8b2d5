import Foundation

/// Compares a device with a bundle's golden vectors: does it give the verdicts that every other platform gives?
public struct GoldenVectors: Sendable {
    /// How far a logit may lie from the golden one: runtimes round differently.
    public static let logitTolerance = 0.05

    /// How many vectors there were.
    public let count: Int
    /// The largest distance of a logit, and of a risk, from its golden value.
    public let worstLogit: Double
    public let worstRisk: Double
    /// One line a deviation; empty when this device gives what every other one gives.
    public let failures: [String]

    /// Runs the vectors: normalised text, ids and verdict must be exact, logits within `logitTolerance`.
    ///
    /// - Parameters:
    ///   - classifier: the loaded bundle.
    ///   - vectors: the content of the bundle's vectors.jsonl: `bundle.read("vectors.jsonl")`.
    /// - Throws: `ForewarnError.bundle` if these are no golden vectors; or if the model cannot be run.
    public init(_ classifier: ScamClassifier, vectors: Data) throws {
        let golden = try GoldenVectors.parse(vectors)
        var worstLogit = 0.0
        var worstRisk = 0.0
        var failures: [String] = []
        for (i, wanted) in golden.enumerated() {
            func expect(_ condition: Bool, _ failure: String) {
                if !condition { failures.append("vector \(i + 1): \(failure)") }
            }
            // Swift takes canonically equivalent strings for equal, so their bytes are compared.
            let normalised = classifier.normalise(wanted.text)
            expect(normalised.utf8.elementsEqual(wanted.normalised.utf8), "the normalised text differs")
            expect(classifier.encode(wanted.text) == wanted.ids, "ids differ")

            let apart = distance(try classifier.logits(wanted.text), wanted.logits)
            worstLogit = max(worstLogit, apart)
            expect(apart <= GoldenVectors.logitTolerance, "a logit is \(apart) away")

            let got = try classifier.score(wanted.text)
            worstRisk = max(worstRisk, abs(got.risk - wanted.verdict.risk))
            expect(
                wanted.verdict.fits(got),
                "the verdict differs: \(got.verdict) \(got.risk) \(got.action) \(got.type) \(got.model)")
        }
        self.count = golden.count
        self.worstLogit = worstLogit
        self.worstRisk = worstRisk
        self.failures = failures
    }

    private static func parse(_ vectors: Data) throws -> [Vector] {
        do {
            let golden = try vectors.split(separator: UInt8(ascii: "\n")).map {
                try JSONDecoder().decode(Vector.self, from: $0)
            }
            guard !golden.isEmpty else {
                throw ForewarnError.bundle("vectors.jsonl is empty; export the bundle again")
            }
            return golden
        } catch is DecodingError {
            throw ForewarnError.bundle("vectors.jsonl is not golden vectors; export the bundle again")
        }
    }
}

private func distance(_ got: [Float], _ wanted: [Double]) -> Double {
    guard got.count == wanted.count else { return .infinity }
    return zip(got, wanted).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
}

/// One line of vectors.jsonl, as `forewarn export` writes it.
private struct Vector: Decodable {
    struct Wanted: Decodable {
        let verdict: String
        let risk: Double
        let action: String
        let type: String
        let levers: [String]
        let model: String

        func fits(_ got: Verdict) -> Bool {
            got.verdict.rawValue == verdict && got.action.rawValue == action && got.type == type
                && got.levers == levers && got.model == model
        }
    }

    let text: String
    let normalised: String
    let ids: [Int]
    let logits: [Double]
    let verdict: Wanted
}
