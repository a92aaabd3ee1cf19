import Primitives

/// The host and port of an authority (RFC 3986 §3.2), checked and found in the bytes that hold them.
///
/// Names are letters, digits, `-`, `_` and dots, in labels of at most 63 bytes and 253 in all: what DNS and service discovery
/// use. The rest of RFC 3986's reg-name (commas, escapes, `;`) is refused, since servers disagree on it.
struct Authority {
    /// Without the port and without one trailing dot; an IPv6 address keeps its brackets.
    var host: Range<Int>
    /// 0 when there is none.
    var port: UInt16 = 0
    /// Whether letters must still be put in lower case.
    var hasUpper = false

    init(_ bytes: RawSpan, _ range: Range<Int>) throws(TargetFault) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount, "an authority outside its storage")
        let start = range.lowerBound
        guard start < range.upperBound else { throw .emptyHost }
        host = range
        if Authority.isPlainName(bytes, range) { return }
        if bytes[start] == UInt8(ascii: "[") {
            try readAddress(bytes, range)
            return
        }
        var i = start
        var label = start
        while i < range.upperBound {
            let c = bytes.unsafeLoad(fromUncheckedByteOffset: i, as: UInt8.self)
            if TargetByte(c).isHost {
                i &+= 1
            } else if c == ASCII.dot {
                guard i > label, i - label <= 63 else { throw i == start ? .emptyHost : .invalidHost }
                i += 1
                label = i
            } else if ASCII.isUpper(c) {
                hasUpper = true
                i += 1
            } else if c == ASCII.colon {
                break
            } else {
                throw Authority.fault(bytes, range)
            }
        }
        let end = i
        if end < range.upperBound { try readPort(bytes, (end + 1)..<range.upperBound) }
        guard end > start else { throw .emptyHost }
        guard end - label <= 63 else { throw .invalidHost }
        host = start..<(label == end ? end - 1 : end)
        guard host.count <= 253 else { throw .invalidHost }
        if ASCII.isDigit(bytes[host.upperBound - 1]) { try checkNumber(bytes) }
    }

    /// Whether the range is a name in canonical form without a port, as almost all are; otherwise it must be looked at closely.
    /// A name of at most 63 bytes has no label that is longer.
    @inline(__always)
    private static func isPlainName(_ bytes: RawSpan, _ range: Range<Int>) -> Bool {
        guard range.count >= 8, range.count <= 63 else { return false }
        let last = range.upperBound &- 8
        var i = range.lowerBound
        var dots: UInt64 = 0x80
        while true {
            let word = UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: i, as: UInt64.self))
            guard TargetByte(all: word).isHostOrDot else { return false }
            // The top bit of each byte that is a dot; exact, since all bytes are ASCII.
            let found = ~((word ^ 0x2e2e_2e2e_2e2e_2e2e) &+ 0x7f7f_7f7f_7f7f_7f7f) & 0x8080_8080_8080_8080
            // No dot behind a dot, nor at the start; `dots` holds that of the byte before.
            guard found & (found &<< 8 | dots) == 0 else { return false }
            guard i < last else { return word &>> 56 != UInt64(ASCII.dot) && word &>> 56 &- 0x30 >= 10 }
            dots = i &+ 8 <= last ? found &>> 56 : 0
            i = min(i &+ 8, last)
        }
    }

    /// A name that ends in a number is an IPv4 address or nothing: some resolvers read `127.1` as one.
    private func checkNumber(_ bytes: RawSpan) throws(TargetFault) {
        var i = host.upperBound
        while i > host.lowerBound, ASCII.isDigit(bytes[i - 1]) { i -= 1 }
        guard i == host.lowerBound || bytes[i - 1] == ASCII.dot else { return }
        guard IPAddress(bytes.extracting(host)) != nil else { throw .invalidHost }
    }

    private mutating func readAddress(_ bytes: RawSpan, _ range: Range<Int>) throws(TargetFault) {
        guard let length = bytes.extracting(range).firstIndex(of: UInt8(ascii: "]")) else { throw .invalidHost }
        let close = range.lowerBound + length
        let inside = bytes.extracting((range.lowerBound + 1)..<close)
        guard inside.firstIndex(of: ASCII.colon) != nil, IPAddress(inside) != nil else { throw .invalidHost }
        for i in 0..<inside.byteCount where ASCII.isUpper(inside[i]) { hasUpper = true }
        host = range.lowerBound..<(close + 1)
        guard close + 1 < range.upperBound else { return }
        guard bytes[close + 1] == ASCII.colon else { throw Authority.fault(bytes, range) }
        try readPort(bytes, (close + 2)..<range.upperBound)
    }

    /// An empty port means none (RFC 3986 §6.2.3).
    private mutating func readPort(_ bytes: RawSpan, _ range: Range<Int>) throws(TargetFault) {
        guard range.count <= 5 else { throw Authority.hasUserinfo(bytes, range) ? .userinfo : .invalidPort }
        var number: UInt32 = 0
        for i in range {
            guard ASCII.isDigit(bytes[i]) else { throw Authority.hasUserinfo(bytes, range) ? .userinfo : .invalidPort }
            number = number * 10 + UInt32(bytes[i] - 48)
        }
        guard range.isEmpty || number > 0, let port = UInt16(exactly: number) else { throw .invalidPort }
        self.port = port
    }

    private static func hasUserinfo(_ bytes: RawSpan, _ range: Range<Int>) -> Bool {
        bytes.extracting(range).firstIndex(of: UInt8(ascii: "@")) != nil
    }

    private static func fault(_ bytes: RawSpan, _ range: Range<Int>) -> TargetFault {
        hasUserinfo(bytes, range) ? .userinfo : .invalidHost
    }
}
