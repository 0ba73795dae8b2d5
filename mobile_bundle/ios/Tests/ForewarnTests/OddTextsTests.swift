import XCTest

@testable import Forewarn

/// No string makes the client trap or throw.
final class OddTextsTests: XCTestCase {
    private let classifier = TestFiles.classifier

    func testAnyCharactersAreScored() throws {
        let classifier = try TestFiles.withoutModel()
        var random = Generator(state: 7)
        let limits: [UInt32] = [0x80, 0x600, 0x3000, 0x10000, 0x110000]
        for round in 0..<1000 {
            let limit = limits[round % limits.count]
            // Through UTF-16, as iOS's own strings come: halves of pairs come alone too, and NUL.
            var units: [UInt16] = []
            for _ in 0..<Int.random(in: 0..<80, using: &random) {
                if Int.random(in: 0..<10, using: &random) == 0 {
                    units.append(UInt16.random(in: 0xd800...0xdfff, using: &random))
                } else if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &random)) {
                    units += Array(UTF16.encode(scalar)!)
                }
            }
            try holds(String(decoding: units, as: UTF16.self), classifier)
        }
    }

    func testVeryLongTextsAreScored() throws {
        let marks = ["\u{301}", "\u{301}\u{323}"]
        for unit in marks + ["a", " ", "\0", "1", "\u{1f600}", "\u{fdfa}", "[SEP]", "win ", "각"] {
            try holds(String(repeating: unit, count: 100_000 / unit.unicodeScalars.count), classifier)
        }
    }

    func testOnlyHeadAndTailOfAVeryLongTextAreRead() {
        let spaces = String(repeating: " ", count: 50_000)
        XCTAssertEqual(classifier.normalise("x\(spaces)not read\(spaces)y"), "x y")
        XCTAssertEqual(classifier.normalise("x not read\(spaces.prefix(3000))y"), "x not read y")
    }

    func testLoneHalvesCountAsReplacementCharactersAndNulAsNothing() {
        let lone = String(decoding: [0x61, 0xd83d, 0x62] as [UInt16], as: UTF16.self)
        XCTAssertEqual(classifier.encode(lone), classifier.encode("a\u{fffd}b"))
        XCTAssertEqual(classifier.encode("p\0r\0ize\0"), classifier.encode("prize"))
    }

    func testCanonicallyEquivalentTextsAreNormalisedToOne() {
        XCTAssertEqual(classifier.encode("Cafe\u{301}"), classifier.encode("CAF\u{c9}"))
    }

    func testNothingToReadIsLegitimate() throws {
        for text in ["", " ", "\n\t", "\0", "\u{200b}\u{200d}", "\u{1c}", "\u{85}\u{3000}"] {
            let verdict = try classifier.score(text, sender: "+6591234567", locale: "en-GB", explain: true)
            XCTAssertEqual(verdict.verdict, .legitimate)
            XCTAssertEqual(verdict.risk, 0)
            XCTAssertEqual(verdict.action, .allow)
            XCTAssertEqual(verdict.evidence, [])
            XCTAssertNil(verdict.forewarning)
        }
    }

    func testAModelThatIsNotTheBundlesIsFoundAtOnce() {
        let broken = (0..<21).map { $0 == 3 ? Float.nan : 0 }
        for rows in [[[1]], [], [broken], [[Float]](repeating: [Float](repeating: 0, count: 21), count: 2)] {
            let model = ConstantModel(rows: rows)
            XCTAssertThrowsError(try ScamClassifier(bundle: TestFiles.bundle, model: model)) { error in
                guard case ForewarnError.bundle = error else { return XCTFail("\(error)") }
            }
        }
    }

    private func holds(_ text: String, _ classifier: ScamClassifier) throws {
        let ids = classifier.encode(text)
        XCTAssert((2...classifier.maxLength).contains(ids.count))
        XCTAssertEqual([ids.first, ids.last], [2, 3])
        let verdict = try classifier.score(text, locale: "und")
        XCTAssert((0...1).contains(verdict.risk))
        XCTAssertEqual(classifier.encode(text), ids)
    }
}

/// Random numbers that are the same every time (splitmix64).
private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
