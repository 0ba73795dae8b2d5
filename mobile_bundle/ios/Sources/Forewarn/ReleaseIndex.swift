import Foundation

/// What a release's index.json says of its latest version, checked.
struct ReleaseIndex {
    static let name = "index.json"
    private static let format = 1
    /// A shipped bundle is at most 20 MB; the limit only keeps a hostile release from filling the device.
    private static let mostBytes = 1 << 28

    /// A file of the bundle, and how to get it.
    struct Entry: Decodable {
        struct Delta: Decodable {
            let path: String
        }

        let sha256: String
        let bytes: Int
        /// Where the difference to an older file lies, by that one's sha256.
        let deltas: [String: Delta]

        /// Where the whole file lies.
        var path: String { "objects/\(sha256).z" }

        /// No compression makes more of a file than this.
        var mostPacked: Int { bytes + (bytes >> 8) + 64 }

        fileprivate var isUsable: Bool {
            ReleaseIndex.isSHA256(sha256) && (0...1 << 40).contains(bytes)
                && deltas.values.allSatisfy { ReleaseIndex.matches("deltas/[0-9a-f]+-[0-9a-f]+[.]z", $0.path) }
        }
    }

    private struct Format: Decodable {
        let format: Int
    }

    private struct Content: Decodable {
        struct Version: Decodable {
            let files: [String: Entry]
        }

        let latest: String
        let versions: [String: Version]
    }

    let version: String
    /// By name.
    let files: [String: Entry]
    let manifest: Entry
    /// Of all files together.
    let bytes: Int

    /// Reads the content of an index.json.
    ///
    /// - Throws: `ForewarnError.bundle` if it is none, of another format, or of a bundle that is too large.
    init(json: Data) throws {
        let none = ForewarnError.bundle(
            "\(ReleaseIndex.name) is not a release's index; make it with `forewarn bundle pack`")
        guard let format = try? JSONDecoder().decode(Format.self, from: json).format else { throw none }
        guard format == ReleaseIndex.format else {
            throw ForewarnError.bundle(
                "\(ReleaseIndex.name) has format \(format), this version reads \(ReleaseIndex.format); "
                    + "upgrade the forewarn client")
        }
        guard let content = try? JSONDecoder().decode(Content.self, from: json),
            let files = content.versions[content.latest]?.files,
            let manifest = files[Manifest.name], files.values.allSatisfy(\.isUsable)
        else { throw none }
        version = content.latest
        self.files = files
        self.manifest = manifest
        bytes = files.values.reduce(0) { $0 + $1.bytes }
        guard bytes <= ReleaseIndex.mostBytes else {
            throw ForewarnError.bundle("the release's bundle is too large to be one of ours; use another release")
        }
    }

    /// Refuses an index whose bundle has another version than it says; nobody signs an index.
    func check(version found: String) throws {
        guard found == version else {
            throw ForewarnError.bundle("the release gives \(found) out as \(version); use another release")
        }
    }

    static func isSHA256(_ text: String) -> Bool { matches("[0-9a-f]{64}", text) }

    private static func matches(_ pattern: String, _ text: String) -> Bool {
        text.range(of: "\\A(?:\(pattern))\\z", options: .regularExpression) != nil
    }
}
