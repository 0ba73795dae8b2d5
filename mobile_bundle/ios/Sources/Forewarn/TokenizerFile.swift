import Foundation

/// What a tokenizer.json says, as far as forewarn's models use it.
struct TokenizerFile: Decodable {
    struct AddedToken: Decodable {
        let id: Int
        let content: String
        let singleWord: Bool
        let lstrip: Bool
        let rstrip: Bool
        let normalized: Bool

        enum CodingKeys: String, CodingKey {
            case id, content, lstrip, rstrip, normalized
            case singleWord = "single_word"
        }
    }

    struct Normalizer: Decodable {
        struct Step: Decodable {
            struct Pattern: Decodable {
                let regex: String?

                enum CodingKeys: String, CodingKey {
                    case regex = "Regex"
                }
            }

            let type: String
            let pattern: Pattern?
            let content: String?
        }

        let type: String
        let normalizers: [Step]
    }

    struct PreTokenizer: Decodable {
        struct Step: Decodable {
            let type: String
            let replacement: String?
            let prependScheme: String?
            let split: Bool?
            let individualDigits: Bool?

            enum CodingKeys: String, CodingKey {
                case type, replacement, split
                case prependScheme = "prepend_scheme"
                case individualDigits = "individual_digits"
            }
        }

        let pretokenizers: [Step]
    }

    struct PostProcessor: Decodable {
        struct Name: Decodable {
            let id: String
        }

        struct Part: Decodable {
            let specialToken: Name?
            let sequence: Name?

            enum CodingKeys: String, CodingKey {
                case specialToken = "SpecialToken"
                case sequence = "Sequence"
            }
        }

        struct SpecialToken: Decodable {
            let ids: [Int]
        }

        let type: String
        let single: [Part]
        let specialTokens: [String: SpecialToken]

        enum CodingKeys: String, CodingKey {
            case type, single
            case specialTokens = "special_tokens"
        }
    }

    struct Model: Decodable {
        struct Entry: Decodable {
            let piece: String
            let score: Double

            init(from decoder: Decoder) throws {
                var pair = try decoder.unkeyedContainer()
                piece = try pair.decode(String.self)
                score = try pair.decode(Double.self)
            }
        }

        let unknownId: Int
        let vocabulary: [Entry]

        enum CodingKeys: String, CodingKey {
            case type, vocab
            case unknownId = "unk_id"
            case byteFallback = "byte_fallback"
        }

        init(from decoder: Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            let type = try container.decode(String.self, forKey: .type)
            let byteFallback = try container.decodeIfPresent(Bool.self, forKey: .byteFallback) ?? false
            // Other models have vocabularies of other forms, so this is asked before one is read.
            guard type == "Unigram", !byteFallback else { throw TokenizerFile.unknown("model", type) }
            unknownId = try container.decode(Int.self, forKey: .unknownId)
            vocabulary = try container.decode([Entry].self, forKey: .vocab)
        }
    }

    let addedTokens: [AddedToken]
    let normalizer: Normalizer
    let preTokenizer: PreTokenizer
    let postProcessor: PostProcessor
    let model: Model

    enum CodingKeys: String, CodingKey {
        case normalizer, model
        case addedTokens = "added_tokens"
        case preTokenizer = "pre_tokenizer"
        case postProcessor = "post_processor"
    }

    static let none = ForewarnError.bundle("tokenizer.json is not a tokenizer; export the bundle again")

    /// The error of a step that is not among those that forewarn's models use.
    static func unknown(_ part: String, _ what: String) -> ForewarnError {
        .bundle("tokenizer.json has a \(part) that this version cannot run (\(what)); upgrade the forewarn client")
    }
}
