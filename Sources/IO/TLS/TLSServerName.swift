import Primitives

/// The name that a server must prove to have: a host name, which it is also told, or an address, which it is not (RFC 6066 §3).
public struct TLSServerName: Sendable, Hashable {
    enum Kind: Hashable {
        /// NUL behind it.
        case host([CChar])
        /// 4 or 16 bytes.
        case address([UInt8])
    }

    let kind: Kind

    /// - Parameter text: `api.example`, `192.0.2.1`, `2001:db8::1`, or the latter in brackets. nil: it is none of them.
    public init?(_ text: String) {
        var text = text
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        if let address = IPAddress(text) {
            kind = .address(Self.bytes(address))
        } else if let name = ServerNames.canonical(Array(text.utf8)), name.first != ASCII.asterisk {
            kind = .host(name.map { CChar(bitPattern: $0) } + [0])
        } else {
            return nil
        }
    }

    /// In network order: 4 for IPv4.
    private static func bytes(_ address: IPAddress) -> [UInt8] {
        func split(_ number: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * (count - 1 - $0))) }
        }
        return address.isV4 ? split(address.low, 4) : split(address.high, 8) + split(address.low, 8)
    }
}
