/// Checks, byte by byte, that what escapes decode to is UTF-8 (RFC 3629 §4): no overlong forms, no surrogates, nothing above
/// U+10FFFF.
struct UTF8Check {
    /// Continuation bytes still to come.
    private var missing = 0
    private var low: UInt8 = 0x80
    private var high: UInt8 = 0xbf

    var isComplete: Bool { missing == 0 }

    /// Whether `byte` may stand here.
    mutating func accepts(_ byte: UInt8) -> Bool {
        guard missing > 0 else { return begins(byte) }
        guard byte >= low, byte <= high else { return false }
        missing -= 1
        low = 0x80
        high = 0xbf
        return true
    }

    private mutating func begins(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x00...0x7f: return true
        case 0xc2...0xdf: missing = 1
        case 0xe0...0xef:
            missing = 2
            if byte == 0xe0 { low = 0xa0 }
            if byte == 0xed { high = 0x9f }
        case 0xf0...0xf4:
            missing = 3
            if byte == 0xf0 { low = 0x90 }
            if byte == 0xf4 { high = 0x8f }
        default: return false
        }
        return true
    }
}
