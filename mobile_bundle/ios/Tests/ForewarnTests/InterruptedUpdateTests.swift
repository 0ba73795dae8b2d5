import XCTest

@testable import Forewarn

/// Updates that are killed, cut off or cancelled in the middle, and what others see meanwhile.
final class InterruptedUpdateTests: StoreTestCase {
    /// Where a process that is to be killed finds what to do: the store's folder, and at which file to die.
    private static let variable = "FOREWARN_TEST_KILLED"

    /// An app's process that dies in the middle of an update; the test below starts it.
    func testThatAnotherTestStartsToBeKilled() async throws {
        guard let order = ProcessInfo.processInfo.environment[InterruptedUpdateTests.variable] else {
            throw XCTSkip("not started by the other test")
        }
        try FileManager.default.removeItem(at: home.deletingLastPathComponent())  // who dies does not tidy up
        let parts = order.split(separator: "|").map(String.init)
        let place = try XCTUnwrap(Int(parts[1]))
        var count = 0
        release.before = { _ in
            count += 1
            if count == place { _exit(9) }
        }
        let store = BundleStore(
            at: URL(fileURLWithPath: parts[0]), shipped: TestFiles.nanoFolder, publicKey: TestRelease.publicKey,
            cryptography: OpenSSL.cryptography)
        _ = try await store.update(from: release) { _ in _exit(9) }
    }

    func testAnUpdateThatIsKilledLeavesTheOldBundleWholeAndTheNextOneDoesIt() async throws {
        // At the index, at the second and the last file, and when all is there but not put into use.
        for place in [1, 3, 5, 99] {
            try installTheApp()
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments = ["ForewarnTests.InterruptedUpdateTests/testThatAnotherTestStartsToBeKilled"]
            process.environment = ProcessInfo.processInfo.environment
            process.environment?[InterruptedUpdateTests.variable] = "\(home.path)|\(place)"
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            XCTAssertEqual(process.terminationStatus, 9)

            XCTAssertEqual(names().contains { $0.hasSuffix(".part") }, place > 1)
            XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
            _ = release.asked()
            _ = try await store.update(from: release)
            // What was there before the end is not fetched again.
            XCTAssertEqual(release.asked().count, [1: 5, 3: 4, 5: 2, 99: 1][place])
            try assertSecondIsInUse()
        }
    }

    func testAHalfWrittenFileOfAnEarlierTryIsNotUsed() async throws {
        let model = try XCTUnwrap(TestRelease.sums(TestRelease.second)["model.onnx"])
        release.before = { path in
            if path.hasPrefix("deltas/") || path.contains(model) { throw TestRelease.NotThere() }
        }
        try await refused("cannot be fetched (HTTP 404); nothing was replaced")
        let part = try XCTUnwrap(names().first { $0.hasSuffix(".part") })
        let folder = home.appendingPathComponent(part)
        try Data(count: 1000).write(to: folder.appendingPathComponent("model.onnx"))
        try Data(count: 1000).write(to: folder.appendingPathComponent("other"))
        try flip("forewarnings.json", at: 9, in: folder)
        release.before = { _ in }
        _ = try await store.update(from: release)
        try assertSecondIsInUse()
    }

    func testWhatIsLeftOfAnotherVersionIsDeleted() async throws {
        let leftover = home.appendingPathComponent(String(repeating: "a", count: 64) + ".part")
        try FileManager.default.createDirectory(at: leftover, withIntermediateDirectories: true)
        try Data(count: 9).write(to: leftover.appendingPathComponent("model.onnx"))
        _ = try await store.update(from: release)
        try assertSecondIsInUse()
    }

    func testACancelledUpdateReplacesNothing() async throws {
        let store = store!
        let release = release
        let update = Task { () -> Updated in
            release.before = { path in
                if path != "index.json" { withUnsafeCurrentTask { $0?.cancel() } }
            }
            return try await store.update(from: release)
        }
        do {
            _ = try await update.value
            XCTFail("it was not cancelled")
        } catch {
            XCTAssert(error is CancellationError, "\(error)")
        }
        XCTAssertEqual(try store.open().version, TestRelease.firstVersion)
        release.before = { _ in }
        _ = try await store.update(from: release)
        try assertSecondIsInUse()
    }

    func testWhoScoresDoesNotWaitForADownloadAndTwoUpdatesDoNotMeet() async throws {
        let another = makeStore()
        release.before = { path in
            XCTAssertEqual(try another.open().version, TestRelease.firstVersion, path)
            XCTAssertThrowsError(try another.rollback()) { error in
                XCTAssert("\(error)".contains("is being updated already; wait"), "\(error)")
            }
        }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for store in [store!, another, makeStore()] {
                group.addTask { [release] in
                    do {
                        return try await store.update(from: release).isChanged
                    } catch ForewarnError.use(let message) {
                        XCTAssert(message.contains("is being updated already"), message)
                        return false
                    }
                }
            }
            var changes = 0
            for try await isChanged in group { changes += isChanged ? 1 : 0 }
            XCTAssertEqual(changes, 1)
        }
        XCTAssertEqual(try another.open().version, TestRelease.secondVersion)
        XCTAssertEqual(try another.rollback().version, TestRelease.firstVersion)
    }
}
