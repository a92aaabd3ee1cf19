/// Why the first bytes of a connection are no header of the PROXY protocol. The connection is closed without an answer: it is not
/// known who would read one.
public enum ProxyHeaderFault: Error, Equatable, Sendable, CaseIterable {
    /// Neither version's first bytes: no header at all.
    case signature
    /// Version 1: the word behind `PROXY` is none of TCP4, TCP6 and UNKNOWN.
    case unknownProtocol
    /// Version 1: not an address of the family that the line names.
    case address
    /// Version 1: not a decimal number from 0 to 65535 without leading zeros.
    case port
    /// Version 1: something other than CRLF at the end, a bare CR or a bare LF.
    case lineEnd
    /// Version 1: no CRLF within 107 bytes.
    case lineTooLong
    /// The signature of version 2, and another version behind it.
    case version
    /// Version 2: neither LOCAL nor PROXY.
    case command
    /// Version 2: a pair of family and transport that the protocol does not define.
    case family
    /// Version 2: the client speaks UDP or Unix datagrams, which cannot be on this connection.
    case datagram
    /// Version 2: longer than `ProxyHeader.bytesMax`.
    case tooLong
    /// Version 2: the length has no room for the addresses of the family.
    case addressMissing
    /// Version 2: an extension (TLV) that runs over the end, or bytes at the end that can be none.
    case extensionLength
    /// Version 2: the CRC32C does not fit the bytes, is not four bytes long, or is there twice.
    case checksum

    /// The word for metrics and logs; a bounded set.
    public var reason: StaticString {
        switch self {
        case .signature: "proxy_signature"
        case .unknownProtocol: "proxy_protocol"
        case .address: "proxy_address"
        case .port: "proxy_port"
        case .lineEnd: "proxy_line_end"
        case .lineTooLong: "proxy_line_too_long"
        case .version: "proxy_version"
        case .command: "proxy_command"
        case .family: "proxy_family"
        case .datagram: "proxy_datagram"
        case .tooLong: "proxy_too_long"
        case .addressMissing: "proxy_address_missing"
        case .extensionLength: "proxy_extension_length"
        case .checksum: "proxy_checksum"
        }
    }

    /// A sentence for the log.
    public var message: StaticString {
        switch self {
        case .signature: "The connection does not begin with a PROXY protocol header."
        case .unknownProtocol: "The PROXY line names none of TCP4, TCP6 and UNKNOWN."
        case .address: "The PROXY line has no valid address of its family."
        case .port: "The PROXY line has no valid port."
        case .lineEnd: "The PROXY line does not end in CRLF."
        case .lineTooLong: "The PROXY line is longer than 107 bytes."
        case .version: "The PROXY protocol header has a version other than 1 and 2."
        case .command: "The PROXY protocol header has an unknown command."
        case .family: "The PROXY protocol header has an unknown address family or transport."
        case .datagram: "The PROXY protocol header speaks of datagrams."
        case .tooLong: "The PROXY protocol header is too long."
        case .addressMissing: "The PROXY protocol header is too short for its addresses."
        case .extensionLength: "An extension of the PROXY protocol header does not fit into it."
        case .checksum: "The checksum of the PROXY protocol header is wrong."
        }
    }
}
