import COpenSSL
import Foundation
import XCTest

@testable import Forewarn

/// SHA-256 and Ed25519 of OpenSSL, in the place that CryptoKit has on iOS.
enum OpenSSL {
    static let cryptography = Cryptography(sha256: sha256, isSigned: isSigned)

    @Sendable static func sha256(_ data: Data) -> Data {
        var digest = [UInt8](repeating: 0, count: 32)
        let done = data.withUnsafeBytes { EVP_Digest($0.baseAddress, $0.count, &digest, nil, EVP_sha256(), nil) }
        precondition(done == 1)
        return Data(digest)
    }

    @Sendable static func isSigned(_ data: Data, _ signature: Data, _ publicKey: Data) -> Bool {
        let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, Array(publicKey), publicKey.count)
        let context = EVP_MD_CTX_new()
        defer {
            EVP_MD_CTX_free(context)
            EVP_PKEY_free(key)
        }
        guard EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, Array(signature), signature.count, Array(data), data.count) == 1
    }

    /// The public key of a secret one, and its signature on some data.
    static func sign(_ data: Data, secret: Data) -> (publicKey: Data, signature: Data) {
        let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, Array(secret), secret.count)
        let context = EVP_MD_CTX_new()
        defer {
            EVP_MD_CTX_free(context)
            EVP_PKEY_free(key)
        }
        var publicKey = [UInt8](repeating: 0, count: 32)
        var signature = [UInt8](repeating: 0, count: 64)
        var (keyLength, length) = (publicKey.count, signature.count)
        let done = EVP_PKEY_get_raw_public_key(key, &publicKey, &keyLength) == 1
            && EVP_DigestSignInit(context, nil, nil, nil, key) == 1
            && EVP_DigestSign(context, &signature, &length, Array(data), data.count) == 1
        precondition(done)
        return (Data(publicKey), Data(signature))
    }
}

final class OpenSSLTests: XCTestCase {
    func testSHA256IsThatOfTheStandard() {
        XCTAssertEqual(
            OpenSSL.sha256(Data("abc".utf8)).hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        XCTAssertEqual(
            OpenSSL.sha256(Data()).hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    func testEd25519IsThatOfRFC8032() {
        let secret = Data(hex: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        let (publicKey, signature) = OpenSSL.sign(Data(), secret: secret)
        XCTAssertEqual(publicKey.hex, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        XCTAssertEqual(
            signature.hex,
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0"
                + "595bbe24655141438e7a100b")
        XCTAssert(OpenSSL.isSigned(Data(), signature, publicKey))
        XCTAssertFalse(OpenSSL.isSigned(Data([0]), signature, publicKey))
    }
}

extension Data {
    var hex: String { map { String(format: "%02x", $0) }.joined() }

    init(hex: String) {
        let digits = Array(hex)
        self.init(stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! })
    }
}
