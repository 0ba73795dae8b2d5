import XCTest

@testable import Forewarn

/// Releases that are damaged, foreign, or not signed as they must be.
final class RefusedUpdateTests: StoreTestCase {
    func testADamagedOrMissingDifferenceIsNoReasonToGiveUp() async throws {
        let changes: [(Data) -> Data?] = [flipped, { _ in nil }, { _ in self.emptyDeflated }, { _ in Data() }]
        for change in changes {
            try installTheApp()
            release.changes["deltas/"] = change
            _ = try await store.update(from: release)
            try assertSecondIsInUse()
        }
    }

    func testWhatIsDamagedIsRefused() async throws {
        let damaged = "a downloaded file is damaged; nothing was replaced"
        try await objectRefused(flipped, damaged)
        try await objectRefused({ $0.dropLast(9) }, damaged)
        try await objectRefused({ _ in self.emptyDeflated }, damaged)
        try await objectRefused({ _ in Data() }, damaged)
        try await objectRefused({ _ in Data(count: 4_000_000) }, "it is longer than the index says")
        try await objectRefused({ _ in nil }, "cannot be fetched (HTTP 404); nothing was replaced")
        try await objectRefused({ $0.count > 1000 ? self.flipped($0) : $0 }, damaged)
    }

    private func objectRefused(_ change: @escaping (Data) -> Data?, _ reason: String, line: UInt = #line) async throws {
        release.changes = ["objects/": change, "deltas/": { _ in nil }]
        try await refused(reason, line: line)
    }

    func testAnIndexThatIsNoneOrDoesNotFitItsBundleIsRefused() async throws {
        let none = "index.json is not a release's index"
        let model = try XCTUnwrap(TestRelease.sums(TestRelease.second)["model.onnx"])
        let manifest = try XCTUnwrap(TestRelease.sums(TestRelease.second)[Manifest.name])
        let bytes = try Data(contentsOf: TestRelease.second.appendingPathComponent("model.onnx")).count
        let firstManifest = try XCTUnwrap(TestRelease.sums(TestRelease.first)[Manifest.name])
        let changes: [(String, String, String)] = [
            ("{", "[", none),
            ("\"format\": 1", "\"format\": 2", "upgrade the forewarn client"),
            ("\"latest\": \"9999.1.0", "\"latest\": \"9999.2", none),
            ("\"manifest.json\"", "\"other.json\"", none),
            (model, "../" + model.dropFirst(3), none),
            (model, model.uppercased(), none),
            ("\"deltas/", "\"../", none),
            (".z\"", ".z\\n\"", none),
            ("\"bytes\": ", "\"bytes\": -", none),
            ("\"bytes\": ", "\"bytes\": 99999999999999", none),
            ("\"bytes\": ", "\"bytes\": 0.", none),
            ("\"bytes\": ", "\"bytes\": 9999", "is too large to be one of ours"),
            ("\"bytes\": \(bytes)", "\"bytes\": \(bytes - 1)", "a downloaded file is damaged"),
            ("\"model.onnx\"", "\"model\"", "index.json has another model.onnx than the signed manifest"),
            ("\"model.onnx\"", "\"../model.onnx\"", "index.json has another model.onnx"),
            ("\"manifest.sig\"", "\"manifest.asc\"", "is not signed (no manifest.sig)"),
            ("9999.1.0", "9999.1.1", "the release gives 9999.1.0 out as 9999.1.1"),
            // The first version's manifest, which is on the device, beside the second one's signature.
            (manifest, firstManifest, "is not signed with this key"),
        ]
        for (old, new, reason) in changes {
            release.changes = ["index.json": { content in
                let text = String(decoding: content, as: UTF8.self)
                XCTAssert(text.contains(old), "\(old) is not there to be changed")
                return Data(text.replacingOccurrences(of: old, with: new).utf8)
            }]
            try await refused(reason)
            XCTAssertFalse(names().contains { $0.hasSuffix(".part") }, "\(new) leaves something behind")
        }
        release.changes = ["index.json": { _ in nil }]
        try await refused("index.json cannot be fetched (HTTP 404)")
        release.changes = ["index.json": { _ in Data(count: 1 << 25) }]
        try await refused("index.json cannot be fetched (it is longer than the index says)")
    }

    func testWhatIsKeptForRollbackIsNotBroughtBackUnderANewerName() async throws {
        store = makeStore(shipped: nil)
        let index = String(decoding: try release.content(of: "index.json"), as: UTF8.self)
        let first = "\"latest\": \"\(TestRelease.firstVersion)\""
        let second = "\"latest\": \"\(TestRelease.secondVersion)\""
        release.changes = ["index.json": { _ in Data(index.replacingOccurrences(of: second, with: first).utf8) }]
        _ = try await store.update(from: release)
        release.changes = [:]
        _ = try await store.update(from: release)
        let lie = index.replacingOccurrences(of: TestRelease.secondVersion, with: "0")
            .replacingOccurrences(of: TestRelease.firstVersion, with: "9999.2")
            .replacingOccurrences(of: "\"latest\": \"0\"", with: "\"latest\": \"9999.2\"")
        release.changes = ["index.json": { _ in Data(lie.utf8) }]
        try await refused("the release gives \(TestRelease.firstVersion) out as 9999.2")
        try assertSecondIsInUse()
    }

    func testAnotherKeyAndNoneAreRefused() async throws {
        let other = OpenSSL.sign(Data(), secret: Data((0..<32).map { UInt8($0) })).publicKey.base64EncodedString()
        store = makeStore(publicKey: other)
        try await refused("is not signed with this key")
        // Nothing but index, manifest and signature was fetched to see that.
        let asked = release.asked()
        XCTAssertEqual(asked.count, 3, "\(asked)")
        store = makeStore(publicKey: "no key")
        try await refused("the public key is not 32 bytes in base64")

        // Nor is anything used that another key has signed, or whose signature went away since.
        store = makeStore()
        _ = try await store.update(from: release)
        XCTAssertEqual(try makeStore(publicKey: other).open().version, TestRelease.firstVersion)
        XCTAssertThrowsError(try makeStore(publicKey: "no key").open())
        try FileManager.default.removeItem(at: store.open().folder.appendingPathComponent("manifest.sig"))
        XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
    }

    func testAStoreThatCannotBeWrittenSaysSo() async throws {
        try Data("a file".utf8).write(to: home)
        try await refused("\(home.path) cannot be written")
    }

    func testOnlyWhatIsWholeAndAsLongAsItMustBeIsInflated() throws {
        let model = try XCTUnwrap(TestRelease.sums(TestRelease.first)["MODEL_CARD.md"])
        let packed = try release.content(of: "objects/\(model).z")
        let content = try Data(contentsOf: TestRelease.first.appendingPathComponent("MODEL_CARD.md"))
        XCTAssertEqual(Zlib.inflated(packed, size: content.count), content)
        XCTAssertEqual(Zlib.inflated(emptyDeflated, size: 0), Data())
        for size in [0, 1, content.count - 1, content.count + 1] {
            XCTAssertNil(Zlib.inflated(packed, size: size))
        }
        for wrong in [Data(), packed.dropLast(), packed.dropFirst(), flipped(packed), content] {
            XCTAssertNil(Zlib.inflated(wrong, size: content.count))
        }
    }

    private func flipped(_ content: Data) -> Data {
        var content = content
        content[content.count / 2] ^= 0x10
        return content
    }

    /// What zlib makes of nothing.
    private let emptyDeflated = Data([0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01])
}
