import Primitives

/// What a byte may do in a path or a host, by table.
struct TargetByte {
    private let bits: UInt8

    /// One character per byte value, 0x40 plus: 1 = stands for itself in a path (RFC 3986 §3.3, pchar without escapes),
    /// 2 = unreserved (RFC 3986 §2.3), 4 = stands for itself in a canonical host, 8 = not a URI's, but sent raw by browsers and
    /// therefore escaped, 16 = a slash, or 1 but for the dot, 32 = a dot, or 4.
    /// A literal, since it needs neither an allocation nor a once-guard.
    private static var table: StaticString {
        """
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @QH@Q@QQQQQQQwcP\
        wwwwwwwwwwQQHQH@\
        QSSSSSSSSSSSSSSS\
        SSSSSSSSSSSH@HHw\
        Hwwwwwwwwwwwwwww\
        wwwwwwwwwwwHHHS@\
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@
        """
    }

    @inline(__always)
    init(_ byte: UInt8) { bits = TargetByte.bits(UInt64(byte)) }

    /// What all eight bytes of a word may do.
    @inline(__always)
    init(all word: UInt64) {
        let low =
            TargetByte.bits(word) & TargetByte.bits(word &>> 8) & TargetByte.bits(word &>> 16) & TargetByte.bits(word &>> 24)
        let high =
            TargetByte.bits(word &>> 32) & TargetByte.bits(word &>> 40) & TargetByte.bits(word &>> 48)
            & TargetByte.bits(word &>> 56)
        bits = low & high
    }

    /// The table has a character for every value of the lowest byte.
    @inline(__always)
    private static func bits(_ word: UInt64) -> UInt8 {
        RawSpan(_unsafeStart: UnsafeRawPointer(table.utf8Start), byteCount: 256)
            .unsafeLoad(fromUncheckedByteOffset: Int(truncatingIfNeeded: word & 0xff), as: UInt8.self)
    }

    @inline(__always) var isPlain: Bool { bits & 1 != 0 }
    @inline(__always) var isUnreserved: Bool { bits & 2 != 0 }
    @inline(__always) var isHost: Bool { bits & 4 != 0 }
    @inline(__always) var isEscaped: Bool { bits & 8 != 0 }
    @inline(__always) var isPlainOrSlashNotDot: Bool { bits & 16 != 0 }
    @inline(__always) var isHostOrDot: Bool { bits & 32 != 0 }
}
