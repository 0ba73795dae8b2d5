import Foundation

/// A checked bundle: a folder whose manifest and files are those that `forewarn export` wrote.
public struct ModelBundle: Sendable {
    /// The file beside the manifest that holds its signature: 64 raw bytes.
    static let signatureName = "manifest.sig"
    private static let again = "copy or download the bundle again"

    /// Where it is.
    public let folder: URL
    let manifest: Manifest
    private let cryptography: Cryptography

    /// Opens a bundle and checks its format, its manifest, and the sha256 of every file that the manifest lists.
    ///
    /// - Parameters:
    ///   - folder: the bundle's folder; nobody else must be able to write there.
    ///   - publicKey: the Ed25519 key, 32 bytes in base64 as `forewarn bundle keygen` prints it, that must have signed
    ///     it; without one no signature is asked for.
    ///   - cryptography: what to check it with.
    /// - Throws: `ForewarnError.bundle` if it is damaged, not signed with the key, or not a bundle of a format that
    ///   this version reads; `ForewarnError.use` if the key is none.
    public init(at folder: URL, publicKey: String? = nil, cryptography: Cryptography) throws {
        self.folder = folder
        self.cryptography = cryptography
        manifest = try ModelBundle.manifest(in: folder, publicKey: publicKey, cryptography: cryptography)
        for name in manifest.files.keys.sorted() { _ = try read(name) }
    }

    /// The manifest of a folder whose other files are not looked at; see `init`.
    static func manifest(in folder: URL, publicKey: String?, cryptography: Cryptography) throws -> Manifest {
        guard let head = content(of: Manifest.name, in: folder) else {
            throw error(folder, "has no \(Manifest.name); this is not a forewarn bundle")
        }
        if let publicKey { try checkSignature(of: head, in: folder, publicKey, cryptography) }
        do {
            return try Manifest.parse(head)
        } catch ForewarnError.bundle(let message) {
            throw error(folder, message)
        }
    }

    /// Version of the model.
    public var version: String { manifest.version }

    /// The path of one file that was checked when the bundle was opened, for what reads it by itself.
    ///
    /// - Throws: `ForewarnError.bundle` if the manifest lists no such file.
    public func file(_ name: String) throws -> URL {
        guard manifest.files[name] != nil else {
            throw ModelBundle.error(folder, "its manifest lists no \(name)")
        }
        return folder.appendingPathComponent(name, isDirectory: false)
    }

    /// The content of one file, checked again, so that what is used is what was checked.
    ///
    /// - Throws: `ForewarnError.bundle` if the manifest lists no such file, or if it is missing or damaged.
    public func read(_ name: String) throws -> Data {
        guard let wanted = manifest.files[name]?.sha256 else {
            throw ModelBundle.error(folder, "its manifest lists no \(name)")
        }
        guard let content = ModelBundle.content(of: name, in: folder) else {
            throw ModelBundle.error(folder, "\(name) is missing; \(ModelBundle.again)")
        }
        guard cryptography.hexSHA256(content) == wanted else {
            let what = "\(name) is damaged (its sha256 differs from the manifest's)"
            throw ModelBundle.error(folder, "\(what); \(ModelBundle.again)")
        }
        return content
    }

    /// Mapped, so that the model's 12 MB do not count towards what an extension may use.
    private static func content(of name: String, in folder: URL) -> Data? {
        try? Data(contentsOf: folder.appendingPathComponent(name, isDirectory: false), options: .mappedIfSafe)
    }

    /// Refuses a manifest that the key has not signed, before anything in it is believed.
    private static func checkSignature(
        of head: Data, in folder: URL, _ publicKey: String, _ cryptography: Cryptography
    ) throws {
        guard let key = Data(base64Encoded: publicKey), key.count == 32 else {
            throw ForewarnError.use(
                "the public key is not 32 bytes in base64; give what `forewarn bundle keygen` printed")
        }
        guard let signature = content(of: signatureName, in: folder) else {
            throw error(folder, "is not signed (no \(signatureName)); do not use it")
        }
        guard signature.count == 64, cryptography.isSigned(head, signature, key) else {
            throw error(
                folder,
                "is not signed with this key (\(signatureName) does not fit \(Manifest.name)); do not use it, "
                    + "get it again from where the key comes from")
        }
    }

    static func error(_ folder: URL, _ message: String) -> ForewarnError {
        .bundle("bundle \(folder.path): \(message)")
    }
}
