/// Why a request's target or host is refused. The request never reaches a middleware or a backend.
public enum TargetFault: Error, Equatable, Sendable, CaseIterable {
    /// The target is neither `/…`, nor an absolute URI, nor `*` with OPTIONS (RFC 9112 §3.2).
    case unknownForm
    /// CONNECT, whatever its target: the gateway opens no tunnels for it (RFC 9110 §9.3.6).
    case connectNotAllowed
    /// TRACE would hand credentials back to scripts (RFC 9110 §9.3.8).
    case traceNotAllowed
    /// An absolute target whose scheme is not the listener's.
    case schemeMismatch
    /// `user@` in an authority (RFC 9110 §4.2.4).
    case userinfo
    /// An empty host (RFC 9110 §4.2.1).
    case emptyHost
    /// A host that is no name, IPv4 address or bracketed IPv6 address.
    case invalidHost
    /// A port that is no number from 1 to 65535.
    case invalidPort
    /// An absolute target whose authority is not that of the `Host` field (RFC 9112 §3.2.2).
    case hostMismatch
    /// More `..` segments than there are segments before them.
    case aboveRoot
    /// `%2e`, `..;` or `..%2f`: a dot segment that only some readers see.
    case encodedDotSegment
    /// `%2F` or `%5C` on a route that refuses them.
    case encodedSlash
    /// A backslash: some backends read it as a slash.
    case backslash
    /// `%00` to `%1F`, or `%7F`.
    case encodedControl
    /// `%` without two hexadecimal digits behind it (RFC 3986 §2.1).
    case invalidEscape
    /// Escapes that do not decode to UTF-8, overlong forms among them.
    case invalidUTF8
    /// A raw control byte, a space, or a byte of 0x80 and above.
    case invalidByte
    /// `#`: a fragment is the client's own (RFC 9110 §4.2.5).
    case fragment
    /// The path belongs to another route once its encoded slashes are decoded.
    case decodedPathDiffers
    /// The rewritten path would be read as another one.
    case rewrittenPathDiffers

    /// 405 for the two methods that are never served, 400 for all else.
    public var status: UInt16 {
        switch self {
        case .connectNotAllowed, .traceNotAllowed: 405
        case .unknownForm, .schemeMismatch, .userinfo, .emptyHost, .invalidHost, .invalidPort, .hostMismatch, .aboveRoot,
            .encodedDotSegment, .encodedSlash, .backslash, .encodedControl, .invalidEscape, .invalidUTF8, .invalidByte,
            .fragment, .decodedPathDiffers, .rewrittenPathDiffers:
            400
        }
    }

    /// The `Allow` field of a 405 (RFC 9110 §15.5.6): the methods that the gateway serves at all.
    public static var allow: StaticString { "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH" }

    /// Whether the connection ends with the answer. Only where the path alone was refused is it sure that the client and the
    /// gateway read the message alike.
    public var closesConnection: Bool {
        switch self {
        case .aboveRoot, .encodedDotSegment, .encodedSlash, .backslash, .encodedControl, .invalidEscape, .invalidUTF8,
            .decodedPathDiffers, .rewrittenPathDiffers:
            false
        case .unknownForm, .connectNotAllowed, .traceNotAllowed, .schemeMismatch, .userinfo, .emptyHost, .invalidHost,
            .invalidPort, .hostMismatch, .invalidByte, .fragment:
            true
        }
    }

    /// The name in logs and metrics.
    public var reason: StaticString {
        switch self {
        case .unknownForm: "unknown_target_form"
        case .connectNotAllowed: "connect_not_allowed"
        case .traceNotAllowed: "trace_not_allowed"
        case .schemeMismatch: "scheme_mismatch"
        case .userinfo: "userinfo_in_target"
        case .emptyHost: "empty_host"
        case .invalidHost: "invalid_host"
        case .invalidPort: "invalid_port"
        case .hostMismatch: "host_mismatch"
        case .aboveRoot: "path_above_root"
        case .encodedDotSegment: "encoded_dot_segment"
        case .encodedSlash: "encoded_slash"
        case .backslash: "backslash_in_path"
        case .encodedControl: "encoded_control"
        case .invalidEscape: "invalid_escape"
        case .invalidUTF8: "invalid_utf8"
        case .invalidByte: "invalid_target_byte"
        case .fragment: "fragment_in_target"
        case .decodedPathDiffers: "decoded_path_differs"
        case .rewrittenPathDiffers: "rewritten_path_differs"
        }
    }

    /// The sentence in the answer's body.
    public var message: StaticString {
        switch self {
        case .unknownForm: "the request target has no form that its method allows"
        case .connectNotAllowed: "CONNECT is not allowed"
        case .traceNotAllowed: "TRACE is not allowed"
        case .schemeMismatch: "the target's scheme is not that of the connection"
        case .userinfo: "the authority holds user information"
        case .emptyHost: "the host is empty"
        case .invalidHost: "the host is not a name or an address"
        case .invalidPort: "the port is not a number from 1 to 65535"
        case .hostMismatch: "the Host field differs from the target's authority"
        case .aboveRoot: "the path climbs above its root"
        case .encodedDotSegment: "the path hides a dot segment"
        case .encodedSlash: "the path holds an encoded slash or backslash"
        case .backslash: "the path holds a backslash"
        case .encodedControl: "the path holds an encoded control byte"
        case .invalidEscape: "the path holds a percent sign without two hexadecimal digits"
        case .invalidUTF8: "the path's escapes are not UTF-8"
        case .invalidByte: "the request target holds a byte that must be escaped"
        case .fragment: "the request target holds a fragment"
        case .decodedPathDiffers: "the path means another route once decoded"
        case .rewrittenPathDiffers: "the path is not in canonical form once rewritten"
        }
    }
}
