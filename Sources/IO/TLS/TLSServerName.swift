import Primitives

/// The name that a server must prove to have: a host name, which it is also told, or an address, which it is not (RFC 6066 §3).
public struct TLSServerName: Sendable, Hashable {
    enum Kind: Hashable {
        /// NUL behind it.
        case host([CChar])
        case address(IPAddress)
    }

    let kind: Kind

    /// - Parameter text: `api.example`, `192.0.2.1`, `2001:db8::1`, or the latter in brackets. nil: it is none of them.
    public init?(_ text: String) {
        var text = text
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        if let address = IPAddress(text) {
            kind = .address(address)
        } else if let name = ServerNames.canonical(Array(text.utf8)), name.first != ASCII.asterisk {
            kind = .host(name.map { CChar(bitPattern: $0) } + [0])
        } else {
            return nil
        }
    }
}
