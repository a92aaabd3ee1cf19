import Balancing
import Health
import Primitives
import Resilience

/// What `consistent_hash` looks at.
public enum HashSource: Sendable, Hashable {
    /// A field of the request, by its name in lower case.
    case header(String)
    case cookie(String)
    /// A parameter of the query.
    case query(String)
    case path
}

/// The cookie that keeps a client with one instance.
public struct StickyConfiguration: Sendable, Equatable {
    /// A token (RFC 6265 §4.1.1).
    public var cookie: String
    /// What signs it; nil: drawn at each start, so that sessions end with the process.
    public var secret: Secret?
    public var maxAge = Defaults.stickyMaxAge
    public var path = "/"
    public var isHTTPOnly = true
    /// Whether browsers send it over TLS only.
    public var isSecure = false
    public var sameSite = SameSite.lax

    public enum SameSite: Sendable, Equatable {
        case lax, strict, none
    }

    public init(cookie: String) { self.cookie = cookie }
}

/// A request of our own that finds out whether an instance works.
public enum CheckConfiguration: Sendable, Equatable {
    /// - Parameters:
    ///   - target: what is asked for, a path with or without a query.
    ///   - host: what `Host` says; nil: the instance's own name.
    case http(target: String, host: String?, CheckExpectation)
    /// A connection that stands is a success.
    case tcp
    /// `grpc.health.v1.Health/Check` of this service, "" for the server as a whole; over HTTP/2, whatever the instance's requests
    /// are sent with.
    case grpc(service: String)
}

/// How requests are tried again.
public struct RetryConfiguration: Sendable, Equatable {
    public var policy = RetryPolicy()
    public var budget = RetryBudget.Policy()
    /// Whether `Idempotency-Key` makes any method one that may be repeated.
    public var trustsIdempotencyKey = false

    public init() {}
}

/// What clients get when a service cannot answer.
public enum FallbackConfiguration: Sendable, Equatable {
    case response(FixedResponse)
    /// An index into `GatewayConfiguration.services`.
    case service(Int)
}
