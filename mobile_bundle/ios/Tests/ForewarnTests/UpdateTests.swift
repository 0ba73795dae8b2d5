import XCTest

@testable import Forewarn

/// Releases that `forewarn bundle pack` made, brought into a store whose app came with the first version.
final class UpdateTests: StoreTestCase {
    func testAnUpdateFetchesWhatChangedAndGivesTheBytesThatWerePacked() async throws {
        let done = try await store.update(from: release)
        XCTAssertEqual(done.before, TestRelease.firstVersion)
        XCTAssertEqual(done.after, TestRelease.secondVersion)
        XCTAssert(done.isChanged)
        try assertSecondIsInUse()
        // The index, and one for each of manifest, signature, model and forewarnings.
        let asked = release.asked()
        XCTAssertEqual(asked.count, 5, "\(asked)")
        XCTAssertEqual(asked.filter { $0.hasPrefix("deltas/") }.count, 2, "\(asked)")
        let names = try FileManager.default.contentsOfDirectory(atPath: TestRelease.second.path)
        let sizes = try names.map { try Data(contentsOf: TestRelease.second.appendingPathComponent($0)).count }
        XCTAssertEqual(done.size, sizes.reduce(0, +))
        XCTAssertLessThan(done.fetched, 20_000)
        print("one weight and one forewarning: \(done.fetched) of \(done.size) bytes fetched")

        let classifier = try TestFiles.loaded(store.open())
        let text = "Your parcel is held. Pay the 1.99 fee today: post-redeliver.example/pay"
        let verdict = try classifier.score(text, locale: "en")
        XCTAssertEqual(verdict.model, TestRelease.secondVersion)
        XCTAssertEqual(verdict.forewarning?.hasPrefix("Sham couriers"), true)
    }

    func testAnEmptyStoreFetchesTheWholeBundle() async throws {
        store = makeStore(shipped: nil)
        XCTAssertThrowsError(try store.open()) { error in
            XCTAssertEqual("\(error)", "\(home.path) holds no bundle that can be used; get one with update")
        }
        let done = try await store.update(from: release)
        XCTAssertEqual(done.before, "")
        XCTAssert((1_500_000..<done.size).contains(done.fetched), "\(done)")
        try assertSecondIsInUse()
        XCTAssertThrowsError(try store.rollback())
    }

    func testRollbackPutsTheVersionBackAndForth() async throws {
        XCTAssertThrowsError(try store.rollback()) { error in
            XCTAssert("\(error)".hasPrefix("no previous version is kept"), "\(error)")
        }
        _ = try await store.update(from: release)
        XCTAssertEqual(try store.rollback().folder.path, TestFiles.nanoFolder.path)
        XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
        XCTAssertEqual(try store.rollback().version, TestRelease.secondVersion)
        try assertSecondIsInUse()
        // What was put back before is there still, so an update to it fetches the index alone.
        _ = try store.rollback()
        _ = release.asked()
        let again = try await store.update(from: release)
        XCTAssertEqual(release.asked(), ["index.json"])
        XCTAssertEqual(again.fetched, 0)
        XCTAssert(again.isChanged)
        try assertSecondIsInUse()
        XCTAssertEqual(try store.rollback().version, TestRelease.firstVersion)
    }

    func testADownloadedVersionIsKeptForRollbackAndTheOneBeforeItDeleted() async throws {
        // The release as it was before its second version.
        let latest = "\"latest\": \""
        release.changes["index.json"] = {
            self.edited($0, latest + TestRelease.secondVersion, latest + TestRelease.firstVersion)
        }
        store = makeStore(shipped: nil)
        let first = try await store.update(from: release)
        XCTAssertEqual(first.after, TestRelease.firstVersion)
        XCTAssertEqual(try TestRelease.sums(store.open().folder), try TestRelease.sums(TestRelease.first))
        release.changes = [:]
        let second = try await store.update(from: release)
        XCTAssertEqual([second.before, second.after], [TestRelease.firstVersion, TestRelease.secondVersion])
        XCTAssertLessThan(second.fetched, 20_000)
        XCTAssertEqual(bundles(), 2)
        XCTAssertEqual(try TestRelease.sums(store.rollback().folder), try TestRelease.sums(TestRelease.first))
        XCTAssertEqual(try store.rollback().version, TestRelease.secondVersion)

        // A store whose app has shipped another one since needs neither of them after the next update.
        try StoreState(current: .shipped, previous: .shipped).write(in: home)
        store = makeStore()
        _ = try await store.update(from: release)
        XCTAssertEqual(bundles(), 1)
        try assertSecondIsInUse()
    }

    func testAnUpdateToWhatIsThereReplacesNothingSoThatThePreviousOneStays() async throws {
        _ = try await store.update(from: release)
        _ = release.asked()
        let again = try await store.update(from: release)
        XCTAssertFalse(again.isChanged)
        XCTAssertEqual([again.before, again.after], [TestRelease.secondVersion, TestRelease.secondVersion])
        XCTAssertEqual(again.fetched, 0)
        XCTAssertEqual(release.asked(), ["index.json"])
        XCTAssertEqual(try store.rollback().version, TestRelease.firstVersion)
    }

    func testADamagedPreviousVersionIsNotPutBack() async throws {
        _ = try await store.update(from: release)
        let file = try store.open().file("model.onnx")
        _ = try store.rollback()
        try Data(count: 9).write(to: file)
        XCTAssertThrowsError(try store.rollback()) { error in
            XCTAssert("\(error)".contains("model.onnx is damaged"), "\(error)")
        }
        XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
        _ = try await store.update(from: release)
        try assertSecondIsInUse()
    }

    func testAFlippedBitInWhatWasDownloadedGivesWayToTheAppsBundleAndIsFetchedAgain() async throws {
        _ = try await store.update(from: release)
        let folder = try store.open().folder
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            try flip(name, at: 20, in: folder)
            XCTAssertEqual(try store.open().version, TestRelease.firstVersion, name)
            try flip(name, at: 20, in: folder)
        }
        try assertSecondIsInUse()
        try flip("tokenizer.json", at: 20, in: folder)
        let again = try await store.update(from: release)
        XCTAssert(again.isChanged)
        XCTAssertLessThan(again.fetched, 20_000, "all but the differences is on the device")
        try assertSecondIsInUse()
    }

    func testTheNewestOfWhatTheAppBringsAndWhatWasDownloadedIsUsed() async throws {
        let newer = try shipped("9999.0.9")
        let newest = try shipped("9999.1.10")
        defer { for folder in [newer, newest] { try? FileManager.default.removeItem(at: folder) } }
        _ = try await store.update(from: release)
        XCTAssertEqual(try makeStore(shipped: newer).open().version, TestRelease.secondVersion)
        store = makeStore(shipped: newest)
        XCTAssertEqual(try store.open().version, "9999.1.10")
        // A release that is older than that brings nothing back.
        let none = try await store.update(from: release)
        XCTAssertFalse(none.isChanged)
        XCTAssertEqual(none.after, "9999.1.10")
        XCTAssertEqual(try store.rollback().version, "9999.1.10")
        XCTAssertThrowsError(try store.rollback(), "what was downloaded is older")
        XCTAssertEqual(try store.open().version, "9999.1.10")
    }

    /// What an app with another version would ship.
    private func shipped(_ version: String) throws -> URL {
        let folder = try TestFiles.copy(of: TestFiles.nano)
        let file = folder.appendingPathComponent(Manifest.name)
        try edited(Data(contentsOf: file), TestRelease.firstVersion, version).write(to: file)
        return folder
    }

    func testABundleThatTheAppCannotUseIsNotPutIntoUseNorFetchedAgain() async throws {
        struct CannotRun: Error {}
        for attempt in 0..<2 {
            do {
                _ = try await store.update(from: release) { bundle in
                    XCTAssertEqual(bundle.version, TestRelease.secondVersion)
                    throw CannotRun()
                }
                XCTFail("it is in use")
            } catch is CannotRun {}
            XCTAssertEqual(release.asked().count, attempt == 0 ? 5 : 1)
            XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
            XCTAssertEqual(bundles(), 0)
        }
        _ = try await store.update(from: release) { _ = try TestFiles.loaded($0) }
        XCTAssertEqual(release.asked(), ["index.json"])
        try assertSecondIsInUse()
    }

    func testAStateThatCannotBeReadIsMadeAnew() async throws {
        _ = try await store.update(from: release)
        for content in ["", "x\ny\n", "../../etc\n-\n", "shipped\n"] {
            try Data(content.utf8).write(to: home.appendingPathComponent(StoreState.file))
            XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
            _ = try await store.update(from: release)
            try assertSecondIsInUse()
        }
    }

    func testWhatIsNotTheStoresIsLeftAlone() async throws {
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        let file = home.appendingPathComponent("notes.part")
        try Data("mine".utf8).write(to: file)
        _ = try await store.update(from: release)
        _ = try store.rollback()
        XCTAssertEqual(try Data(contentsOf: file), Data("mine".utf8))
    }

    func testADifferenceIsAddedByteByByteToAsMuchOfTheOldContentAsTheNewOneHas() {
        let change = Data([1, 255, 3, 4])
        XCTAssertEqual(Download.sum(Data([1, 2, 254]), change), Data([2, 1, 1, 4]))
        XCTAssertEqual(Download.sum(Data([1, 2, 3, 4, 5]), change), Data([2, 1, 6, 8]))
        XCTAssertEqual(Download.sum(Data([1]), Data()), Data())
    }

    func testVersionsAreComparedNumberByNumber() {
        let rising = [
            "", "2025.12.9", "2026.2", "2026.2.0", "2026.11.5", "2026.11.10", "2026.11.10.1", "9999",
            "123456789012345678901234567890", "a", "b",
        ]
        for i in rising.indices {
            for j in rising.indices {
                XCTAssertEqual(isNewer(rising[i], than: rising[j]), i > j, "\(rising[i]) \(rising[j])")
            }
        }
        XCTAssertFalse(isNewer("2026.02", than: "2026.2"))
        XCTAssertFalse(isNewer("2026.2", than: "2026.02"))
    }

    private func edited(_ content: Data, _ old: String, _ new: String) -> Data {
        let text = String(decoding: content, as: UTF8.self)
        XCTAssert(text.contains(old), "the change changes nothing")
        return Data(text.replacingOccurrences(of: old, with: new).utf8)
    }
}
