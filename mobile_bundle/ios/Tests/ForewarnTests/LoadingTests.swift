import ForewarnONNX
import XCTest

@testable import Forewarn

/// What loading costs. Run in a process of its own, or memory that other tests have given back is used again.
final class LoadingTests: XCTestCase {
    func testWhatLoadingCosts() throws {
        let start = try XCTUnwrap(memory(), "there is no /proc to read the memory from")
        let began = Date()
        let bundle = try ModelBundle(at: TestFiles.bundleFolder, cryptography: OpenSSL.cryptography)
        let checked = Date()
        let row = [Float](repeating: 0, count: bundle.manifest.labels.leaves.count)
        let core = try ScamClassifier(bundle: bundle, model: ConstantModel(rows: [row]))
        let loaded = Date()
        let afterCore = try XCTUnwrap(memory())
        let classifier = try ScamClassifier(bundle: bundle, model: OnnxModel(file: bundle.file("model.onnx")))
        let afterModel = try XCTUnwrap(memory())
        XCTAssertEqual(core.encode("hello"), classifier.encode("hello"))

        let texts = TestFiles.fixture.senders.verdicts.map(\.text)
        var times: [Double] = []
        for text in texts {
            let start = Date()
            _ = try classifier.score(text)
            times.append(-start.timeIntervalSinceNow * 1000)
        }
        times.sort()
        func ms(_ from: Date, _ to: Date) -> Int { Int(to.timeIntervalSince(from) * 1000) }
        print(
            "check \(ms(began, checked)) ms, tokenizer \(ms(checked, loaded)) ms, a message "
                + "\(times[times.count / 2]) ms at the median, \(times.last!) ms at most")
        print(
            "private memory beyond the test process: core \(afterCore.now - start.now) MB, with the model "
                + "\(afterModel.now - start.now) MB; at most resident, with what is mapped and the test process: "
                + "\(start.peak) MB before, \(afterCore.peak) MB with the core, \(afterModel.peak) MB with the model")
        XCTAssertLessThan(afterModel.now - start.now, 60)
    }

    /// Private memory now and resident memory at most so far, in MB; nil where the system does not tell.
    private func memory() -> (now: Int, peak: Int)? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        func value(_ name: String) -> Int? {
            let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
            return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 / 1024 }
        }
        guard let now = value("RssAnon"), let peak = value("VmHWM") else { return nil }
        return (now, peak)
    }
}
