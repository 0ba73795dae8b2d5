import Foundation

/// What a message is: a fraud, honest marketing, or neither.
public enum VerdictName: String, Decodable, Sendable, CaseIterable {
    case scam, promotion, legitimate
}

/// One class of the model: its name, the verdict that it counts towards, and the human levers it pulls.
struct Leaf: Decodable, Sendable {
    let name: String
    let verdict: VerdictName
    let levers: [String]
}

/// What the client relies on of a bundle's manifest.json.
struct Manifest: Decodable, Sendable {
    struct Labels: Decodable, Sendable {
        let verdicts: [VerdictName]
        let leaves: [Leaf]
    }

    struct Calibration: Decodable, Sendable {
        let temperature: Double
        let scamBias: Double

        enum CodingKeys: String, CodingKey {
            case temperature
            case scamBias = "scam_bias"
        }
    }

    struct OperatingPoint: Decodable, Sendable {
        let threshold: Double
    }

    struct OperatingPoints: Decodable, Sendable {
        let warn: OperatingPoint
        let block: OperatingPoint
    }

    struct File: Decodable, Sendable {
        let sha256: String
    }

    let version: String
    let labels: Labels
    let maxLength: Int
    let calibration: Calibration
    let operatingPoints: OperatingPoints
    let files: [String: File]

    enum CodingKeys: String, CodingKey {
        case version, labels, calibration, files
        case maxLength = "max_length"
        case operatingPoints = "operating_points"
    }

    private struct Format: Decodable {
        let format: Double?
    }

    /// The bundle format that this version reads.
    static let format = 1.0
    static let name = "manifest.json"
    private static let required = ["model.onnx", "tokenizer.json", "forewarnings.json"]
    private static let anotherOne = "use a bundle that `forewarn export` wrote"

    /// Reads and checks every field that the client relies on.
    ///
    /// - Throws: what is wrong, without the bundle's place.
    static func parse(_ json: Data) throws -> Manifest {
        let found = try decode(Format.self, json, otherwise: "is not JSON; copy or download the bundle again").format
        guard found == format else { throw unknownFormat(found) }
        // Some decoders do not tell where a number is that does not fit.
        let manifest = try decode(Manifest.self, json, otherwise: "has a number that cannot be used; \(anotherOne)")
        try manifest.check()
        return manifest
    }

    /// - Parameter otherwise: what to say where the decoder finds fault with no field.
    private static func decode<T: Decodable>(_ type: T.Type, _ json: Data, otherwise: String) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: json)
        } catch let error as DecodingError {
            throw ForewarnError.bundle("\(name) \(describe(error) ?? otherwise)")
        }
    }

    private func check() throws {
        func require(_ condition: Bool, _ what: String) throws {
            if !condition { throw ForewarnError.bundle("\(Manifest.name) \(what); \(Manifest.anotherOne)") }
        }
        try require(maxLength >= 4, "has no usable max_length")
        try require(calibration.temperature > 0, "has no usable calibration.temperature")
        for name in files.keys { try require(Manifest.isFileName(name), "lists a file outside the bundle") }
        for name in Manifest.required { try require(files[name] != nil, "does not list \(name)") }
        for leaf in labels.leaves {
            try require(labels.verdicts.contains(leaf.verdict), "has no known verdict for \(leaf.name)")
        }
        for verdict in [VerdictName.scam, .legitimate] {
            try require(labels.leaves.contains { $0.verdict == verdict }, "has no labels for \(verdict.rawValue)")
        }
    }

    /// Whether a name is that of a file in the bundle's folder itself.
    private static func isFileName(_ name: String) -> Bool {
        let outside: Set<Unicode.Scalar> = ["/", "\\", ":", "\0"]
        return !["", ".", ".."].contains(name) && !name.unicodeScalars.contains(where: outside.contains)
    }

    private static func unknownFormat(_ found: Double?) -> ForewarnError {
        let known = String(format: "%g", format)
        guard let found else {
            return .bundle("bundle format is none that is known, this version reads format \(known); \(anotherOne)")
        }
        let action = found > format ? "upgrade the forewarn client" : anotherOne
        return .bundle("bundle format is \(String(format: "%g", found)), this version reads format \(known); \(action)")
    }

    private static func describe(_ error: DecodingError) -> String? {
        let path: [CodingKey]
        switch error {
        case .keyNotFound(let key, let context): path = context.codingPath + [key]
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            path = context.codingPath
            if path.isEmpty { return "is not an object; \(anotherOne)" }
        case .dataCorrupted(let context): path = context.codingPath
        @unknown default: path = []
        }
        if path.isEmpty { return nil }
        let place = path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        return "has no usable \(place); \(anotherOne)"
    }
}
