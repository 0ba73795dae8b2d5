// swift-tools-version:5.9
import Foundation
import PackageDescription

// Debian's libonnxruntime-dev and iOS's onnxruntime.xcframework bring the same C header under the same name. Without
// the xcframework beside this file an Apple machine still builds `Forewarn`, for an app with a `Model` of its own.
let xcframework = "onnxruntime.xcframework"

#if os(Linux)
let hasOnnxRuntime = true
let binaries: [Target] = []
let onnxRuntime: [Target.Dependency] = []
// Only the tests need these: Linux has no CryptoKit.
let cryptography: [Target] = [.systemLibrary(name: "COpenSSL", path: "Tests/COpenSSL")]
let tests: [Target] = [
    .testTarget(name: "ForewarnTests", dependencies: ["Forewarn", "ForewarnONNX", "COpenSSL"])
]
#else
let hasOnnxRuntime = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(xcframework)")
let binaries: [Target] = hasOnnxRuntime ? [.binaryTarget(name: "onnxruntime", path: xcframework)] : []
let onnxRuntime: [Target.Dependency] = ["onnxruntime"]
let cryptography: [Target] = []
let tests: [Target] = []
#endif

let onnxTargets: [Target] = [
    .target(
        name: "COnnxRuntime",
        dependencies: onnxRuntime,
        linkerSettings: [
            .linkedLibrary("onnxruntime", .when(platforms: [.linux])),
            // The xcframework is a static library of C++.
            .linkedLibrary("c++", .when(platforms: [.iOS, .macOS])),
        ]
    ),
    .target(name: "ForewarnONNX", dependencies: ["Forewarn", "COnnxRuntime"]),
]

let package = Package(
    name: "Forewarn",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "Forewarn", targets: ["Forewarn"])]
        + (hasOnnxRuntime ? [.library(name: "ForewarnONNX", targets: ["ForewarnONNX"])] : []),
    targets: [
        // zlib is part of Apple's SDKs.
        .target(name: "CZlib", linkerSettings: [.linkedLibrary("z")]),
        .target(name: "Forewarn", dependencies: ["CZlib"]),
    ] + (hasOnnxRuntime ? onnxTargets : []) + binaries + cryptography + tests
)
