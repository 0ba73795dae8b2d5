import CZlib
import Foundation

/// zlib's compression, undone.
enum Zlib {
    /// What was compressed; nil unless that is whole and has exactly `size` bytes.
    static func inflated(_ packed: Data, size: Int) -> Data? {
        if packed.isEmpty { return nil }
        var content = Data(count: max(size, 1))
        var length = uLongf(size)
        let status = content.withUnsafeMutableBytes { target in
            packed.withUnsafeBytes { source in
                uncompress(
                    target.bindMemory(to: Bytef.self).baseAddress, &length,
                    source.bindMemory(to: Bytef.self).baseAddress, uLong(source.count))
            }
        }
        guard status == Z_OK, length == size else { return nil }
        return content.prefix(size)
    }
}
