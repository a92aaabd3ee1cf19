import Configuration

/// Looks for what libyaml would stumble over, or report without its place.
enum TextCheck {
    /// The first byte that is no UTF-8 or NUL, with its place, and what is wrong with it.
    static func firstFault(_ text: ArraySlice<UInt8>, file: String) -> (Mark, String)? {
        if text.starts(with: [0xff, 0xfe]) || text.starts(with: [0xfe, 0xff]) {
            return (Mark(file: file, line: 1, column: 1), "the file is UTF-16; it must be UTF-8")
        }
        if let nul = text.firstIndex(of: 0) {
            return (mark(of: nul, in: text, file), "the file has a NUL byte")
        }
        if let bad = firstInvalid(text) {
            return (mark(of: bad, in: text, file), "the file is not UTF-8")
        }
        return nil
    }

    /// Whether a tab stands at a place.
    static func isTab(at mark: Mark, in text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        for _ in 1..<mark.line {
            guard let end = rest.firstIndex(of: 0x0a) else { return false }
            rest = rest[(end + 1)...]
        }
        // Before a tab that indents stand only blanks, so that bytes count like characters.
        return rest.dropFirst(mark.column - 1).first == 0x09
    }

    private static func mark(of index: Int, in text: ArraySlice<UInt8>, _ file: String) -> Mark {
        let before = text[..<index]
        let lines = before.reduce(1) { $0 + ($1 == 0x0a ? 1 : 0) }
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? before.startIndex
        let characters = before[lineStart...].reduce(0) { $0 + ($1 & 0xc0 == 0x80 ? 0 : 1) }
        return Mark(file: file, line: lines, column: characters + 1)
    }

    /// The start of the first sequence that is not well formed (RFC 3629 §4), or nil.
    private static func firstInvalid(_ text: ArraySlice<UInt8>) -> Int? {
        text.withUnsafeBufferPointer { bytes -> Int? in
            var i = 0
            while i < bytes.count {
                let lead = bytes[i]
                if lead < 0x80 {
                    i += 1
                    continue
                }
                let second: ClosedRange<UInt8>
                let more: Int
                switch lead {
                case 0xc2...0xdf: (second, more) = (0x80...0xbf, 1)
                case 0xe0: (second, more) = (0xa0...0xbf, 2)
                case 0xed: (second, more) = (0x80...0x9f, 2)
                case 0xe1...0xef: (second, more) = (0x80...0xbf, 2)
                case 0xf0: (second, more) = (0x90...0xbf, 3)
                case 0xf1...0xf3: (second, more) = (0x80...0xbf, 3)
                case 0xf4: (second, more) = (0x80...0x8f, 3)
                default: return text.startIndex + i
                }
                guard i + more < bytes.count, second.contains(bytes[i + 1]) else { return text.startIndex + i }
                for j in 1...more where bytes[i + j] & 0xc0 != 0x80 { return text.startIndex + i }
                i += more + 1
            }
            return nil
        }
    }
}
