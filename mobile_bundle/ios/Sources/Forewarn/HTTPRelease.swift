import Foundation

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A release folder over HTTP. A request carries the address, and what URLSession itself adds to it.
public final class HTTPRelease: Release {
    private static let timeout: TimeInterval = 60

    private let folder: URL
    private let answers = Answers()
    private let session: URLSession

    /// A release at an address.
    ///
    /// - Parameter folder: the folder that holds `index.json`: https, or http where the app allows it.
    /// - Throws: `ForewarnError.use` if it is none.
    public init(_ folder: URL) throws {
        let host = folder.host ?? ""
        guard let scheme = folder.scheme?.lowercased(), ["https", "http"].contains(scheme), !host.isEmpty else {
            throw ForewarnError.use("the release's address does not start with https://; give the release's folder")
        }
        self.folder = folder
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = HTTPRelease.timeout
        // A damaged answer must not come again from a cache.
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        configuration.httpShouldSetCookies = false
        // The files are compressed already.
        configuration.httpAdditionalHeaders = ["Accept-Encoding": "identity"]
        session = URLSession(configuration: configuration, delegate: answers, delegateQueue: nil)
    }

    deinit {
        session.finishTasksAndInvalidate()
    }

    /// See `Release`; any answer but 200 is an error that says which.
    public func content(of path: String, atMost most: Int) async throws -> Data {
        let task = session.dataTask(with: folder.appendingPathComponent(path))
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                answers.expect(task, most, continuation)
                task.resume()
            }
        } onCancel: {
            task.cancel()
        }
    }
}

/// What came so far for each request. URLSession can collect by itself, but would take whatever a server sends.
private final class Answers: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    private struct Failure: LocalizedError {
        let errorDescription: String?
    }

    /// A class, so that its content grows in its place.
    private final class Answer {
        let most: Int
        let continuation: CheckedContinuation<Data, Error>
        var content = Data()

        init(most: Int, continuation: CheckedContinuation<Data, Error>) {
            self.most = most
            self.continuation = continuation
        }
    }

    private let lock = NSLock()
    private var answers: [Int: Answer] = [:]

    func expect(_ task: URLSessionTask, _ most: Int, _ continuation: CheckedContinuation<Data, Error>) {
        lock.lock()
        defer { lock.unlock() }
        answers[task.taskIdentifier] = Answer(most: most, continuation: continuation)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        lock.lock()
        defer { lock.unlock() }
        guard let answer = answers[dataTask.taskIdentifier] else { return }
        if let failure = Answers.refusal(dataTask) ?? Answers.excess(answer.content.count + data.count, answer.most) {
            answers[dataTask.taskIdentifier] = nil
            answer.continuation.resume(throwing: failure)
            dataTask.cancel()
        } else {
            answer.content.append(data)
        }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: Error?) {
        lock.lock()
        defer { lock.unlock() }
        guard let answer = answers.removeValue(forKey: task.taskIdentifier) else { return }
        if let failure = error ?? Answers.refusal(task) {
            answer.continuation.resume(throwing: failure)
        } else {
            answer.continuation.resume(returning: answer.content)
        }
    }

    private static func refusal(_ task: URLSessionTask) -> Error? {
        guard let status = (task.response as? HTTPURLResponse)?.statusCode, status != 200 else { return nil }
        return Failure(errorDescription: "HTTP \(status)")
    }

    private static func excess(_ count: Int, _ most: Int) -> Error? {
        count > most ? Failure(errorDescription: "it is longer than the index says") : nil
    }
}
