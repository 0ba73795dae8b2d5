import COnnxRuntime
import Forewarn
import Foundation

/// ONNX Runtime's C API and its environment, of which a process has one.
struct OnnxRuntime: @unchecked Sendable {
    /// What ONNX Runtime says went wrong.
    struct Failure: Error {
        let code: UInt32
        /// One line; may tell names and shapes of the model and its inputs.
        let reason: String
    }

    static let shared = Result { try OnnxRuntime() }

    let api: UnsafePointer<OrtApi>
    let environment: OpaquePointer
    let version: String

    private init() throws {
        let broken = ForewarnError.use("ONNX Runtime does not start; reinstall it")
        guard let base = OrtGetApiBase() else { throw broken }
        version = base.pointee.GetVersionString().map { String(cString: $0) } ?? "of unknown version"
        guard let api = base.pointee.GetApi(UInt32(ORT_API_VERSION)) else {
            throw ForewarnError.use(
                "ONNX Runtime \(version) is older than the header it was built with (1.\(ORT_API_VERSION)); "
                    + "take library and header from one release")
        }
        self.api = api
        // Official builds send usage events and a device's id to their maker unless they find this variable;
        // DisableTelemetryEvents comes too late for the first of them.
        setenv("ORT_DISABLE_TELEMETRY", "1", 1)
        var environment: OpaquePointer?
        // What goes wrong comes back as a status; a log line might hold ids of a message.
        let status = api.pointee.CreateEnv(ORT_LOGGING_LEVEL_FATAL, "forewarn", &environment)
        guard status == nil, let environment else { throw broken }
        self.environment = environment
        guard api.pointee.DisableTelemetryEvents(environment) == nil else { throw broken }
    }

    /// - Throws: `Failure` if a status is one.
    func check(_ status: OpaquePointer?) throws {
        guard let status else { return }
        defer { api.pointee.ReleaseStatus(status) }
        let message = api.pointee.GetErrorMessage(status).map { String(cString: $0) } ?? ""
        let line = message.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        throw Failure(code: api.pointee.GetErrorCode(status).rawValue, reason: line)
    }

    /// What a call of the C API puts where its last argument points to.
    func created(_ call: (UnsafeMutablePointer<OpaquePointer?>) -> OpaquePointer?) throws -> OpaquePointer {
        var result: OpaquePointer?
        try check(call(&result))
        guard let result else { throw Failure(code: 0, reason: "nothing was created") }
        return result
    }
}
