import XCTest

@testable import Forewarn

/// Texts that are longer than the model reads at once.
final class WindowsTests: XCTestCase {
    private let honest = "See you at dinner tonight, love mum. Running late, be home at seven. "
    private let trick = String(
        repeating: "Your account is locked, verify now at bank-verify.example or it will be closed today. ", count: 4)

    func testWindowsStandWhereTheyStandInPython() {
        let wanted: [(pieces: Int, room: Int, starts: [Int])] = [
            (0, 10, [0]), (10, 10, [0]), (11, 10, [0, 1]), (18, 10, [0, 4, 8]),
            (100, 10, [0, 6, 13, 20, 27, 34, 41, 48, 55, 62, 69, 76, 83, 90]),
            (1000, 10, Array(stride(from: 0, through: 990, by: 66))),
            (7, 1, [0, 1, 2, 3, 4, 5, 6]),
            (220, 126, [0, 94]), (221, 126, [0, 47, 95]),
            (1527, 126, [0, 93, 186, 280, 373, 467, 560, 653, 747, 840, 934, 1027, 1120, 1214, 1307, 1401]),
            (5000, 2, [0, 333, 666, 999, 1332, 1666, 1999, 2332, 2665, 2998, 3332, 3665, 3998, 4331, 4664, 4998]),
        ]
        for (pieces, room, starts) in wanted {
            XCTAssertEqual(Windows.starts(pieces, room: room), starts, "\(pieces) pieces, room for \(room)")
        }
    }

    func testWindowsReachFromTheFirstPieceToTheLast() throws {
        let tokenizer = try Tokenizer(json: TestFiles.bundle.read("tokenizer.json"))
        let text = codes(String(repeating: honest, count: 30))
        let windows = tokenizer.windows(text, maxLength: 128)
        let pieces = tokenizer.pieces(text)
        XCTAssertEqual(windows.first?.startIndex, 0)
        XCTAssertEqual(windows.last?.endIndex, pieces.count)
        XCTAssertEqual(Set(windows.map { tokenizer.ids($0).count }), [128])
        for (window, next) in zip(windows, windows.dropFirst()) { XCTAssertLessThan(next.startIndex, window.endIndex) }
        XCTAssertEqual(tokenizer.windows([], maxLength: 128), [[]])
    }

    func testAScamIsFoundWhereverInALongTextItStands() throws {
        for bundle in [TestFiles.bundle, TestFiles.nano] {
            let classifier = try TestFiles.loaded(bundle)
            XCTAssertLessThan(try classifier.score(text(30, "", 0)).risk, 0.1)
            for text in [text(0, trick, 20), text(12, trick, 12), text(30, trick, 0)] {
                XCTAssertEqual(classifier.encode(text).count, classifier.maxLength)
                let verdict = try classifier.score(text, explain: true)
                XCTAssertEqual(verdict.verdict, .scam)
                XCTAssertGreaterThan(verdict.risk, 0.9)
                XCTAssertEqual(verdict.risk, try classifier.score(text).risk)
                // Its evidence lies in the trick, as a range of the message that was given.
                let place = try XCTUnwrap(text.range(of: trick))
                let evidence = try XCTUnwrap(verdict.evidence)
                XCTAssert(try XCTUnwrap(evidence.first).range.overlaps(place))
                for span in evidence { XCTAssertEqual(span.text, String(text[span.range])) }
            }
        }
    }

    func testTheMiddleOfAVeryLongTextIsLeftOut() throws {
        let classifier = TestFiles.classifier
        XCTAssertEqual(
            try classifier.logits(text(45, trick, 15)), try classifier.logits(text(45, "", 15)))
    }

    /// So many honest sentences, then something else, then honest ones again.
    private func text(_ before: Int, _ middle: String, _ after: Int) -> String {
        String(repeating: honest, count: before) + middle + String(repeating: honest, count: after)
    }
}
