/// Finds what somebody probably meant.
enum Suggestion {
    /// The candidate nearest to `word`, or "". Case, `-` and `_` do not count; otherwise at most two slips (a letter missing,
    /// added, wrong, or two swapped) are forgiven, and one in a word of up to four letters.
    static func nearest(to word: String, among candidates: some Sequence<String>) -> String {
        let wanted = normal(word)
        guard !wanted.isEmpty, wanted.count <= 64 else { return "" }
        let forgiven = wanted.count <= 4 ? 1 : 2
        var best = ""
        var bestDistance = forgiven + 1
        var looked = 0
        for candidate in candidates {
            looked += 1
            if looked > 20_000 { break }
            let length = candidate.utf8.count
            guard length <= 128 else { continue }
            let other = normal(candidate)
            guard abs(other.count - wanted.count) < bestDistance else { continue }
            let distance = editDistance(wanted, other)
            if distance < bestDistance {
                best = candidate
                bestDistance = distance
                if distance == 0 { break }
            }
        }
        return DisplayText.of(best.isEmpty ? longerOrShorter(wanted, candidates) : best)
    }

    /// The first candidate that begins with the word, or the word with it: `warning` for `warn`.
    private static func longerOrShorter(_ wanted: [UInt8], _ candidates: some Sequence<String>) -> String {
        guard wanted.count >= 3 else { return "" }
        for candidate in candidates.prefix(20_000) {
            let other = normal(candidate)
            if other.count >= 3, other.starts(with: wanted) || wanted.starts(with: other) { return candidate }
        }
        return ""
    }

    /// Lower case, with `maxAge`, `max-age` and `max_age` alike.
    private static func normal(_ word: String) -> [UInt8] {
        word.utf8.compactMap { c in
            c == 0x2d || c == 0x5f ? nil : c &- 0x41 < 26 ? c | 0x20 : c
        }
    }

    /// Damerau and Levenshtein's distance in the form in which no part is edited twice.
    private static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        var current = last
        for i in 0..<a.count {
            current[0] = i + 1
            for j in 0..<b.count {
                let substitution = last[j] + (a[i] == b[j] ? 0 : 1)
                current[j + 1] = min(last[j + 1] + 1, current[j] + 1, substitution)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    current[j + 1] = min(current[j + 1], beforeLast[j - 1] + 1)
                }
            }
            (beforeLast, last, current) = (last, current, beforeLast)
        }
        return last[b.count]
    }
}
