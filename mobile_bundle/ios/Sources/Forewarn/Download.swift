import Foundation

/// Brings the files of a release's bundle into a folder, out of what is on the device already as far as possible.
struct Download {
    private static let mostIndexBytes = 1 << 24
    private static let nothingReplaced = "nothing was replaced, try again"
    private static let damaged = ForewarnError.bundle("a downloaded file is damaged; \(nothingReplaced)")

    private let release: Release
    private let cryptography: Cryptography
    /// Our own files, by the sha256 of what they hold: a file may have another name in the other version.
    private let local: [String: Data]
    /// Bytes that were fetched.
    private(set) var fetched = 0

    /// Of a release, beside folders whose files may be used; they may be missing or damaged.
    init(_ release: Release, beside folders: [URL], cryptography: Cryptography) {
        self.release = release
        self.cryptography = cryptography
        let contents = folders.flatMap(files).compactMap { try? Data(contentsOf: $0, options: .mappedIfSafe) }
        local = Dictionary(contents.map { (cryptography.hexSHA256($0), $0) }) { first, _ in first }
    }

    /// The release's index.
    ///
    /// - Throws: `ForewarnError.use` if it cannot be fetched, `.bundle` if it is none; `CancellationError`.
    static func index(of release: Release) async throws -> ReleaseIndex {
        try ReleaseIndex(json: await content(of: ReleaseIndex.name, atMost: mostIndexBytes, in: release))
    }

    /// Puts the files of the bundle into a folder, which may hold some of them from an earlier try.
    ///
    /// - Parameter publicKey: the key that must have signed its manifest.
    /// - Throws: `ForewarnError.use` if something cannot be fetched, `.bundle` if what came is damaged, not signed with
    ///   the key, or not what the index says; `CancellationError`; or if the folder cannot be written.
    mutating func bring(_ index: ReleaseIndex, into folder: URL, publicKey: String) async throws {
        for file in files(in: folder) where !isWhole(file, index) { try FileManager.default.removeItem(at: file) }
        for name in [Manifest.name, ModelBundle.signatureName] {
            if let entry = index.files[name] { try await bring(entry, to: folder.appendingPathComponent(name)) }
        }
        // Before the large files: nothing more is fetched of what nobody has signed.
        let manifest = try ModelBundle.manifest(in: folder, publicKey: publicKey, cryptography: cryptography)
        try index.check(version: manifest.version)
        for (name, file) in manifest.files.sorted(by: { $0.key < $1.key }) {
            guard let entry = index.files[name], entry.sha256 == file.sha256 else {
                throw ForewarnError.bundle(
                    "\(ReleaseIndex.name) has another \(name) than the signed manifest; use another release")
            }
            try await bring(entry, to: folder.appendingPathComponent(name))
        }
    }

    /// The old content, cut or filled with zeros to the length of a change, plus the change, byte by byte.
    static func sum(_ old: Data, _ change: Data) -> Data {
        var sum = change
        sum.withUnsafeMutableBytes { sum in
            old.withUnsafeBytes { old in
                for i in 0..<min(sum.count, old.count) { sum[i] &+= old[i] }
            }
        }
        return sum
    }

    private func isWhole(_ file: URL, _ index: ReleaseIndex) -> Bool {
        guard let entry = index.files[file.lastPathComponent], let content = try? Data(contentsOf: file) else {
            return false
        }
        return fits(content, entry)
    }

    private func fits(_ content: Data, _ entry: ReleaseIndex.Entry) -> Bool {
        content.count == entry.bytes && cryptography.hexSHA256(content) == entry.sha256
    }

    private mutating func bring(_ entry: ReleaseIndex.Entry, to target: URL) async throws {
        if FileManager.default.fileExists(atPath: target.path) { return }  // since an earlier try
        try await content(for: entry).writeFlushed(to: target)
    }

    /// A file's content: from our own copy, by a difference to one, or whole.
    private mutating func content(for entry: ReleaseIndex.Entry) async throws -> Data {
        if let own = local[entry.sha256] { return own }
        for (sha256, delta) in entry.deltas {
            guard let old = local[sha256] else { continue }
            do {
                let change = try await inflated(delta.path, entry)
                let content = Download.sum(old, change)
                if fits(content, entry) { return content }
            } catch is ForewarnError {
                // A difference that is damaged or gone is no reason to give up: the whole file is there too.
            }
        }
        let content = try await inflated(entry.path, entry)
        guard fits(content, entry) else { throw Download.damaged }
        return content
    }

    private mutating func inflated(_ path: String, _ entry: ReleaseIndex.Entry) async throws -> Data {
        let packed = try await Download.content(of: path, atMost: entry.mostPacked, in: release)
        fetched += packed.count
        guard let content = Zlib.inflated(packed, size: entry.bytes) else { throw Download.damaged }
        return content
    }

    private static func content(of path: String, atMost most: Int, in release: Release) async throws -> Data {
        func unfetched(_ reason: String) -> ForewarnError {
            .use("\(path) cannot be fetched (\(reason)); \(nothingReplaced)")
        }
        let content: Data
        do {
            try Task.checkCancellation()
            content = try await release.content(of: path, atMost: most)
        } catch {
            try Task.checkCancellation()  // or the network's own word for it would hide it
            let reason = error.localizedDescription.split(whereSeparator: \.isNewline).first
            throw unfetched(reason.map(String.init) ?? "for no reason given")
        }
        guard content.count <= most else { throw unfetched("it is longer than the index says") }
        return content
    }
}

/// The files in a folder; none where there is no folder.
private func files(in folder: URL) -> [URL] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.map { folder.appendingPathComponent($0) }
}
