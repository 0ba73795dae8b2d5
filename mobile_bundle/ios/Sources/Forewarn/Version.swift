/// Whether a model's version, such as 2026.11.10, is newer than another, such as 2026.11.5; an empty one is the oldest.
func isNewer(_ version: String, than other: String) -> Bool {
    let left = version.split(separator: ".", omittingEmptySubsequences: false)
    let right = other.split(separator: ".", omittingEmptySubsequences: false)
    for (a, b) in zip(left, right) {
        if precedes(a, b) { return false }
        if precedes(b, a) { return true }
    }
    return left.count > right.count
}

/// The order of two parts: numbers by their value, whatever their length, and all else by its bytes.
private func precedes(_ a: Substring, _ b: Substring) -> Bool {
    func isNumber(_ part: Substring) -> Bool { !part.isEmpty && part.utf8.allSatisfy((0x30...0x39).contains) }
    guard isNumber(a), isNumber(b) else { return a.utf8.lexicographicallyPrecedes(b.utf8) }
    let digits = [a, b].map { $0.drop { $0 == "0" } }
    if digits[0].count != digits[1].count { return digits[0].count < digits[1].count }
    return digits[0] < digits[1]
}
