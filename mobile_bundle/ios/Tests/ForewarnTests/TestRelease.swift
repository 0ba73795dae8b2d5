import Foundation
import XCTest

@testable import Forewarn

/// Two signed versions of the nano bundle, and a release of both that `forewarn bundle pack` made;
/// scripts/make_release.py writes them.
final class TestRelease: Release, @unchecked Sendable {
    /// What a server says of a file that it does not have.
    struct NotThere: LocalizedError {
        let errorDescription: String? = "HTTP 404"
    }

    /// The version of the second one: one weight of its model has moved, and one forewarning says it otherwise.
    static let secondVersion = "9999.1.0"
    static let firstVersion = TestFiles.nano.version
    static let first = TestFiles.releaseFolder.appendingPathComponent("first")
    static let second = TestFiles.releaseFolder.appendingPathComponent("second")
    static let publicKey: String = {
        let file = TestFiles.releaseFolder.appendingPathComponent("public_key")
        guard let key = try? String(contentsOf: file, encoding: .ascii) else {
            fatalError("there is no \(file.path); run make test-ios")
        }
        let shipped = try! Data(contentsOf: TestFiles.nanoFolder.appendingPathComponent(Manifest.name))
        precondition(
            try! Data(contentsOf: first.appendingPathComponent(Manifest.name)) == shipped,
            "the release was made of another bundle; run make test-ios")
        return key
    }()
    private static let folder = TestFiles.releaseFolder.appendingPathComponent("release")

    /// What is given out instead of a file, by the start of its path; nil is nothing.
    var changes: [String: (Data) -> Data?] = [:]
    /// Is done before a file is given out.
    var before: (String) throws -> Void = { _ in }
    private let lock = NSLock()
    private var paths: [String] = []

    /// What was asked for since the last time that somebody looked.
    func asked() -> [String] {
        lock.lock()
        defer {
            paths = []
            lock.unlock()
        }
        return paths
    }

    func content(of path: String, atMost most: Int) async throws -> Data {
        note(path)
        try before(path)
        return try content(of: path)
    }

    /// What is given out for a path, changed where it is to be.
    func content(of path: String) throws -> Data {
        var content = try? Data(contentsOf: TestRelease.folder.appendingPathComponent(path))
        for (start, change) in changes where path.hasPrefix(start) { content = content.flatMap(change) }
        guard let content else { throw NotThere() }
        return content
    }

    private func note(_ path: String) {
        lock.lock()
        defer { lock.unlock() }
        paths.append(path)
    }

    /// The sha256 of each file of a folder, by name.
    static func sums(_ folder: URL) throws -> [String: String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        return try Dictionary(uniqueKeysWithValues: names.map { name in
            (name, OpenSSL.sha256(try Data(contentsOf: folder.appendingPathComponent(name))).hex)
        })
    }
}

/// A store in a folder of its own, whose app ships the first version, unsigned.
class StoreTestCase: XCTestCase {
    let release = TestRelease()
    var home: URL!
    var store: BundleStore!

    override func setUpWithError() throws {
        try installTheApp()
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(at: home.deletingLastPathComponent())
    }

    func installTheApp() throws {
        if let home { try FileManager.default.removeItem(at: home.deletingLastPathComponent()) }
        home = try TestFiles.temporaryFolder().appendingPathComponent("store")
        store = makeStore()
        XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
        XCTAssertFalse(FileManager.default.fileExists(atPath: home.path), "opening writes nothing")
    }

    func makeStore(shipped: URL? = TestFiles.nanoFolder, publicKey: String = TestRelease.publicKey) -> BundleStore {
        BundleStore(at: home, shipped: shipped, publicKey: publicKey, cryptography: OpenSSL.cryptography)
    }

    /// The names of what lies in the store.
    func names() -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: home.path)) ?? []).sorted()
    }

    /// How many bundles the store keeps.
    func bundles() -> Int {
        names().filter { $0.count == 64 }.count
    }

    func assertSecondIsInUse(line: UInt = #line) throws {
        let bundle = try store.open()
        XCTAssertEqual(bundle.version, TestRelease.secondVersion, line: line)
        XCTAssertEqual(try TestRelease.sums(bundle.folder), try TestRelease.sums(TestRelease.second), line: line)
        XCTAssertFalse(names().contains { $0.contains(".") }, "something is left behind: \(names())", line: line)
    }

    /// The error of an update, which must be one line, and must not have replaced anything.
    @discardableResult
    func refused(_ reason: String, from release: Release? = nil, line: UInt = #line) async throws -> String {
        let version = try store.open().version
        let there = Set(names())
        do {
            let done = try await store.update(from: release ?? self.release)
            XCTFail("\(done), not \(reason)", line: line)
            return ""
        } catch {
            let message = "\(error)"
            XCTAssert(error is ForewarnError, message, line: line)
            XCTAssert(message.contains(reason), "\(message), not \(reason)", line: line)
            XCTAssertFalse(message.contains("\n"), message, line: line)
            XCTAssertEqual(try store.open().version, version, line: line)
            XCTAssert(Set(names().filter { !$0.hasSuffix(".part") }).isSubset(of: there), "\(names())", line: line)
            return message
        }
    }
}
