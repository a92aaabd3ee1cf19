import Primitives

/// What a configuration has that says nothing, each value with its unit and its reason. None changes within a major version.
public enum Defaults {
    // The process.

    /// One thread for each core: a worker never waits, so more would only take turns.
    public static var workers: AutomaticCount { .automatic }
    public static var logLevel: LogLevel { .info }
    /// Longer than an ordinary request, shorter than what systemd waits before it kills (90 s).
    public static var drainTimeout: TimeAmount { .seconds(30) }
    /// Off: only who has a balancer before him that asks `/ready` gains by it.
    public static var drainDelay: TimeAmount { .zero }
    /// systemd's journal takes it from there, apart from the access log on stdout.
    public static var logOutput: LogOutput { .standardError }
    /// A pseudonym that no second gateway in the chain shares, or its requests would look like a loop.
    public static var via: ViaPseudonym { .generated }
    public static var requestIDHeader: String { "X-Request-ID" }
    /// A stranger's id would let him choose what the logs say.
    public static var requestIDTrust: RequestIDTrust { .trustedProxies }
    /// As nginx does: a backend that turns names into variables (CGI, WSGI) cannot tell `a_b` from `a-b`.
    public static var underscores: UnderscorePolicy { .drop }
    public static var timestampHeader: Bool { false }
    /// What most backends read.
    public static var forwardedStyle: ForwardedStyle { .x }

    // The admin listener and the access log.

    /// Loopback: it has no password.
    public static var adminAddress: ListenAddress { .tcp(IPAddress(v4: 0x7f00_0001), port: 9901) }
    public static var adminMetrics: Bool { true }
    /// Bytes. 128 bits, when they are drawn at random.
    public static var adminTokenBytes: Int { 16 }
    public static var accessLogFormat: AccessLogFormat { .json }
    /// systemd's journal takes it from there.
    public static var accessLogOutput: LogOutput { .standardOutput }

    // Protocols and encryption.

    /// Plain text: who wants HTTP/2 without encryption says h2c.
    public static var protocols: [ListenerProtocols.Name] { [.http1] }
    public static var protocolsOverTLS: [ListenerProtocols.Name] { [.h2, .http1] }
    /// Streams. As nginx 128 and HAProxy 100; more than one page asks for at once.
    public static var http2Streams: Int { 100 }
    /// Bytes. An upload of 100 ms at 20 Mbit/s.
    public static var http2StreamWindow: Int { 256 << 10 }
    /// Bytes. Four streams that send as much as they may.
    public static var http2ConnectionWindow: Int { 1 << 20 }
    /// Streams. A user who leaves a page resets what it was loading; a flood is more (CVE-2023-44487).
    public static var http2Resets: Int { 200 }
    /// Frames.
    public static var http2ControlFrames: Int { 100 }
    /// What every browser since 2014 speaks, with the ciphers that are left of it.
    public static var tlsMinimumVersion: TLSVersion { .tls12 }
    /// Off: a balancer's check by address names no host.
    public static var strictSNI: Bool { false }
    public static var sessionTickets: Bool { true }
    /// Who steals a key reads the sessions of two such spans.
    public static var ticketRotation: TimeAmount { .seconds(12 * 3600) }
    /// A block that asks for certificates means it.
    public static var clientAuthMode: ClientAuthConfiguration.Mode { .require }
    /// Certificates between. A root, an authority of the organisation and two below it.
    public static var clientAuthDepth: Int { 3 }
    public static var clientAuthForwards: Bool { true }

    // What a client may take.

    /// Bytes. What nginx and most backends take at most.
    public static var requestTargetBytes: Int { 8 << 10 }
    /// Bytes. Envoy's 60 KiB rounded up; cookies and tokens make heads of 20 KiB.
    public static var requestHeaderBytes: Int { 64 << 10 }
    /// Bytes. One token or cookie.
    public static var requestFieldBytes: Int { 16 << 10 }
    /// Fields. As Envoy and HAProxy.
    public static var requestHeaders: Int { 100 }
    /// Bytes. A body without a limit is an invitation; nginx's 1 MiB is its most asked question.
    public static var requestBodyBytes: Int { 10 << 20 }
    /// From the first byte to the last of the head: a limit per read is what slow-loris lives on.
    public static var headerTimeout: TimeAmount { .seconds(10) }
    /// Without a byte; a limit on the whole would cut long uploads.
    public static var bodyIdleTimeout: TimeAmount { .seconds(30) }
    /// Bytes per second. Below the slowest modem, above a trickle that holds a backend.
    public static var bodyMinRate: Int { 500 }
    /// Without the client taking a byte. As nginx.
    public static var writeTimeout: TimeAmount { .seconds(60) }
    /// As nginx; longer than the 60 s of common balancers before us, so that they close first.
    public static var keepaliveTimeout: TimeAmount { .seconds(75) }
    /// Requests. So that no connection lives for ever and balancing before us evens out.
    public static var requestsPerConnection: Int { 10_000 }
    /// 80 % of the descriptor limit, less what upstreams may take.
    public static var connections: AutomaticCount { .automatic }
    /// Connections. Many users share an address behind one NAT; one machine alone must not fill the table.
    public static var connectionsPerClient: Int { 256 }
    public static var connectionMaxAge: TimeAmount { .forever }

    // Towards the backends.

    public static var instanceWeight: Int { 1 }
    /// A SYN is repeated after 1 s: one loss is survived, and fail-over is still quick.
    public static var connectTimeout: TimeAmount { .seconds(2) }
    public static var responseTimeout: TimeAmount { .seconds(30) }
    public static var upstreamIdleTimeout: TimeAmount { .seconds(30) }
    /// Off, for downloads and event streams.
    public static var requestTimeout: TimeAmount { .forever }
    /// Connections to one instance.
    public static var poolConnections: Int { 100 }
    /// Below the keep-alive time of common application servers, so that we close first.
    public static var poolIdleTimeout: TimeAmount { .seconds(30) }
    public static var poolRequestsPerConnection: Int { 10_000 }
    /// Requests at once on one connection. Most servers allow 100 or more.
    public static var poolStreams: Int { 100 }
    public static var verifiesBackends: Bool { true }
    /// Requests of one service. As Envoy.
    public static var queuePending: Int { 1_024 }
    /// A request that waited longer would mostly find that its client has gone.
    public static var queueTimeout: TimeAmount { .seconds(1) }
    /// What most frameworks answer to without being told.
    public static var checkPath: String { "/health" }
    /// A probe is given up after this where nothing limits how long the service may take: a breaker must come to be tested again.
    public static var unlimitedProbeTimeout: TimeAmount { .seconds(300) }
    /// Bytes. 128 bits, when they are drawn at random.
    public static var stickySecretBytes: Int { 16 }
    /// Since the last request.
    public static var stickyMaxAge: TimeAmount { .seconds(3600) }
    /// As often as a changed address is noticed by container networks.
    public static var resolveInterval: TimeAmount { .seconds(5) }

    // Middlewares.

    /// What a page may do to another site without CORS (Fetch, "CORS-safelisted method").
    public static var corsMethods: [String] { ["GET", "HEAD", "POST"] }
    /// Few preflights, and a rule that is withdrawn is gone from browsers soon.
    public static var corsMaxAge: TimeAmount { .seconds(600) }

    // Routes.

    /// People look at a page for that long without a message.
    public static var tunnelIdleTimeout: TimeAmount { .seconds(3600) }

    /// A slash that one side reads as a separator and the other does not is how path rules are walked round.
    public static var encodedSlash: EncodedSlashPolicy { .reject }
    public static var mergeSlashes: Bool { false }
    /// Temporary: a browser remembers a permanent one for ever.
    public static var redirectStatus: Int { 302 }
    /// So that `to: https://${host}${path}` loses nothing.
    public static var redirectKeepQuery: Bool { true }
    public static var respondStatus: Int { 200 }
    public static var respondContentType: String { "text/plain; charset=utf-8" }
    /// What a client is told in `Retry-After`.
    public static var maintenanceRetryAfter: TimeAmount { .seconds(60) }
    public static var maintenanceMessage: String { "The service is down for maintenance." }
    /// Loopback and the private networks (RFC 1918, RFC 4193).
    public static var metricsAllow: [String] {
        ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
    }
}
