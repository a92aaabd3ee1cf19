import Primitives

/// How a text is made harmless in a line.
enum LineEscape {
    case json
    /// `\"`, `\\`, and `\xNN` for what is not printable ASCII, as Apache does.
    case combined
}

extension TextCursor {
    /// The beginning of a text, of at most `limit` bytes, without what looks like a secret in it; it takes up to six bytes for each
    /// byte. A secret is found even where the cut goes through it.
    mutating func write(
        masked whole: RawSpan, limit: Int, _ kind: SecretScan.Kind, _ escape: LineEscape, _ rules: AccessLogRules
    ) {
        let shown = JSONText.prefix(of: whole, limit: limit)
        let bytes = Scan.log(shown)
        guard SecretScan.isNeeded(whole, bytes, limit: limit, kind, rules) else {
            return bytes.isPlain ? write(shown) : write(shown, escape)
        }
        let n = shown.byteCount
        var scan = SecretScan(whole, kind)
        var start = 0
        while let secret = scan.next(before: n, rules) {
            write(whole.extracting(start..<secret.lowerBound), escape)
            write("***")
            start = min(secret.upperBound, n)
        }
        write(shown.extracting(start..<n), escape)
    }

    private mutating func write(_ text: RawSpan, _ escape: LineEscape) {
        switch escape {
        case .json: if JSONText.isPlain(text) { write(text) } else { write(escaping: text) }
        case .combined: write(combinedText: text)
        }
    }

    /// Takes up to four bytes for each byte.
    mutating func write(combinedText text: RawSpan) {
        if JSONText.isPlain(text) { return write(text) }
        for i in 0..<text.byteCount {
            let c = text[i]
            switch c {
            case ASCII.quote, ASCII.backslash:
                write(ASCII.backslash)
                write(c)
            case 0x20...0x7e:
                write(c)
            default:
                write("\\x")
                write(hexDigit(c >> 4))
                write(hexDigit(c & 15))
            }
        }
    }

    private func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 + nibble : 87 + nibble }
}
