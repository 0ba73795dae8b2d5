import ForewarnONNX
import XCTest

@testable import Forewarn

final class OnnxModelTests: XCTestCase {
    private let model = try! OnnxModel(file: try! TestFiles.bundle.file("model.onnx"))

    func testRowsOfABatchGetTheLogitsThatTheyGetAlone() throws {
        let classifier = TestFiles.classifier
        let rows = ["Win a prize now", "hello mum"].map { classifier.encode($0).map(Int64.init) }
        let width = rows.map(\.count).max()!
        let padded = rows.map { $0 + Array(repeating: 0, count: width - $0.count) }
        let mask = rows.map { row in (0..<width).map { Int64($0 < row.count ? 1 : 0) } }
        let batch = try model.logits(ids: padded, mask: mask)
        for (row, logits) in zip(rows, batch) {
            let alone = try model.logits(ids: [row], mask: [Array(repeating: 1, count: row.count)])[0]
            for (a, b) in zip(alone, logits) { XCTAssertEqual(a, b, accuracy: 0.01) }
        }
        XCTAssertEqual(try model.logits(ids: [], mask: []), [])
    }

    func testRowsThatDoNotFitAreRefused() {
        let wrong: [([[Int64]], [[Int64]])] = [
            ([[2, 3]], [[1]]), ([[2, 3], [2]], [[1, 1], [1]]), ([[2]], []), ([[]], [[]]), ([[2, 99_999_999]], [[1, 1]]),
        ]
        for (ids, mask) in wrong {
            XCTAssertThrowsError(try model.logits(ids: ids, mask: mask)) { error in
                guard case ForewarnError.use(let message) = error else { return XCTFail("\(error)") }
                XCTAssertFalse(message.contains("99999999"), message)
            }
        }
    }

    func testWhatIsNoModelIsRefused() throws {
        for name in ["nowhere.onnx", "tokenizer.json"] {
            let file = TestFiles.bundleFolder.appendingPathComponent(name)
            XCTAssertThrowsError(try OnnxModel(file: file)) { error in
                XCTAssert("\(error)".hasPrefix("\(name) cannot be loaded"), "\(error)")
                XCTAssertFalse("\(error)".contains("\n"))
            }
        }
    }
}
