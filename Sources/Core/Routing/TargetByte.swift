import Primitives

/// What a byte may do in a path or a host, by table.
struct TargetByte {
    private let bits: UInt8

    /// One character per byte value, 0x40 plus: 1 = stands for itself in a path (RFC 3986 §3.3, pchar without escapes),
    /// 2 = unreserved (RFC 3986 §2.3), 4 = stands for itself in a canonical host, 8 = not a URI's, but sent raw by browsers and
    /// therefore escaped. A literal, since it needs neither an allocation nor a once-guard.
    private static var table: StaticString {
        """
        @@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@\
        @AH@A@AAAAAAAGC@\
        GGGGGGGGGGAAHAH@\
        ACCCCCCCCCCCCCCC\
        CCCCCCCCCCCH@HHG\
        HGGGGGGGGGGGGGGG\
        GGGGGGGGGGGHHHC@\
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
    init(_ byte: UInt8) {
        let table = TargetByte.table
        // The table has a character for every byte value.
        bits = RawSpan(_unsafeStart: UnsafeRawPointer(table.utf8Start), byteCount: 256)
            .unsafeLoad(fromUncheckedByteOffset: Int(byte), as: UInt8.self)
    }

    @inline(__always) var isPlain: Bool { bits & 1 != 0 }
    @inline(__always) var isUnreserved: Bool { bits & 2 != 0 }
    @inline(__always) var isHost: Bool { bits & 4 != 0 }
    @inline(__always) var isEscaped: Bool { bits & 8 != 0 }
}
