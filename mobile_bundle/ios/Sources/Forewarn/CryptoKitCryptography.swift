#if canImport(CryptoKit)
import CryptoKit
import Foundation

extension Cryptography {
    /// CryptoKit's SHA-256 and Ed25519.
    public static let system = Cryptography(
        sha256: { Data(SHA256.hash(data: $0)) },
        isSigned: { data, signature, publicKey in
            // 32 bytes that are no point of the curve have signed nothing.
            guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else { return false }
            return key.isValidSignature(signature, for: data)
        }
    )
}

extension ModelBundle {
    /// Opens and checks a bundle with the system's cryptography; see `init(at:publicKey:cryptography:)`.
    public init(at folder: URL, publicKey: String? = nil) throws {
        try self.init(at: folder, publicKey: publicKey, cryptography: .system)
    }
}

extension BundleStore {
    /// A store whose bundles are checked with the system's cryptography; see
    /// `init(at:shipped:publicKey:cryptography:)`.
    public init(at home: URL, shipped: URL? = nil, publicKey: String) {
        self.init(at: home, shipped: shipped, publicKey: publicKey, cryptography: .system)
    }
}
#endif
