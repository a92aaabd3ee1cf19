import Primitives
import Resilience

/// Which requests, what happens to them on the way, and who answers.
public struct RouteConfiguration: Sendable, Equatable {
    /// Unique; the label in logs and metrics.
    public var name: String
    public var match: RouteMatch
    public var action: RouteAction
    /// Indices into `GatewayConfiguration.middlewares`, in the order in which they run.
    public var middlewares: [Int] = []
    public var path = PathPolicy()
    /// Those of the service with what this route says laid over them.
    public var timeouts = TimeoutsConfiguration()
    public var requestBody = BodyLimit.ofListener
    /// Whether a request may have a body; false answers 400.
    public var allowBody = true
    public var maintenance = Maintenance.off
    /// Protocols that a client may change to (RFC 9110 §7.8): names in lower case, perhaps with `/version`. Never HTTP/2.
    public var upgrade: [String] = []
    /// What counts for the tunnels that `upgrade` lets clients open; nil exactly where that is empty.
    public var webSocket: WebSocketConfiguration?
    public var priority = RequestPriority.standard
    /// Its own breaker, which counts in the place of the service's; nil: the service's.
    public var breaker: BreakerPolicy?
    /// In the place of the service's.
    public var fallback: FallbackConfiguration?

    public init(name: String, match: RouteMatch, action: RouteAction) {
        self.name = name
        self.match = match
        self.action = action
    }

    /// A client may change to the WebSocket protocol. Its connections live long and end in many ways, so that the service's breaker
    /// does not count for such a route.
    public var allowsWebSocket: Bool { upgrade.contains("websocket") }
}

public struct RouteMatch: Sendable, Equatable {
    /// In lower case, exact or `*.example.com`, without a port; none means every host.
    public var hosts: [String] = []
    /// Exact, a prefix when it ends in `/*`, or a template with `{name}` segments.
    public var path: String
    /// Upper case as sent; none means every method.
    public var methods: [String] = []
    /// All must hold. Names are tokens in lower case.
    public var headers: [ValueCondition] = []
    /// All must hold. Names are compared after percent-decoding.
    public var query: [ValueCondition] = []

    public init(path: String) { self.path = path }
}

/// What a header field or a query parameter must be.
public struct ValueCondition: Sendable, Equatable {
    public var name: String
    public var test: Test

    public enum Test: Sendable, Equatable {
        case present
        case absent
        /// Equal to one of these.
        case anyOf([String])
    }

    public init(name: String, test: Test) {
        self.name = name
        self.test = test
    }
}

public enum RouteAction: Sendable, Equatable {
    /// An index into `GatewayConfiguration.services`.
    case service(Int)
    case redirect(RedirectConfiguration)
    case respond(FixedResponse)
    /// The gateway's own health.
    case health
    /// Whether new requests are welcome: 503 while the process drains.
    case ready
    /// The gateway's metrics, for clients in these blocks; 403 for others.
    case metrics(allow: [AddressBlock])
}

public struct RedirectConfiguration: Sendable, Equatable {
    /// The `Location`: a path or an absolute URL.
    public var to: [RedirectPiece]
    /// 301, 302, 303, 307 or 308.
    public var status = Defaults.redirectStatus
    /// Whether `?` and the request's query are put behind a target that has no query of its own.
    public var keepQuery = Defaults.redirectKeepQuery

    public init(to: [RedirectPiece]) { self.to = to }
}

public enum RedirectPiece: Sendable, Equatable {
    /// Visible ASCII.
    case literal([UInt8])
    /// `${scheme}`, `${host}` and `${path}` of the request.
    case scheme, host, path
    /// A `{name}` segment of the match.
    case segment(String)
    /// `/*` at the end: what the match's `/*` took. The slash before it is in the literal.
    case rest
}

public struct FixedResponse: Sendable, Equatable {
    /// 200 to 599.
    public var status = Defaults.respondStatus
    public var headers: [HeaderLine] = []
    public var body: [UInt8] = []
    /// Not sent when the body is empty.
    public var contentType = Defaults.respondContentType

    public init() {}
}

/// A field with a fixed value.
public struct HeaderLine: Sendable, Equatable {
    public var name: String
    public var value: [UInt8]

    public init(name: String, value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// What is done with the path before it is sent on.
public struct PathPolicy: Sendable, Equatable {
    public var encodedSlash = Defaults.encodedSlash
    public var rewrite = PathRewrite.none

    public init() {}
}

/// What becomes of `%2F` and `%5C` in a path. A raw backslash is always refused.
public enum EncodedSlashPolicy: String, Sendable, Equatable, CaseIterable {
    /// 400.
    case reject
    /// Sent on as it is; never a separator.
    case keep
    /// `%2F` is read as a separator.
    case decode
}

public enum PathRewrite: Sendable, Equatable {
    case none
    /// First `strip` is taken off the front, if it is there at a segment's end, then `add` is put before; either may be empty.
    case prefix(strip: String, add: String)
    /// The whole path; may name the template's `{name}` segments, and end in `/*` for what the match's `/*` took.
    case replace(String)
}

public enum BodyLimit: Sendable, Equatable {
    /// As the listener says.
    case ofListener
    case bytes(Int)
    case unlimited
}

/// An answer of 503 instead of the action.
public enum Maintenance: Sendable, Equatable {
    case off
    case on(message: String, retryAfter: TimeAmount)
}
