import Foundation

/// Which bundle of a store is in use, and which one it replaced: a file of two lines in the store's folder.
struct StoreState: Equatable {
    /// Where a bundle is.
    enum Place: Equatable {
        /// Where the app brought it.
        case shipped
        /// In the store, in a folder that is named by the sha256 of its manifest.
        case downloaded(String)
    }

    static let file = "versions"

    var current = Place.shipped
    /// Nil where there is none to go back to.
    var previous: Place?

    init(current: Place = .shipped, previous: Place? = nil) {
        self.current = current
        self.previous = previous
    }

    /// What a store's folder says; in a new store, or a damaged one, nothing was downloaded.
    init(in home: URL) {
        self.init()
        guard let text = try? String(contentsOf: home.appendingPathComponent(StoreState.file), encoding: .ascii) else {
            return
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 3, let place = StoreState.place(lines[0]) else { return }
        current = place
        previous = StoreState.place(lines[1])
    }

    /// The names of the folders that it needs.
    var folders: [String] {
        [current, previous].compactMap { if case .downloaded(let name) = $0 { return name } else { return nil } }
    }

    /// Puts it into a store's folder, in one step: there is the old state or the new one.
    ///
    /// - Throws: if the folder cannot be written.
    func write(in home: URL) throws {
        let fresh = home.appendingPathComponent("\(StoreState.file).new")
        let lines = [current, previous].map { StoreState.line($0) + "\n" }
        try Data(lines.joined().utf8).writeFlushed(to: fresh)
        guard rename(fresh.path, home.appendingPathComponent(StoreState.file).path) == 0 else {
            throw CocoaError(.fileWriteUnknown)
        }
    }

    private static func place(_ line: String) -> Place? {
        if line == "shipped" { return .shipped }
        return ReleaseIndex.isSHA256(line) ? .downloaded(line) : nil
    }

    private static func line(_ place: Place?) -> String {
        switch place {
        case .shipped: return "shipped"
        case .downloaded(let name): return name
        case nil: return "-"
        }
    }
}

extension Data {
    /// Writes a file that is on the disk, and not only on its way there, when this returns.
    func writeFlushed(to file: URL) throws {
        try Data().write(to: file)
        let handle = try FileHandle(forWritingTo: file)
        defer { try? handle.close() }
        try handle.write(contentsOf: self)
        try handle.synchronize()
    }
}
