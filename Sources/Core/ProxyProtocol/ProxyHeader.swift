import Primitives

/// What a proxy that passes bytes on says of the client before the first of them: the PROXY protocol, version 1 (a line of text)
/// and version 2 (binary), as HAProxy's proxy-protocol.txt has it.
///
/// Nothing here decides who may say it: whoever is not asked for a header could say anything with one. The header is read from
/// the connection's first byte on, before TLS.
public enum ProxyHeader {
    /// The longest header that is read: the 16 bytes of a version 2 header and 2,048 more. Whoever holds as many bytes never needs
    /// more.
    public static var bytesMax: Int { v2FixedBytes + v2BlockBytesMax }

    public enum Outcome: Equatable, Sendable {
        /// What is there may become a header. To be asked again with all of it and more.
        case needMore
        /// A whole header of `consumed` bytes. What stands behind it is the client's and was not looked at.
        case header(consumed: Int, client: Client)
        /// What is there can become no header, whatever follows. The connection is closed without an answer.
        case refused(ProxyHeaderFault)
    }

    public enum Client: Equatable, Sendable {
        /// Nobody but the proxy itself (`LOCAL`, its health check), or one without an address that could be used (`UNKNOWN`,
        /// AF_UNSPEC, AF_UNIX): the connection's own address stays.
        case ofPeer
        case address(IPAddress, port: UInt16)
    }

    /// Reads a header from all that was received so far, from the connection's first byte on.
    ///
    /// It refuses at the first byte that no header can have there, so that a client that speaks HTTP or TLS is not waited for.
    public static func parse(_ bytes: RawSpan) -> Outcome {
        guard bytes.byteCount > 0 else { return .needMore }
        switch bytes[0] {
        case v1FirstByte: return parseV1(bytes)
        case v2FirstByte: return parseV2(bytes)
        default: return .refused(.signature)
        }
    }

    /// Whether `text` stands at `offset`; nil while the bytes end inside it.
    static func stands(_ text: StaticString, in bytes: RawSpan, at offset: Int) -> Bool? {
        let available = min(max(bytes.byteCount - offset, 0), text.utf8CodeUnitCount)
        for i in 0..<available where bytes[offset + i] != text.utf8Start[i] { return false }
        return available == text.utf8CodeUnitCount ? true : nil
    }
}
