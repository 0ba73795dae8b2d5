import XCTest

@testable import Forewarn

final class GoldenVectorsTests: XCTestCase {
    private let classifier = TestFiles.classifier
    private let vectors = try! TestFiles.bundle.read("vectors.jsonl")

    func testTheRealModelsGiveEveryGoldenVector() throws {
        for bundle in [TestFiles.bundle, TestFiles.nano] {
            let vectors = try bundle.read("vectors.jsonl")
            let report = try GoldenVectors(TestFiles.loaded(bundle), vectors: vectors)
            XCTAssertEqual(report.failures, [])
            XCTAssertEqual(report.count, texts(vectors).count)
            XCTAssertGreaterThan(report.count, 50)
            XCTAssertLessThan(report.worstRisk, 0.01)
            print(
                "\(report.count) golden vectors of \(bundle.folder.lastPathComponent): "
                    + "worst logit \(report.worstLogit), worst risk \(report.worstRisk)")
        }
    }

    func testABatchGivesEachTextTheVerdictThatItHasAlone() throws {
        let texts = texts(vectors)
        let batch = try classifier.scoreBatch(texts, locale: "de")
        XCTAssertEqual(batch, try texts.map { try classifier.score($0, locale: "de") })
        XCTAssertEqual(try classifier.scoreBatch([]), [])
    }

    func testTwoThreadsScoreAtOnce() throws {
        let texts = texts(vectors)
        let alone = try classifier.scoreBatch(texts)
        let classifier = classifier
        DispatchQueue.concurrentPerform(iterations: 2) { thread in
            // One forwards, one backwards, so that they are rarely at the same text.
            let order = thread == 0 ? Array(texts.indices) : texts.indices.reversed()
            for i in order { XCTAssertEqual(try? classifier.score(texts[i]), alone[i]) }
        }
    }

    func testAVectorThatDoesNotHoldIsReported() throws {
        let line = String(decoding: vectors.split(separator: UInt8(ascii: "\n"))[0], as: UTF8.self)
        let changes = [
            ("\"ids\": [2, ", "\"ids\": [3, "),
            ("\"normalised\": \"", "\"normalised\": \"x"),
            ("\"logits\": [", "\"logits\": [9, "),
            ("\"action\": \"block\"", "\"action\": \"allow\""),
        ]
        for (old, new) in changes {
            let changed = Data(line.replacingOccurrences(of: old, with: new).utf8)
            let failures = try GoldenVectors(classifier, vectors: changed).failures
            XCTAssertEqual(failures.count, 1, old)
            XCTAssert(failures[0].hasPrefix("vector 1: "))
        }
        XCTAssertThrowsError(try GoldenVectors(classifier, vectors: Data("{}".utf8)))
        XCTAssertThrowsError(try GoldenVectors(classifier, vectors: Data()))
    }

    private func texts(_ vectors: Data) -> [String] {
        struct Line: Decodable { let text: String }
        return vectors.split(separator: UInt8(ascii: "\n")).map { try! JSONDecoder().decode(Line.self, from: $0).text }
    }
}
