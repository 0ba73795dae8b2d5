import COnnxRuntime
import Forewarn
import Foundation

/// A bundle's model.onnx on ONNX Runtime. Safe to share between threads.
public final class OnnxModel: Model, @unchecked Sendable {
    private static let inputs = ["input_ids", "attention_mask"]
    private static let output = "logits"

    private let runtime: OnnxRuntime
    private let session: OpaquePointer
    private let memory: OpaquePointer

    /// Loads a model by its path, so that its 12 MB are not copied into memory first.
    ///
    /// - Parameter file: the model, `bundle.file("model.onnx")`.
    /// - Throws: `ForewarnError.bundle` if ONNX Runtime cannot load it; `ForewarnError.use` if there is no ONNX Runtime
    ///   of this version.
    public init(file: URL) throws {
        runtime = try OnnxRuntime.shared.get()
        do {
            (session, memory) = try OnnxModel.load(file, runtime)
        } catch let error as OnnxRuntime.Failure {
            throw ForewarnError.bundle(
                "\(file.lastPathComponent) cannot be loaded by ONNX Runtime \(runtime.version) (\(error.reason)); "
                    + "use the bundle's own model, or a newer runtime")
        }
    }

    private static func load(
        _ file: URL, _ runtime: OnnxRuntime
    ) throws -> (session: OpaquePointer, memory: OpaquePointer) {
        let api = runtime.api
        let options = try runtime.created { api.pointee.CreateSessionOptions($0) }
        defer { api.pointee.ReleaseSessionOptions(options) }
        // Messages are short: more threads cost more than they bring.
        try runtime.check(api.pointee.SetIntraOpNumThreads(options, 1))
        // Memory that an arena would keep between messages is what an extension lacks.
        try runtime.check(api.pointee.DisableCpuMemArena(options))
        let session = try runtime.created { api.pointee.CreateSession(runtime.environment, file.path, options, $0) }
        do {
            let memory = try runtime.created {
                api.pointee.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, $0)
            }
            return (session, memory)
        } catch {
            api.pointee.ReleaseSession(session)
            throw error
        }
    }

    deinit {
        runtime.api.pointee.ReleaseSession(session)
        runtime.api.pointee.ReleaseMemoryInfo(memory)
    }

    /// The model's logits; see `Model`.
    ///
    /// - Throws: `ForewarnError.use` if the rows are not all equally long, or ONNX Runtime refuses them.
    public func logits(ids: [[Int64]], mask: [[Int64]]) throws -> [[Float]] {
        guard let length = ids.first?.count else { return [] }
        guard mask.count == ids.count, (ids + mask).allSatisfy({ $0.count == length }), length > 0 else {
            throw ForewarnError.use("rows of ids and mask differ in length; pad them to the longest one")
        }
        do {
            return try run(ids.flatMap { $0 }, mask.flatMap { $0 }, shape: [Int64(ids.count), Int64(length)])
        } catch let error as OnnxRuntime.Failure {
            // Its reason may tell shapes and values of the input, so only its code is passed on.
            throw ForewarnError.use("ONNX Runtime cannot run the model (\(error.code)); use the bundle's own model")
        }
    }

    private func run(_ ids: [Int64], _ mask: [Int64], shape: [Int64]) throws -> [[Float]] {
        let api = runtime.api
        var ids = ids
        var mask = mask
        // ONNX Runtime reads the arrays where they are, so they must stay there until it is done.
        return try ids.withUnsafeMutableBytes { ids in
            try mask.withUnsafeMutableBytes { mask in
                let idTensor = try tensor(ids, shape)
                defer { api.pointee.ReleaseValue(idTensor) }
                let maskTensor = try tensor(mask, shape)
                defer { api.pointee.ReleaseValue(maskTensor) }
                let result = try withNames(OnnxModel.inputs) { inputs in
                    try withNames([OnnxModel.output]) { outputs in
                        try runtime.created { result in
                            api.pointee.Run(session, nil, inputs, [idTensor, maskTensor], 2, outputs, 1, result)
                        }
                    }
                }
                defer { api.pointee.ReleaseValue(result) }
                return try rows(of: result, Int(shape[0]))
            }
        }
    }

    private func tensor(_ bytes: UnsafeMutableRawBufferPointer, _ shape: [Int64]) throws -> OpaquePointer {
        try runtime.created { tensor in
            runtime.api.pointee.CreateTensorWithDataAsOrtValue(
                memory, bytes.baseAddress, bytes.count, shape, shape.count, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, tensor)
        }
    }

    /// The output as rows; none where it is not one of floats that has as many rows as went in.
    private func rows(of tensor: OpaquePointer, _ count: Int) throws -> [[Float]] {
        let api = runtime.api
        let shape = try runtime.created { api.pointee.GetTensorTypeAndShape(tensor, $0) }
        defer { api.pointee.ReleaseTensorTypeAndShapeInfo(shape) }
        var type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED
        try runtime.check(api.pointee.GetTensorElementType(shape, &type))
        var elements = 0
        try runtime.check(api.pointee.GetTensorShapeElementCount(shape, &elements))
        guard type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, elements % count == 0 else { return [] }

        var data: UnsafeMutableRawPointer?
        try runtime.check(api.pointee.GetTensorMutableData(tensor, &data))
        guard let data else { return [] }
        let logits = UnsafeBufferPointer(start: data.assumingMemoryBound(to: Float.self), count: elements)
        let width = elements / count
        return (0..<count).map { Array(logits[$0 * width..<($0 + 1) * width]) }
    }
}

/// Calls with an array of C strings.
private func withNames<Result>(
    _ names: [String], _ body: ([UnsafePointer<CChar>?]) throws -> Result
) rethrows -> Result {
    let copies = names.map { strdup($0) }
    defer { copies.forEach { free($0) } }
    return try body(copies.map { UnsafePointer($0) })
}
