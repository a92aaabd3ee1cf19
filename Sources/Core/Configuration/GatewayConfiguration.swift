import Primitives

/// Everything that one configuration file says, checked and complete: names are resolved, defaults filled in, disabled
/// listeners, middlewares and routes left out. Immutable once built; each machine receives its own part of it.
public struct GatewayConfiguration: Sendable, Equatable {
    public var server = ServerConfiguration()
    /// At least one; names and addresses are unique.
    public var listeners: [ListenerConfiguration] = []
    public var admin = AdminConfiguration()
    /// What a listener that sets nothing of its own has; already merged into each listener's `limits`.
    public var limits = LimitsConfiguration()
    public var accessLog = AccessLogConfiguration()
    /// In the order of the file. A route's `middlewares` are indices into this array.
    public var middlewares: [MiddlewareConfiguration] = []
    /// In the order of the file. A route's action names a service by its index here.
    public var services: [ServiceConfiguration] = []
    /// In the order of the file, which carries no meaning: the most specific match wins.
    public var routes: [RouteConfiguration] = []

    public init() {}
}

/// The process as a whole.
public struct ServerConfiguration: Sendable, Equatable {
    public var workers = Defaults.workers
    public var logLevel = Defaults.logLevel
    /// How long running requests may go on after SIGTERM before their connections are closed.
    public var drainTimeout = Defaults.drainTimeout
    /// How long `/ready` says 503 after SIGTERM, before the listeners close.
    public var drainDelay = Defaults.drainDelay
    /// An absolute path; nil writes none.
    public var pidFile: String?
    /// Where the messages of the process go; never `off`.
    public var logOutput = Defaults.logOutput
    /// Peers whose `X-Forwarded-*`, `Forwarded` and request id are believed.
    public var trustedProxies: [AddressBlock] = []
    public var via = Defaults.via
    public var requestID = RequestIDConfiguration()
    public var headers = HeaderPolicyConfiguration()
    /// Whether `//` in a path is read as `/`, for the match and for the backend.
    public var mergeSlashes = Defaults.mergeSlashes
    /// Which fields tell the backend who the client is.
    public var forwardedStyle = Defaults.forwardedStyle

    public init() {}
}

/// A number that the file gives, or that the process works out when it starts.
public enum AutomaticCount: Sendable, Equatable {
    case automatic
    case fixed(Int)
}

public enum LogLevel: String, Sendable, Equatable, CaseIterable {
    case debug, info, warn, error
}

/// The name of this gateway in `Via` (RFC 9110 §7.6.3).
public enum ViaPseudonym: Sendable, Equatable {
    /// `sluice-` and four random digits, drawn when the process starts.
    case generated
    /// A token.
    case named(String)
}

public struct RequestIDConfiguration: Sendable, Equatable {
    /// The field that carries the id, as written.
    public var header = Defaults.requestIDHeader
    public var trust = Defaults.requestIDTrust

    public init() {}
}

/// From whom a request id is taken over, if its form is right; everybody else gets a new one.
public enum RequestIDTrust: String, Sendable, Equatable, CaseIterable {
    case trustedProxies = "trusted_proxies"
    case always, never
}

public struct HeaderPolicyConfiguration: Sendable, Equatable {
    public var underscores = Defaults.underscores
    /// Whether the backend gets `X-Timestamp`, RFC 3339 in UTC with milliseconds.
    public var timestamp = Defaults.timestampHeader

    public init() {}
}

/// What becomes of a field whose name has an underscore and that is no twin of a name with a meaning (a twin is always refused).
public enum UnderscorePolicy: String, Sendable, Equatable, CaseIterable {
    case forward, drop, reject
}

public enum ForwardedStyle: String, Sendable, Equatable, CaseIterable {
    case x, rfc7239, both
}

/// The admin listener: `/metrics`, `/health`, `/ready` and the management API.
public struct AdminConfiguration: Sendable, Equatable {
    public var enabled = true
    public var address = Defaults.adminAddress
    /// Nil: plain text.
    public var tls: TLSServerConfiguration?
    /// What a caller must show as `Authorization: Bearer …`; empty when none is asked for, which only a loopback address, a Unix
    /// socket, or a listener that lets nobody in without a certificate may do.
    public var token = Secret()
    /// Names in lower case under which callers may reach it, beside its address and `localhost`: a page of another site can make
    /// its name point here (DNS rebinding).
    public var hosts: [String] = []
    /// Whether it serves `/metrics`.
    public var metrics = Defaults.adminMetrics

    public init() {}
}

public struct AccessLogConfiguration: Sendable, Equatable {
    public var format = Defaults.accessLogFormat
    public var output = Defaults.accessLogOutput
    /// Names of fields of the request that are logged, as written. The values of those that hold secrets stay masked.
    public var requestHeaders: [String] = []
    /// Names of fields and of query parameters whose values are masked, beside those that are known to hold secrets; as written.
    public var redact: [String] = []

    public init() {}
}

public enum AccessLogFormat: String, Sendable, Equatable, CaseIterable {
    case json, combined
}
