/// Why a head that was read without fault cannot be passed on; one case for each thing that was found.
public enum HeadFault: Error, Equatable, Sendable {
    /// Two fields of a kind of which there can be one (Authorization, X-API-Key, Host, Origin, Content-Type, Max-Forwards).
    case repeatedField
    /// A name that a server behind us may read as one of ours, since CGI and others take `_` for `-`.
    case underscoreTwin
    /// A name with an underscore, where the configuration refuses those.
    case underscoreName
    /// More options in `Connection` than an honest sender has.
    case connectionOptionsTooMany
    /// Our own pseudonym in `Via`: the request has been here before (RFC 9110 §7.6.3).
    case loop
    /// More entries in `Via` than a sane chain of proxies has.
    case hopsTooMany
    /// `Max-Forwards` of an OPTIONS or TRACE is no number (RFC 9110 §7.6.2).
    case maxForwardsInvalid

    /// The status for the client when its request has this fault. A response with a fault is a bad gateway, 502.
    public var status: UInt16 {
        switch self {
        case .loop: 508
        case .repeatedField, .underscoreTwin, .underscoreName, .connectionOptionsTooMany, .hopsTooMany, .maxForwardsInvalid: 400
        }
    }

    /// The `code` of the error body.
    public var code: StaticString {
        switch self {
        case .loop: "LOOP_DETECTED"
        case .repeatedField, .underscoreTwin, .underscoreName, .connectionOptionsTooMany, .hopsTooMany, .maxForwardsInvalid:
            "INVALID_REQUEST"
        }
    }

    /// The `message` of the error body.
    public var message: StaticString {
        switch self {
        case .repeatedField: "a field that may stand once is repeated"
        case .underscoreTwin: "a field name with an underscore reads like one that the gateway uses"
        case .underscoreName: "field names with an underscore are refused"
        case .connectionOptionsTooMany: "too many options in Connection"
        case .loop: "the request has passed this gateway before"
        case .hopsTooMany: "the request has passed too many proxies"
        case .maxForwardsInvalid: "Max-Forwards is not a number"
        }
    }

    /// What metrics and logs call it.
    public var reason: StaticString {
        switch self {
        case .repeatedField: "repeated_field"
        case .underscoreTwin: "underscore_twin"
        case .underscoreName: "underscore_name"
        case .connectionOptionsTooMany: "connection_options"
        case .loop: "loop"
        case .hopsTooMany: "too_many_hops"
        case .maxForwardsInvalid: "max_forwards"
        }
    }
}
