import Foundation
import ForewarnONNX

@testable import Forewarn

/// The files that the tests read.
enum TestFiles {
    private static let mobileBundle = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    static let bundleFolder = mobileBundle.appendingPathComponent("standard")
    static let nanoFolder = mobileBundle.appendingPathComponent("nano")
    static let releaseFolder = mobileBundle.appendingPathComponent("ios/Tests/Release")

    static let bundle = try! ModelBundle(at: bundleFolder, cryptography: OpenSSL.cryptography)
    static let classifier = try! loaded(bundle)
    static let nano = try! ModelBundle(at: nanoFolder, cryptography: OpenSSL.cryptography)

    /// A bundle with its own model, on ONNX Runtime.
    static func loaded(_ bundle: ModelBundle) throws -> ScamClassifier {
        try ScamClassifier(bundle: bundle, model: OnnxModel(file: bundle.file("model.onnx")))
    }

    /// The shipped bundle with a model that takes no time and says nothing.
    static func withoutModel() throws -> ScamClassifier {
        let row = [Float](repeating: 0, count: bundle.manifest.labels.leaves.count)
        return try ScamClassifier(bundle: bundle, model: ConstantModel(rows: [row]))
    }

    /// What Python makes of difficult texts; the web client's scripts/make_fixture.py writes it.
    static let fixture: Fixture = {
        let file = mobileBundle.appendingPathComponent("web/tests/fixture.json")
        guard let json = try? Data(contentsOf: file) else { fatalError("there is no \(file.path); run make test-ios") }
        let fixture = try! JSONDecoder().decode(Fixture.self, from: sound(json))
        let manifest = try! Data(contentsOf: bundleFolder.appendingPathComponent(Manifest.name))
        precondition(
            fixture.manifest_sha256 == OpenSSL.sha256(manifest).hex,
            "fixture.json was made with another bundle; run make test-ios")
        return fixture
    }()

    /// A new empty folder; who asks for it removes it.
    static func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    /// A copy of a shipped bundle that a test may damage.
    static func copy(of bundle: ModelBundle = bundle) throws -> URL {
        let folder = try temporaryFolder()
        for name in bundle.manifest.files.keys + [Manifest.name] {
            try FileManager.default.copyItem(
                at: bundle.folder.appendingPathComponent(name), to: folder.appendingPathComponent(name))
        }
        return folder
    }

    /// JSON in ASCII with U+FFFD in place of every lone surrogate, which Swift's strings cannot hold.
    private static func sound(_ json: Data) -> Data {
        let bytes = [UInt8](json)
        /// The UTF-16 unit of an escape `\uXXXX` that starts at a place.
        func unit(_ at: Int) -> UInt16? {
            guard at + 6 <= bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                return nil
            }
            return UInt16(String(decoding: bytes[at + 2..<at + 6], as: UTF8.self), radix: 16)
        }
        var result: [UInt8] = []
        var at = 0
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "\\") else {
                result.append(bytes[at])
                at += 1
                continue
            }
            guard let first = unit(at), UTF16.isSurrogate(first) else {
                result += bytes[at..<at + 2]
                at += 2
                continue
            }
            if UTF16.isLeadSurrogate(first), let second = unit(at + 6), UTF16.isTrailSurrogate(second) {
                result += bytes[at..<at + 12]
                at += 12
            } else {
                result += Array("\\ufffd".utf8)
                at += 6
            }
        }
        return Data(result)
    }
}

/// The parts of fixture.json that the tests compare with.
struct Fixture: Decodable {
    struct Case: Decodable {
        let text: String
        let ids: [Int]
        let pieces: [[Int]]
        let blank: Bool
    }

    struct Toy: Decodable {
        struct Case: Decodable {
            let text: String
            let ids: [Int]
        }

        let tokenizer: String
        let cases: [Case]
    }

    struct Block: Decodable {
        let start: UInt32
        let sha256: String
    }

    struct Span: Decodable {
        let start: Int
        let end: Int
        let text: String
        let weight: Double
    }

    struct Explained: Decodable {
        let text: String
        let locale: String?
        let evidence: [Span]
        let forewarning: String?
    }

    struct Locale: Decodable {
        let locale: String?
        let taken: String?
    }

    struct Senders: Decodable {
        struct Added: Decodable {
            let sender: String?
            let locale: String?
            let added: [Double]
        }

        struct Judged: Decodable {
            let text: String
            let sender: String?
            let risk: Double
            let action: String
        }

        let institutional: [String]
        let calling_codes: [String: String]
        let types: [String]
        let added: [Added]
        let verdicts: [Judged]
    }

    let manifest_sha256: String
    let block: UInt32
    let cases: [Case]
    let toy: Toy
    let characters: [Block]
    let explanations: [Explained]
    let locales: [Locale]
    let senders: Senders
}

/// A model that gives the same logits for every text.
struct ConstantModel: Model {
    let rows: [[Float]]

    func logits(ids: [[Int64]], mask: [[Int64]]) throws -> [[Float]] { rows }
}
