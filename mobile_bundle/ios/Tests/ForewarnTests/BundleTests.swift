import XCTest

@testable import Forewarn

final class BundleTests: XCTestCase {
    private let listed = TestFiles.bundle.manifest.files.keys.sorted()

    func testTheShippedBundleOpensAndGivesItsFiles() throws {
        let bundle = TestFiles.bundle
        let model = TestFiles.bundleFolder.appendingPathComponent("model.onnx")
        XCTAssertEqual(try bundle.file("model.onnx").path, model.path)
        XCTAssertEqual(try bundle.read("model.onnx"), try Data(contentsOf: model))
        XCTAssertThrowsError(try bundle.file("other.bin"))
        XCTAssertThrowsError(try bundle.read(Manifest.name))
    }

    func testOneFlippedBitInAnyFileIsRefusedWhereverItIs() throws {
        for bundle in [TestFiles.bundle, TestFiles.nano] {
            let folder = try TestFiles.copy(of: bundle)
            defer { try? FileManager.default.removeItem(at: folder) }
            for name in bundle.manifest.files.keys.sorted() {
                let size = try Data(contentsOf: folder.appendingPathComponent(name)).count
                for place in [0, size / 2, size - 1] {
                    try flip(name, at: place, in: folder)
                    refused(folder, "\(name) is damaged")
                    try flip(name, at: place, in: folder)
                }
            }
            XCTAssertNoThrow(try ModelBundle(at: folder, cryptography: OpenSSL.cryptography))
        }
    }

    func testAFileThatIsCutShortEmptyOrMissingIsRefused() throws {
        let folder = try TestFiles.copy()
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in listed {
            let file = folder.appendingPathComponent(name)
            let content = try Data(contentsOf: file)
            try content.dropLast().write(to: file)
            refused(folder, "\(name) is damaged")
            try Data().write(to: file)
            refused(folder, "\(name) is damaged")
            try FileManager.default.removeItem(at: file)
            refused(folder, "\(name) is missing")
            try content.write(to: file)
        }
        let empty = try TestFiles.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: empty) }
        refused(empty, "has no manifest.json; this is not a forewarn bundle")
        refused(folder.appendingPathComponent("nowhere"), "has no manifest.json")
        refused(folder.appendingPathComponent(Manifest.name), "has no manifest.json")
    }

    func testAFileThatIsDamagedAfterOpeningIsNotRead() throws {
        let folder = try TestFiles.copy()
        defer { try? FileManager.default.removeItem(at: folder) }
        let bundle = try ModelBundle(at: folder, cryptography: OpenSSL.cryptography)
        try flip("tokenizer.json", at: 100, in: folder)
        XCTAssertThrowsError(try bundle.read("tokenizer.json"))
    }

    func testAForeignOrBrokenManifestIsRefusedInOneLine() throws {
        let changes = [
            ("^", "{", "is not JSON"),
            ("[\\s\\S]+", "[]", "is not an object"),
            ("\"format\": 1", "\"format\": 99", "upgrade the forewarn client"),
            ("\"format\": 1", "\"format\": 0.5", "bundle format is 0.5"),
            ("\"format\": 1,", "", "none that is known"),
            ("\"format\": 1", "\"format\": true", "no usable format"),
            ("\"version\"", "\"other\"", "no usable version"),
            ("\"max_length\": \\d+", "\"max_length\": 3", "no usable max_length"),
            ("\"max_length\": \\d+", "\"max_length\": 12.5", "cannot be used"),
            ("\"temperature\": [0-9.]+", "\"temperature\": 0", "no usable calibration.temperature"),
            ("\"calibration\"", "\"other\"", "no usable calibration"),
            ("\"scam_bias\": [0-9.-]+", "\"scam_bias\": \"0\"", "no usable calibration.scam_bias"),
            ("\"operating_points\"", "\"other\"", "no usable operating_points"),
            ("\"block\": \\{", "\"other\": {", "no usable operating_points.block"),
            ("\"threshold\"", "\"other\"", "no usable operating_points.warn.threshold"),
            ("\"files\"", "\"other\"", "no usable files"),
            ("\"model.onnx\"", "\"other\"", "does not list model.onnx"),
            ("\"vectors.jsonl\"", "\"../vectors.jsonl\"", "outside the bundle"),
            ("\"vectors.jsonl\"", "\"..\"", "outside the bundle"),
            ("\"vectors.jsonl\"", "\"a\\\\u0000\"", "outside the bundle"),
            ("\"sha256\"", "\"other\"", "no usable files."),
            ("\"labels\"", "\"other\"", "no usable labels"),
            ("\"promotion\",\n   \"legit", "\"promotion\", \"other\", \"legit", "no usable labels.verdicts"),
            ("\"verdict\": \"promotion\"", "\"verdict\": \"other\"", "no usable labels.leaves.17.verdict"),
            ("\"levers\": \\[\\]", "\"levers\": [1]", "no usable labels.leaves"),
            ("\"verdict\": \"scam\"", "\"verdict\": \"promotion\"", "has no labels for scam"),
        ]
        let file = TestFiles.bundleFolder.appendingPathComponent(Manifest.name)
        let original = try String(contentsOf: file, encoding: .utf8)
        for (pattern, replacement, reason) in changes {
            let changed = original.replacingOccurrences(of: pattern, with: replacement, options: .regularExpression)
            XCTAssertNotEqual(changed, original, pattern)
            XCTAssertThrowsError(try Manifest.parse(Data(changed.utf8)), reason) { error in
                let message = "\(error)"
                XCTAssert(message.contains(reason), "\(reason): \(message)")
                XCTAssertFalse(message.contains("\n"), message)
            }
        }
        for junk in [Data(), Data([0xff, 0xfe, 0x00]), Data(String(repeating: "[", count: 100_000).utf8)] {
            XCTAssertThrowsError(try Manifest.parse(junk)) { XCTAssertTrue($0 is ForewarnError) }
        }
    }

    private func refused(_ folder: URL, _ reason: String, file: StaticString = #filePath, line: UInt = #line) {
        XCTAssertThrowsError(
            try ModelBundle(at: folder, cryptography: OpenSSL.cryptography), reason, file: file, line: line
        ) { error in
            XCTAssert("\(error)".hasPrefix("bundle \(folder.path): \(reason)"), "\(error)", file: file, line: line)
            XCTAssertEqual(error.localizedDescription, "\(error)", file: file, line: line)
        }
    }
}

final class SignatureTests: XCTestCase {
    private let secret = Data((0..<32).map { UInt8($0) })

    func testABundleOpensOnlyWithTheKeyThatSignedIt() throws {
        let folder = try TestFiles.copy()
        defer { try? FileManager.default.removeItem(at: folder) }
        let signatureFile = folder.appendingPathComponent("manifest.sig")
        let manifest = try Data(contentsOf: folder.appendingPathComponent(Manifest.name))
        let (publicKey, signature) = OpenSSL.sign(manifest, secret: secret)
        let key = publicKey.base64EncodedString()
        refused(folder, key, "is not signed (no manifest.sig)")

        try signature.write(to: signatureFile)
        XCTAssertNoThrow(try open(folder, key))
        XCTAssertNoThrow(try ModelBundle(at: folder, cryptography: OpenSSL.cryptography))
        let another = OpenSSL.sign(Data(), secret: Data(secret.reversed())).publicKey
        refused(folder, another.base64EncodedString(), "is not signed with this key")
        for place in [0, 31, 32, 63] {
            try flip("manifest.sig", at: place, in: folder)
            refused(folder, key, "is not signed with this key")
            try flip("manifest.sig", at: place, in: folder)
        }
        for wrong in [Data(), signature.dropLast(), signature + [0]] {
            try wrong.write(to: signatureFile)
            refused(folder, key, "is not signed with this key")
        }

        try signature.write(to: signatureFile)
        try (manifest + Data(" ".utf8)).write(to: folder.appendingPathComponent(Manifest.name))
        refused(folder, key, "is not signed with this key")
    }

    func testAKeyThatIsNoneIsWrongUse() {
        for key in ["", "key", "AAAA", String(repeating: "A", count: 44)] {
            XCTAssertThrowsError(try open(TestFiles.bundleFolder, key)) { error in
                XCTAssert("\(error)".hasPrefix("the public key is not 32 bytes in base64"), "\(error)")
            }
        }
    }

    private func open(_ folder: URL, _ key: String) throws -> ModelBundle {
        try ModelBundle(at: folder, publicKey: key, cryptography: OpenSSL.cryptography)
    }

    private func refused(_ folder: URL, _ key: String, _ reason: String, line: UInt = #line) {
        XCTAssertThrowsError(try open(folder, key), reason, line: line) { error in
            XCTAssert("\(error)".contains(reason), "\(error)", line: line)
        }
    }
}

/// Changes one bit of a file.
func flip(_ name: String, at place: Int, in folder: URL) throws {
    let file = folder.appendingPathComponent(name)
    var content = try Data(contentsOf: file)
    content[place] ^= 1
    try content.write(to: file)
}
