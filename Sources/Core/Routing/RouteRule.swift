/// One route's conditions, as validated; all of them must hold.
public struct RouteRule: Sendable {
    /// For messages.
    public var name: String
    /// Any of these; empty means any host.
    public var hosts: [HostPattern]
    public var path: PathPattern
    /// Upper case, as sent. `GET` also takes HEAD (RFC 9110 §9.3.2), as with other gateways. Empty means every method that has a
    /// case in `Method`, but for CONNECT and TRACE; a method of another name is taken only by a route that names it.
    public var methods: [String]
    public var headers: [ValueMatch]
    public var query: [ValueMatch]
    /// A route that is off keeps its index and takes nothing.
    public var isEnabled: Bool

    public init(
        name: String, hosts: [HostPattern] = [], path: PathPattern, methods: [String] = [], headers: [ValueMatch] = [],
        query: [ValueMatch] = [], isEnabled: Bool = true
    ) {
        self.name = name
        self.hosts = hosts
        self.path = path
        self.methods = methods
        self.headers = headers
        self.query = query
        self.isEnabled = isEnabled
    }
}

/// What a header field or a query parameter must be.
///
/// A header field is looked at line by line: `anyOf` holds when one line's whole value is one of these, byte for byte. Lines are
/// neither joined nor split at commas, so that a value cannot hide behind another. Query parameters are compared after
/// percent-decoding of name and value; `+` is a plus sign; `a` and `a=` both have the empty value.
public struct ValueMatch: Hashable, Sendable {
    public enum Test: Hashable, Sendable {
        case present
        case absent
        case anyOf([String])
    }

    /// Of a header field: a token, in any case.
    public var name: String
    public var test: Test

    public init(_ name: String, _ test: Test) {
        self.name = name
        self.test = test
    }

    public static func equals(_ name: String, _ value: String) -> ValueMatch { ValueMatch(name, .anyOf([value])) }
}
