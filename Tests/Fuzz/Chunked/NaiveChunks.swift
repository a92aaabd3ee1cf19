import Primitives

/// A chunked decoder for comparison: whole bodies only, line by line, no limits, written for being read (RFC 9112 §7.1).
enum NaiveChunks {
    struct Body {
        var data: [UInt8] = []
        var trailers: [UInt8] = []
        var end = 0
    }

    /// Nil when the body is malformed or not complete.
    static func decode(_ bytes: [UInt8]) -> Body? {
        var body = Body()
        var at = 0
        while true {
            guard let line = line(bytes, at), let size = size(line) else { return nil }
            at += line.count + 2
            if size == 0 { break }
            guard size <= UInt64(bytes.count - at), bytes.count - at - Int(size) >= 2 else { return nil }
            body.data += bytes[at..<(at + Int(size))]
            at += Int(size)
            guard bytes[at] == 13, bytes[at + 1] == 10 else { return nil }
            at += 2
        }
        while let line = line(bytes, at) {
            at += line.count + 2
            if line.isEmpty {
                body.end = at
                return body
            }
            guard line.allSatisfy({ $0 == 9 || ($0 >= 0x20 && $0 != 0x7f) }) else { return nil }
            body.trailers += line + [13, 10]
        }
        return nil
    }

    /// Up to the next CRLF.
    private static func line(_ bytes: [UInt8], _ start: Int) -> ArraySlice<UInt8>? {
        var i = start
        while i + 1 < bytes.count {
            if bytes[i] == 13, bytes[i + 1] == 10 { return bytes[start..<i] }
            i += 1
        }
        return nil
    }

    private static func size(_ line: ArraySlice<UInt8>) -> UInt64? {
        let digits = line.prefix { ASCII.hexValue($0) != nil }
        guard !digits.isEmpty, digits.count <= 16 else { return nil }
        let size = digits.reduce(UInt64(0)) { $0 << 4 | UInt64(ASCII.hexValue($1) ?? 0) }
        return areExtensions(line[digits.endIndex...]) ? size : nil
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
    private static func areExtensions(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        while !rest.isEmpty {
            rest = trimmed(rest)
            guard rest.popFirst() == ASCII.semicolon else { return false }
            rest = trimmed(rest)
            guard let afterName = afterToken(rest) else { return false }
            rest = afterName
            guard trimmed(rest).first == ASCII.equals else { continue }
            rest = trimmed(trimmed(rest).dropFirst())
            guard let afterValue = rest.first == ASCII.quote ? afterQuoted(rest) : afterToken(rest) else { return false }
            rest = afterValue
        }
        return true
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> { text.drop { $0 == 9 || $0 == 0x20 } }

    private static func afterToken(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let rest = text.drop(while: ASCII.isToken)
        return rest.startIndex == text.startIndex ? nil : rest
    }

    private static func afterQuoted(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        var rest = text.dropFirst()
        while let byte = rest.popFirst() {
            if byte == ASCII.quote { return rest }
            guard isText(byte) else { return nil }
            if byte == ASCII.backslash {
                guard let next = rest.popFirst(), isText(next) else { return nil }
            }
        }
        return nil
    }

    private static func isText(_ byte: UInt8) -> Bool { byte == 9 || (byte >= 0x20 && byte != 0x7f) }
}
