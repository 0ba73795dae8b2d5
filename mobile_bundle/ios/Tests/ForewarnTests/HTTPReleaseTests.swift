import Foundation
import XCTest

@testable import Forewarn

final class HTTPReleaseTests: StoreTestCase {
    func testAnUpdateOverHTTPGivesTheBytesThatWerePacked() async throws {
        let server = try TestServer { [release] path in
            path.hasPrefix("/app/") ? try? release.content(of: String(path.dropFirst("/app/".count))) : nil
        }
        defer { server.close() }
        store = makeStore(shipped: nil)
        let done = try await store.update(from: HTTPRelease(server.address("app")))
        XCTAssert((1_500_000..<done.size).contains(done.fetched), "\(done)")
        try assertSecondIsInUse()

        try installTheApp()
        _ = try await store.update(from: HTTPRelease(server.address("app/")))
        try assertSecondIsInUse()

        let none = try HTTPRelease(server.address("nowhere"))
        try await refused("index.json cannot be fetched (HTTP 404); nothing was replaced", from: none)
    }

    func testAnAnswerThatIsTooLongOrNeverComesIsRefused() async throws {
        let server = try TestServer { _ in Data(count: 1 << 25) }
        let release = try HTTPRelease(server.address(""))
        try await refused("index.json cannot be fetched (it is longer than the index says)", from: release)
        let short = try await HTTPRelease(server.address("")).content(of: "any", atMost: 1 << 25)
        XCTAssertEqual(short.count, 1 << 25)
        server.close()
        try await refused("index.json cannot be fetched (", from: release)
    }

    func testACancelledRequestEnds() async throws {
        let asked = expectation(description: "the server was asked")
        let held = DispatchSemaphore(value: 0)
        let server = try TestServer { _ in
            asked.fulfill()
            held.wait()
            return nil
        }
        defer {
            held.signal()
            server.close()
        }
        let store = store!
        let address = server.address("")
        let update = Task { try await store.update(from: HTTPRelease(address)) }
        await fulfillment(of: [asked], timeout: 20)
        update.cancel()
        do {
            _ = try await update.value
            XCTFail("it was not cancelled")
        } catch {
            XCTAssert(error is CancellationError, "\(error)")
        }
    }

    func testAnAddressThatIsNoneIsWrongUse() throws {
        for address in ["release", "ftp://x/y", "file:///etc", "https:///x"] {
            XCTAssertThrowsError(try HTTPRelease(XCTUnwrap(URL(string: address))), address) { error in
                XCTAssert("\(error)".hasPrefix("the release's address does not start with https://"), "\(error)")
            }
        }
    }
}

/// A web server on this machine that answers one request after the other.
private final class TestServer: @unchecked Sendable {
    private let socket: Int32
    private let port: UInt16

    /// - Parameter answer: the content of a path; nil is a 404.
    init(_ answer: @escaping @Sendable (String) -> Data?) throws {
        let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 8) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard listener >= 0, isBound else { throw POSIXError(.EADDRNOTAVAIL) }
        socket = listener
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread {
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { return }
                TestServer.serve(connection, answer)
                Glibc.close(connection)
            }
        }
    }

    func address(_ path: String) -> URL {
        URL(string: "http://127.0.0.1:\(port)/\(path)")!
    }

    func close() {
        shutdown(socket, Int32(SHUT_RDWR))
        Glibc.close(socket)
    }

    private static func serve(_ connection: Int32, _ answer: (String) -> Data?) {
        var request = [UInt8](repeating: 0, count: 1 << 14)
        let count = max(0, recv(connection, &request, request.count, 0))  // a request without a body comes at once
        let words = String(decoding: request[..<count], as: UTF8.self).split(separator: " ")
        let content = words.count > 1 ? answer(String(words[1])) : nil
        let status = content == nil ? "404 Not Found" : "200 OK"
        let head = "HTTP/1.1 \(status)\r\nContent-Length: \(content?.count ?? 0)\r\nConnection: close\r\n\r\n"
        var rest = Data(head.utf8) + (content ?? Data())
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent <= 0 { return }
            rest = rest.dropFirst(sent)
        }
    }
}
