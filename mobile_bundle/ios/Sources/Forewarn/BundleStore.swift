import Foundation

/// A folder that holds downloaded bundles beside the one that an app ships, and says which of them is in use.
///
/// A bundle's folder is named by the sha256 of its manifest, which holds the sha256 of every other file. It appears
/// whole and checked, or not at all, and a file of two lines, replaced in one step, says which one is in use and which
/// one it replaced. One process brings it up to date; any number may open it meanwhile, and opening writes nothing, so
/// an extension can do it. There is no lock: iOS ends an app that is suspended while it holds one in a shared folder.
public struct BundleStore: Sendable {
    private let home: URL
    private let shipped: URL?
    private let publicKey: String
    private let cryptography: Cryptography

    /// A store of one bundle.
    ///
    /// - Parameters:
    ///   - home: the store's own folder, where no other app can write; it need not be there yet.
    ///   - shipped: the folder of the bundle that came with the app, which is as trustworthy as the app and needs no
    ///     signature; nil where the app brings none.
    ///   - publicKey: the Ed25519 key, 32 bytes in base64 as `forewarn bundle keygen` prints it, that must have signed
    ///     what is downloaded; pin it in the app.
    ///   - cryptography: what to check bundles with.
    public init(at home: URL, shipped: URL? = nil, publicKey: String, cryptography: Cryptography) {
        self.home = home
        self.shipped = shipped
        self.publicKey = publicKey
        self.cryptography = cryptography
    }

    /// The bundle in use: the downloaded one, checked again with its signature, or the shipped one where that is newer,
    /// or where what was downloaded is damaged.
    ///
    /// - Throws: `ForewarnError.use` if there is neither; `ForewarnError.bundle` if the shipped one is damaged.
    public func open() throws -> ModelBundle { try inUse().bundle }

    /// Brings the store to the release's latest version; the bundle that was in use is kept for `rollback`.
    ///
    /// Of what is there already nothing is fetched, and of what changed a little only the difference. Everything is
    /// checked before anything is replaced: the signature before the large files are fetched, then sizes, the version,
    /// every sha256. A release with the version that is in use, or an older one, replaces nothing. What is in use goes
    /// on working meanwhile; `open` gives the new bundle from then on. What an interrupted update has fetched is used
    /// by the next one.
    ///
    /// - Parameters:
    ///   - release: where to get it from.
    ///   - trial: gets the checked bundle before it is put into use; if it throws, nothing is replaced.
    /// - Returns: what was done.
    /// - Throws: `ForewarnError.bundle` if what came is damaged or not signed with the key; `ForewarnError.use` if
    ///   something cannot be fetched, the store cannot be written or is being updated already, or the key is none;
    ///   `CancellationError` if the task is cancelled; or what `trial` throws.
    public func update(
        from release: Release, trial: @Sendable (ModelBundle) throws -> Void = { _ in }
    ) async throws -> Updated {
        try Changes.shared.begin(home)
        defer { Changes.shared.end(home) }
        let index = try await Download.index(of: release)
        let used = try? inUse()  // an app may bring none
        let before = used?.bundle.version ?? ""
        // Going back is for rollback: nobody who can only change the index may bring an old model back.
        guard isNewer(index.version, than: before) else {
            return Updated(before: before, after: before, isChanged: false, fetched: 0, size: index.bytes)
        }

        let name = index.manifest.sha256
        var fetched = 0
        if let kept = try whole(name) {  // since a rollback, or an update that was killed at its end
            try index.check(version: kept.version)
            try trial(kept)
        } else {
            fetched = try await stage(index, from: release, trial)
        }
        try writing {
            try StoreState(current: .downloaded(name), previous: used?.place).write(in: home)
        }
        clean()
        return Updated(before: before, after: index.version, isChanged: true, fetched: fetched, size: index.bytes)
    }

    /// Puts the bundle back that the last update replaced, and which becomes the previous one in turn.
    ///
    /// - Returns: the bundle that is in use now.
    /// - Throws: `ForewarnError.use` if none is kept, or the store cannot be written or is being updated;
    ///   `ForewarnError.bundle` if it is damaged. Nothing is changed then.
    public func rollback() throws -> ModelBundle {
        try Changes.shared.begin(home)
        defer { Changes.shared.end(home) }
        let state = StoreState(in: home)
        let bundle: ModelBundle
        switch state.previous {
        case .downloaded(let name):
            bundle = try downloaded(name)
            if isShippedNewer(than: bundle) { throw BundleStore.nothingBefore }
        case .shipped:
            bundle = try openShipped()
        case nil:
            throw BundleStore.nothingBefore
        }
        try writing {
            try StoreState(current: state.previous ?? .shipped, previous: state.current).write(in: home)
        }
        return bundle
    }

    private static let nothingBefore = ForewarnError.use("no previous version is kept; there is one after an update")

    private func inUse() throws -> (place: StoreState.Place, bundle: ModelBundle) {
        let current = StoreState(in: home).current
        if case .downloaded(let name) = current, let bundle = try whole(name), !isShippedNewer(than: bundle) {
            return (current, bundle)
        }
        return (.shipped, try openShipped())
    }

    private func downloaded(_ name: String) throws -> ModelBundle {
        try ModelBundle(at: folder(name), publicKey: publicKey, cryptography: cryptography)
    }

    /// The bundle of this name; nil where there is none, a damaged one, or one that the key has not signed.
    private func whole(_ name: String) throws -> ModelBundle? {
        do {
            return try downloaded(name)
        } catch ForewarnError.bundle {
            return nil
        }
    }

    private func openShipped() throws -> ModelBundle {
        guard let shipped else {
            throw ForewarnError.use("\(home.path) holds no bundle that can be used; get one with update")
        }
        return try ModelBundle(at: shipped, cryptography: cryptography)
    }

    private func isShippedNewer(than bundle: ModelBundle) -> Bool {
        guard let shipped else { return false }
        let manifest = try? ModelBundle.manifest(in: shipped, publicKey: nil, cryptography: cryptography)
        return isNewer(manifest?.version ?? "", than: bundle.version)
    }

    /// Brings a bundle into its folder, checked and tried; gives the bytes that were fetched.
    private func stage(
        _ index: ReleaseIndex, from release: Release, _ trial: (ModelBundle) throws -> Void
    ) async throws -> Int {
        let target = folder(index.manifest.sha256)
        let part = target.appendingPathExtension("part")
        for leftover in entries(ending: ".part") where leftover != part.lastPathComponent { remove(leftover) }
        try writing { try FileManager.default.createDirectory(at: part, withIntermediateDirectories: true) }
        let folders = StoreState(in: home).folders.map(folder) + [shipped].compactMap { $0 }
        var download = Download(release, beside: folders, cryptography: cryptography)
        let bundle: ModelBundle
        do {
            try await download.bring(index, into: part, publicKey: publicKey)
            bundle = try ModelBundle(at: part, publicKey: publicKey, cryptography: cryptography)
        } catch let error as ForewarnError {
            if case .bundle = error { remove(part.lastPathComponent) }  // nothing of it is of use to the next update
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            throw unwritable
        }
        try trial(bundle)
        remove(target.lastPathComponent)  // a damaged one
        try writing { try FileManager.default.moveItem(at: part, to: target) }
        return download.fetched
    }

    /// Deletes the bundles that the state does not name; what cannot be deleted is tried again next time.
    private func clean() {
        let needed = StoreState(in: home).folders
        // Whatever else lies there, because somebody took a folder that is not the store's own, is left alone.
        for name in entries(ending: "") where !needed.contains(name) { remove(name) }
    }

    /// The names in the store that are a sha256 with an ending.
    private func entries(ending: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: home.path)) ?? []
        return names.filter { $0.hasSuffix(ending) && ReleaseIndex.isSHA256(String($0.dropLast(ending.count))) }
    }

    private func folder(_ name: String) -> URL { home.appendingPathComponent(name, isDirectory: true) }

    private func remove(_ name: String) { try? FileManager.default.removeItem(at: folder(name)) }

    private func writing(_ work: () throws -> Void) throws {
        do { try work() } catch { throw unwritable }
    }

    private var unwritable: ForewarnError {
        .use("\(home.path) cannot be written; free some space, or use a folder of the app's own")
    }
}

/// The stores that this process is changing, so that two updates do not meet.
private final class Changes: @unchecked Sendable {
    static let shared = Changes()

    private let lock = NSLock()
    private var homes: Set<String> = []

    /// - Throws: `ForewarnError.use` if somebody changes the store already.
    func begin(_ home: URL) throws {
        lock.lock()
        defer { lock.unlock() }
        guard homes.insert(home.standardizedFileURL.path).inserted else {
            throw ForewarnError.use("\(home.path) is being updated already; wait until that is done")
        }
    }

    func end(_ home: URL) {
        lock.lock()
        defer { lock.unlock() }
        homes.remove(home.standardizedFileURL.path)
    }
}
