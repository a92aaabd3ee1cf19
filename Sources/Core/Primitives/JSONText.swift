import CScan

/// Escapes bytes for the inside of a JSON string (RFC 8259 §7), so that a log line or an error body stays one valid object
/// whatever a client sent, and stays harmless in a terminal.
///
/// Escaped are: quote and backslash; control bytes, DEL and U+0080 to U+009F, which terminals obey; U+2028 and U+2029, which some
/// readers take for line ends; and the marks that turn the direction of text. A byte that is not part of valid UTF-8
/// becomes the text `\xNN`.
public enum JSONText {
    /// The most bytes that one byte of input can become (`\u001b`).
    public static var growthMax: Int { 6 }

    /// Appends the text escaped, without quotes around it. What is behind the first `limit` bytes is left out; no character is
    /// cut in two.
    public static func append(escaping text: RawSpan, limit: Int = .max, into buffer: inout ByteBuffer) {
        let kept = prefix(of: text, limit: limit)
        if isPlain(kept) { return buffer.append(kept) }
        buffer.withFreeSpace(kept.byteCount * growthMax) { room in
            guard let base = room.baseAddress else { return 0 }
            return escape(kept, to: base.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// Off the hot path.
    public static func append(escaping text: String, limit: Int = .max, into buffer: inout ByteBuffer) {
        var text = text
        text.withUTF8 { append(escaping: RawSpan(_unsafeElements: $0), limit: limit, into: &buffer) }
    }

    /// The longest beginning of at most `limit` bytes that does not end inside a character.
    @inlinable
    @inline(__always)
    @_lifetime(copy text)
    public static func prefix(of text: RawSpan, limit: Int) -> RawSpan {
        text.byteCount <= limit ? text : cut(text, limit)
    }

    @usableFromInline
    @_lifetime(copy text)
    static func cut(_ text: RawSpan, _ limit: Int) -> RawSpan {
        var end = max(limit, 0)
        var steps = 0
        while steps < 3, end > 0, text[end] & 0xc0 == 0x80 {
            end -= 1
            steps += 1
        }
        // Four continuation bytes in a row are no character: nothing to keep whole.
        if end > 0, text[end] & 0xc0 == 0x80 { end = max(limit, 0) }
        return text.extracting(0..<end)
    }

    /// Whether the text can stand in a JSON string as it is: only printable ASCII without quote and backslash.
    public static func isPlain(_ text: RawSpan) -> Bool {
        text.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return true }
            return cscan_json_plain(start.assumingMemoryBound(to: UInt8.self), bytes.count) != 0
        }
    }

    @inline(__always)
    private static func isSpecial(_ c: UInt8) -> Bool { c &- 0x20 >= 0x5f || c == ASCII.quote || c == ASCII.backslash }

    /// Writes the text escaped and returns how many bytes it became: up to `growthMax` for each byte of the text, for which
    /// `to` must have room.
    public static func escape(_ text: RawSpan, to: UnsafeMutablePointer<UInt8>) -> Int {
        let n = text.byteCount
        var out = 0
        var i = 0
        while i < n {
            let c = text[i]
            if !isSpecial(c) {
                to[out] = c
                out += 1
                i += 1
                continue
            }
            switch c {
            case ASCII.quote, ASCII.backslash:
                out += short(c, to + out)
                i += 1
            case ASCII.lf:
                out += short(0x6e, to + out)
                i += 1
            case ASCII.cr:
                out += short(0x72, to + out)
                i += 1
            case ASCII.tab:
                out += short(0x74, to + out)
                i += 1
            case 0..<0x80:
                out += unicode(UInt32(c), to + out)
                i += 1
            default:
                let (scalar, length) = character(text, at: i)
                if length == 0 {
                    out += invalid(c, to + out)
                    i += 1
                } else if isHarmful(scalar) {
                    out += unicode(scalar, to + out)
                    i += length
                } else {
                    for k in 0..<length { to[out + k] = text[i + k] }
                    out += length
                    i += length
                }
            }
        }
        return out
    }

    private static func short(_ letter: UInt8, _ to: UnsafeMutablePointer<UInt8>) -> Int {
        to[0] = ASCII.backslash
        to[1] = letter
        return 2
    }

    private static func hex(_ nibble: UInt32) -> UInt8 {
        let low = UInt8(truncatingIfNeeded: nibble & 15)
        return low < 10 ? 48 + low : 87 + low
    }

    /// `\uNNNN`; every scalar that comes here is below U+10000.
    private static func unicode(_ scalar: UInt32, _ to: UnsafeMutablePointer<UInt8>) -> Int {
        to[0] = ASCII.backslash
        to[1] = 0x75
        to[2] = hex(scalar >> 12)
        to[3] = hex(scalar >> 8)
        to[4] = hex(scalar >> 4)
        to[5] = hex(scalar)
        return 6
    }

    /// `\\xNN`, which a JSON reader turns into the four characters `\xNN`.
    private static func invalid(_ byte: UInt8, _ to: UnsafeMutablePointer<UInt8>) -> Int {
        to[0] = ASCII.backslash
        to[1] = ASCII.backslash
        to[2] = 0x78
        to[3] = hex(UInt32(byte) >> 4)
        to[4] = hex(UInt32(byte))
        return 5
    }

    private static func isHarmful(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x80...0x9f, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }

    /// The character that begins at `at` and its length; length 0 when the bytes are not well-formed (RFC 3629 §4).
    private static func character(_ text: RawSpan, at: Int) -> (scalar: UInt32, length: Int) {
        let first = text[at]
        let length: Int
        let lowest: UInt32
        var scalar: UInt32
        switch first {
        case 0xc2...0xdf: (length, lowest, scalar) = (2, 0x80, UInt32(first & 0x1f))
        case 0xe0...0xef: (length, lowest, scalar) = (3, 0x800, UInt32(first & 0x0f))
        case 0xf0...0xf4: (length, lowest, scalar) = (4, 0x1_0000, UInt32(first & 0x07))
        default: return (0, 0)
        }
        guard text.byteCount - at >= length else { return (0, 0) }
        for k in 1..<length {
            let c = text[at + k]
            guard c & 0xc0 == 0x80 else { return (0, 0) }
            scalar = scalar << 6 | UInt32(c & 0x3f)
        }
        guard scalar >= lowest, scalar <= 0x10_ffff, !(0xd800...0xdfff).contains(scalar) else { return (0, 0) }
        return (scalar, length)
    }
}
