import Foundation

/// The two primitives that a bundle is checked with. On Apple's systems `Cryptography.system` has them from CryptoKit;
/// elsewhere whoever opens a bundle brings them.
public struct Cryptography: Sendable {
    /// The 32 bytes of the SHA-256 of some data.
    public let sha256: @Sendable (_ data: Data) -> Data
    /// Whether 64 bytes are the Ed25519 signature (RFC 8032) of a key of 32 bytes on exactly this data.
    public let isSigned: @Sendable (_ data: Data, _ signature: Data, _ publicKey: Data) -> Bool

    public init(
        sha256: @escaping @Sendable (_ data: Data) -> Data,
        isSigned: @escaping @Sendable (_ data: Data, _ signature: Data, _ publicKey: Data) -> Bool
    ) {
        self.sha256 = sha256
        self.isSigned = isSigned
    }

    /// The SHA-256 of some data as the manifest has it.
    func hexSHA256(_ data: Data) -> String {
        sha256(data).map { String(format: "%02x", $0) }.joined()
    }
}
