import CScan

/// Bytes that have a meaning in HTTP and in text.
public enum ASCII {
    public static var tab: UInt8 { 0x09 }
    public static var lf: UInt8 { 0x0a }
    public static var cr: UInt8 { 0x0d }
    public static var space: UInt8 { 0x20 }
    public static var quote: UInt8 { 0x22 }
    public static var percent: UInt8 { 0x25 }
    public static var asterisk: UInt8 { 0x2a }
    public static var comma: UInt8 { 0x2c }
    public static var dash: UInt8 { 0x2d }
    public static var dot: UInt8 { 0x2e }
    public static var slash: UInt8 { 0x2f }
    public static var zero: UInt8 { 0x30 }
    public static var colon: UInt8 { 0x3a }
    public static var semicolon: UInt8 { 0x3b }
    public static var equals: UInt8 { 0x3d }
    public static var question: UInt8 { 0x3f }
    public static var backslash: UInt8 { 0x5c }
    public static var underscore: UInt8 { 0x5f }

    @inlinable
    public static func isDigit(_ c: UInt8) -> Bool { c &- 0x30 < 10 }
    @inlinable
    public static func isLetter(_ c: UInt8) -> Bool { (c | 0x20) &- 0x61 < 26 }
    @inlinable
    public static func isUpper(_ c: UInt8) -> Bool { c &- 0x41 < 26 }
    @inlinable
    public static func lowercased(_ c: UInt8) -> UInt8 { isUpper(c) ? c | 0x20 : c }
    @inlinable
    public static func isToken(_ c: UInt8) -> Bool {
        isLetter(c) || isDigit(c)
            || c == 0x21 || (c >= 0x23 && c <= 0x27) || c == 0x2a || c == 0x2b || c == 0x2d || c == 0x2e
            || c == 0x5e || c == 0x5f || c == 0x60 || c == 0x7c || c == 0x7e
    }

    /// The hexadecimal digit of a value below 16, in upper case as in percent-encoding (RFC 3986 §2.1).
    @inlinable
    public static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x37 &+ value }

    /// The value of a hexadecimal digit, or nil.
    @inlinable
    public static func hexValue(_ c: UInt8) -> UInt8? {
        if isDigit(c) { return c - 0x30 }
        let lower = c | 0x20
        return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : nil
    }
}

/// Whether every byte is a tchar and there is at least one (RFC 9110 §5.6.2).
public func isToken(_ bytes: RawSpan) -> Bool {
    bytes.withUnsafeBytes { buffer in
        guard let start = buffer.baseAddress, buffer.count > 0 else { return false }
        return cscan_token(start.assumingMemoryBound(to: UInt8.self), buffer.count) == buffer.count
    }
}

extension RawSpan {
    /// The byte at `offset`, which must lie inside the span.
    @inlinable
    public subscript(_ offset: Int) -> UInt8 {
        unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// Whether the bytes are those of `text`.
    public func equals(_ text: StaticString) -> Bool {
        guard byteCount == text.utf8CodeUnitCount else { return false }
        return withUnsafeBytes { $0.baseAddress.map { memcmp($0, text.utf8Start, byteCount) == 0 } ?? true }
    }

    /// Whether the bytes are those of `lowercase`, but for the case of ASCII letters.
    public func equals(ignoringCase lowercase: StaticString) -> Bool {
        guard byteCount == lowercase.utf8CodeUnitCount else { return false }
        return withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return true }
            return cscan_equals_lowercase(start.assumingMemoryBound(to: UInt8.self), lowercase.utf8Start, byteCount) != 0
        }
    }

    /// Whether both are the same but for the case of ASCII letters.
    public func equals(ignoringCase other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        for k in 0..<byteCount where ASCII.lowercased(self[k]) != ASCII.lowercased(other[k]) { return false }
        return true
    }

    public func equals(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        return withUnsafeBytes { a in
            other.withUnsafeBytes { b in
                guard let x = a.baseAddress, let y = b.baseAddress else { return true }
                return memcmp(x, y, byteCount) == 0
            }
        }
    }

    /// The bytes without spaces and tabs at both ends (OWS, RFC 9110 §5.6.3).
    @_lifetime(copy self)
    public func trimmingWhitespace() -> RawSpan {
        var start = 0
        var end = byteCount
        while start < end, self[start] == ASCII.space || self[start] == ASCII.tab { start += 1 }
        while end > start, self[end - 1] == ASCII.space || self[end - 1] == ASCII.tab { end -= 1 }
        return extracting(start..<end)
    }

    /// The offset of the first `byte`, or nil.
    public func firstIndex(of byte: UInt8) -> Int? {
        let found = withUnsafeBytes { buffer -> Int in
            guard let start = buffer.baseAddress else { return 0 }
            return cscan_byte(start.assumingMemoryBound(to: UInt8.self), buffer.count, byte)
        }
        return found < byteCount ? found : nil
    }

    /// The first byte from `offset` on that is a control byte other than HTAB, or `byteCount`.
    public func firstControl(from offset: Int) -> Int {
        withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress, offset < buffer.count else { return buffer.count }
            return offset + cscan_control(start.assumingMemoryBound(to: UInt8.self) + offset, buffer.count - offset)
        }
    }

    /// How many bytes from `offset` on are tchars without a break.
    public func tokenCount(from offset: Int) -> Int {
        withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress, offset < buffer.count else { return 0 }
            return cscan_token(start.assumingMemoryBound(to: UInt8.self) + offset, buffer.count - offset)
        }
    }

    /// A copy, off the hot path.
    public func array() -> [UInt8] { withUnsafeBytes { Array($0) } }
}
