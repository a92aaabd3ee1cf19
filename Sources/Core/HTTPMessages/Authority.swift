import Primitives

/// The host and port of a `Host` field or of an absolute request target (RFC 3986 §3.2, without userinfo).
///
/// Narrower than the RFC: a registered name is made of letters, digits, `-`, `.`, `_` and `~`. Sub-delimiters and
/// percent-encoding, which RFC 3986 also allows, occur in no DNS name, and recipients disagree on them.
public struct Authority: Equatable, Sendable {
    /// Where the host stands in the text, an IPv6 address with its brackets.
    public let host: Range<Int>
    /// The port after the colon; 0 when there is none, or nothing behind the colon (RFC 9110 §4.2.3).
    public let port: UInt16

    /// DNS names end at 253 bytes; two more for a trailing dot and slack.
    public static var hostBytesMax: Int { 255 }

    /// Nil when the text is no authority, has an empty host, or a port outside 1 to 65535.
    public init?(_ text: RawSpan) {
        let end: Int
        if text.byteCount > 0, text[0] == 0x5b {
            guard let close = text.firstIndex(of: 0x5d), close <= 46, IPAddress(text.extracting(1..<close)) != nil,
                text.extracting(1..<close).firstIndex(of: ASCII.colon) != nil
            else { return nil }
            end = close + 1
        } else {
            end = text.withUnsafeBytes { buffer in
                buffer.baseAddress.map { Scan.host($0.assumingMemoryBound(to: UInt8.self), buffer.count) } ?? 0
            }
        }
        guard end > 0, end <= Authority.hostBytesMax else { return nil }
        host = 0..<end
        if end == text.byteCount {
            port = 0
            return
        }
        guard text[end] == ASCII.colon, text.byteCount - end <= 6 else { return nil }
        var value: UInt32 = 0
        for i in (end + 1)..<text.byteCount {
            guard ASCII.isDigit(text[i]) else { return nil }
            value = value * 10 + UInt32(text[i] - ASCII.zero)
        }
        guard value <= 65_535, value > 0 || text.byteCount == end + 1 else { return nil }
        port = UInt16(value)
    }
}
