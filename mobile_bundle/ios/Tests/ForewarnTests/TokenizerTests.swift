import XCTest

@testable import Forewarn

final class TokenizerTests: XCTestCase {
    private static let json = try! TestFiles.bundle.read("tokenizer.json")
    private static let tokenizer = try! Tokenizer(json: json)
    private let fixture = TestFiles.fixture
    private let classifier = TestFiles.classifier

    func testIdsOfDifficultTextsArePythons() {
        XCTAssertGreaterThan(fixture.cases.count, 500)
        let wrong = fixture.cases.filter { classifier.encode($0.text) != $0.ids }
        XCTAssertEqual(wrong.map(\.text), [])
        XCTAssert(fixture.cases.allSatisfy { classifier.encode($0.text).count <= classifier.maxLength })
    }

    func testPiecesStandWhereTheyStandInPythonThroughEverythingThatNormalisingMoves() {
        let wrong = fixture.cases.filter { example in
            let read = MessageText(example.text)
            // The fixture counts in UTF-16 units.
            var units = [0]
            for code in read.codes { units.append(units.last! + (code > 0xffff ? 2 : 1)) }
            let pieces = Self.tokenizer.windows(read.codes, maxLength: classifier.maxLength)[0]
            return pieces.map { [units[$0.range.lowerBound], units[$0.range.upperBound]] } != example.pieces
        }
        XCTAssertEqual(wrong.map(\.text), [])
    }

    func testTheSameTextsAreBlankAsInPython() throws {
        let classifier = try TestFiles.withoutModel()
        let wrong = try fixture.cases.filter { (try classifier.score($0.text).typeScore == 0) != $0.blank }
        XCTAssertEqual(wrong.map(\.text), [])
    }

    func testAToyTokenizerCutsAsInPythonWhereCostsAreCloseOrEqual() throws {
        let toy = try Tokenizer(json: Data(fixture.toy.tokenizer.utf8))
        for example in fixture.toy.cases {
            XCTAssertEqual(toy.ids(toy.pieces(codes(example.text))), example.ids, example.text)
        }
    }

    func testEveryCharacterNormalisesAndSplitsAsInPython() {
        let tokenizer = Self.tokenizer
        func normalised(_ text: [UInt32]) -> String { string(tokenizer.normalise(text)) }
        let wrong = fixture.characters.filter { block in
            let scalars = (block.start..<block.start + fixture.block).filter { Unicode.Scalar($0) != nil }
            let lines = scalars.map { code -> String in
                let alone = normalised([0x61, code, 0x62])
                let among = normalised([0x78, 0x301, code, 0x334, 0x345])
                return "\(alone)|\(among)|\(tokenizer.ids(tokenizer.pieces([0x61, code, 0x31])).count)"
            }
            return OpenSSL.sha256(Data(lines.joined(separator: "\n").utf8)).hex.prefix(16) != block.sha256
        }
        XCTAssertEqual(wrong.map { "U+" + String($0.start, radix: 16) }, [])
    }

    func testATokenizerWithAStepThatIsNotOursIsRefused() throws {
        let changes = [
            ("{\"type\":\"NFKC\"}", "{\"type\":\"NFKD\"}"),
            ("\"\\\\p{Cf}\"", "\"\\\\p{Cc}\""),
            ("\"type\":\"Metaspace\"", "\"type\":\"Whitespace\""),
            ("\"individual_digits\":true}", "\"individual_digits\":true},{\"type\":\"Punctuation\"}"),
            ("\"individual_digits\":true", "\"individual_digits\":false"),
            ("\"type\":\"Unigram\"", "\"type\":\"WordPiece\""),
            ("\"byte_fallback\":false", "\"byte_fallback\":true"),
            ("\"lstrip\":false", "\"lstrip\":true"),
            ("\"type\":\"TemplateProcessing\"", "\"type\":\"BertProcessing\""),
        ]
        // The toy has the same steps and a dozen pieces.
        let compact = fixture.toy.tokenizer
            .replacingOccurrences(of: ": ", with: ":").replacingOccurrences(of: ", ", with: ",")
        XCTAssertNoThrow(try Tokenizer(json: Data(compact.utf8)))
        for (old, new) in changes {
            XCTAssert(compact.contains(old), old)
            let changed = Data(compact.replacingOccurrences(of: old, with: new).utf8)
            XCTAssertThrowsError(try Tokenizer(json: changed), new) { error in
                XCTAssert("\(error)".contains("upgrade the forewarn client"), "\(error)")
            }
        }
    }

    func testWhatIsNoTokenizerIsRefused() {
        for content in ["", "{", "[]", "null", "{}", "{\"added_tokens\": 1}"] {
            XCTAssertThrowsError(try Tokenizer(json: Data(content.utf8)), content) { error in
                XCTAssert("\(error)".contains("is not a tokenizer"), "\(error)")
            }
        }
    }
}
