import Primitives

/// Which hosts a route is for: one, all names below one, or any.
public enum HostPattern: Hashable, Sendable {
    /// In canonical form: lower case, no trailing dot, no port; an IPv6 address in brackets.
    case exact([UInt8])
    /// What stands behind the `*.`; one or more labels may stand in its place.
    case wildcard([UInt8])
    /// Also a request without a host (HTTP/1.0).
    case any

    /// Reads `api.example.com`, `*.example.com`, `[2001:db8::1]` or `*`; letters of either case.
    public init(_ text: String) throws(HostPatternError) {
        if text == "*" {
            self = .any
            return
        }
        let isWildcard = text.utf8.starts(with: "*.".utf8)
        let bytes = Array(isWildcard ? text.utf8.dropFirst(2) : text.utf8[...])
        let host = try HostPattern.canonical(bytes)
        if isWildcard {
            guard host.first != UInt8(ascii: "["), !host.allSatisfy({ ASCII.isDigit($0) || $0 == ASCII.dot }) else {
                throw .wildcardOfAddress
            }
        }
        self = isWildcard ? .wildcard(host) : .exact(host)
    }

    private static func canonical(_ bytes: [UInt8]) throws(HostPatternError) -> [UInt8] {
        let authority: Authority
        do {
            authority = try Authority(bytes.span.bytes, bytes.indices)
        } catch {
            throw .invalid
        }
        guard authority.port == 0, bytes.last != ASCII.colon else { throw .port }
        return bytes[authority.host].map(ASCII.lowercased)
    }
}

/// Why a text is no host pattern.
public enum HostPatternError: Error, Hashable, Sendable, CustomStringConvertible {
    case invalid, port, wildcardOfAddress

    public var description: String {
        switch self {
        case .invalid: "is not a host name, an address, or a name behind `*.`"
        case .port: "holds a port; routes match hosts on every port"
        case .wildcardOfAddress: "is a wildcard of an address"
        }
    }
}
