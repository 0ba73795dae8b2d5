import Foundation

/// A release folder, which `forewarn bundle pack` makes and any web server can hand out; `HTTPRelease` reads it over
/// HTTP. For your own HTTP client, make one of these.
public protocol Release: Sendable {
    /// The content of a file of the release as it is: what a server calls a `Content-Encoding` must be undone.
    ///
    /// - Parameters:
    ///   - path: such as `index.json` or `objects/SHA256.z`, below the folder.
    ///   - most: how many bytes it may have; reading may stop with an error as soon as there are more.
    /// - Throws: if it is not there or cannot be read; the error's `localizedDescription` says why in one line.
    func content(of path: String, atMost most: Int) async throws -> Data
}

/// What an update did.
public struct Updated: Equatable, Sendable {
    /// The version before; empty where there was none, or a damaged one.
    public let before: String
    /// The version that is in use now.
    public let after: String
    /// Whether another bundle is in use now.
    public let isChanged: Bool
    /// Bytes that were fetched, the index aside.
    public let fetched: Int
    /// Bytes of the release's bundle.
    public let size: Int
}
