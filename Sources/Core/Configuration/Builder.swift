import Primitives

/// Builds the configuration from values of the right shape: fills in defaults, looks up names, and checks what concerns more than
/// one value.
///
/// A value that is missing here although it is required, or that is invalid, has been reported by the validator; the builder
/// passes over it and goes on, so that its own findings stand in the same list.
struct Builder {
    var diagnostics: DiagnosticList
    var configuration = GatewayConfiguration()
    var places = LoadResult.Places()
    /// Every name in the file, whether it could be built or not, so that one mistake is not reported again at each use.
    var services: [String: ServiceEntry] = [:]
    var middlewares: [String: MiddlewareEntry] = [:]

    /// `circuit_breaker` of the services that have it on, by the service's index.
    var breakers: [Int: Value] = [:]
    var pendingFallbacks: [PendingFallback] = []
    /// By the index of the service that falls back; for the routes.
    var fallbackLinks: [Int: FallbackLink] = [:]
    /// What counts where a key is left out whose default depends on others, by path.
    private(set) var derived: [String: String] = [:]

    enum ServiceEntry {
        case built(Int, maintenance: Maintenance)
        case broken
    }

    enum MiddlewareEntry {
        case built(Int)
        /// `enabled: false`; `guards` when it would have kept somebody out.
        case off(kind: String, guards: Bool)
        /// Not available: ignored, unless it guards.
        case unavailable(kind: String, guards: Bool)
        case broken
    }

    /// False where a value is passed over because it is not known, so that what looks missing may be there.
    let knowsAll: Bool
    /// The methods that `cors` middlewares list in so many words, by the middleware's index.
    var corsMethods: [Int: [Value]] = [:]

    /// Whether anybody asks for `derived`.
    private let derives: Bool

    init(diagnostics: DiagnosticList, knowsAll: Bool, derives: Bool = false) {
        self.diagnostics = diagnostics
        self.knowsAll = knowsAll
        self.derives = derives
    }

    mutating func build(_ root: Value) {
        if let value = root["server"] { buildServer(value) }
        if let value = root.block("limits") { configuration.limits = limits(value, over: configuration.limits) }
        buildListeners(root["listeners"])
        buildAdmin(root["admin"], listeners: root["listeners"])
        buildAccessLog(root["access_log"])
        for entry in root["middlewares"]?.entries ?? [] { buildMiddleware(entry) }
        for entry in root["services"]?.entries ?? [] { buildService(entry) }
        resolveFallbacks()
        let routes = root["routes"]?.elements ?? []
        var names: [String: String] = [:]
        for route in routes { buildRoute(route, names: &names) }
        checkCORSMethods()
        checkClientCertificates()
        if configuration.routes.isEmpty, knowsAll, !diagnostics.hasErrors {
            diagnostics.warning(
                root["routes"]?.mark ?? root.mark, .key(.root, "routes"), "there is no route: every request gets 404")
        }
    }

    /// Puts a value in the place of a default, if there is one.
    func set<T>(_ target: inout T, _ value: T?) {
        if let value { target = value }
    }

    /// Notes what counts where a key of this block is left out.
    mutating func derive(_ block: KeyTrail, _ key: String, _ text: @autoclosure () -> String?) {
        if derives { derived[block.appending(key).text] = text() }
    }

    mutating func warn(_ entry: Value.Entry, _ message: String) {
        diagnostics.warning(entry.keyMark, entry.value.trail, message)
    }

    /// The case of an enumeration whose spelling the validator has checked.
    func word<T: RawRepresentable>(_ value: Value?) -> T? where T.RawValue == String {
        value?.text.flatMap(T.init(rawValue:))
    }

    private mutating func buildServer(_ value: Value) {
        var server = ServerConfiguration()
        set(&server.mergeSlashes, value["merge_slashes"]?.truth)
        set(&server.workers, value["workers"]?.count)
        set(&server.logLevel, word(value["log_level"]))
        set(&server.drainTimeout, value["drain_timeout"]?.duration)
        set(&server.drainDelay, value["drain_delay"]?.duration)
        server.pidFile = value["pid_file"]?.text
        set(&server.logOutput, value["log_output"]?.logOutput)
        server.trustedProxies = value["trusted_proxies"]?.elements.compactMap(\.addressBlock) ?? []
        if let name = value["via"]?.text { server.via = name == "auto" ? .generated : .named(name) }
        if let header = value["request_id"]?["header"], let name = header.text {
            server.requestID.header = name
            if name.lowercased() != "x-request-id", let reason = OwnedFields.reason(name, .request) {
                diagnostics.error(header.mark, header.trail, reason)
            }
        }
        set(&server.requestID.trust, word(value["request_id"]?["trust"]))
        set(&server.headers.underscores, word(value["headers"]?["underscores"]))
        set(&server.headers.timestamp, value["headers"]?["timestamp"]?.truth)
        set(&server.forwardedStyle, word(value["forwarded"]?["style"]))
        configuration.server = server
    }

    func limits(_ value: Value, over base: LimitsConfiguration) -> LimitsConfiguration {
        var limits = base
        set(&limits.requestTargetBytes, value["request_target_bytes"]?.integer)
        set(&limits.requestHeaderBytes, value["request_header_bytes"]?.integer)
        set(&limits.requestFieldBytes, value["request_field_bytes"]?.integer)
        set(&limits.requestHeaders, value["request_headers"]?.integer)
        set(&limits.requestBodyBytes, value["request_body"]?.integer)
        set(&limits.headerTimeout, value["header_timeout"]?.duration)
        set(&limits.bodyIdleTimeout, value["body_idle_timeout"]?.duration)
        set(&limits.bodyMinRate, value["body_min_rate"]?.integer)
        set(&limits.writeTimeout, value["write_timeout"]?.duration)
        set(&limits.keepaliveTimeout, value["keepalive_timeout"]?.duration)
        set(&limits.requestsPerConnection, value["requests_per_connection"]?.integer)
        set(&limits.connections, value["connections"]?.count)
        set(&limits.connectionsPerClient, value["connections_per_client"]?.integer)
        set(&limits.connectionMaxAge, value["connection_max_age"]?.duration)
        return limits
    }

    private mutating func buildAccessLog(_ value: Value?) {
        guard let value else { return }
        places.accessLog = LoadResult.Place(mark: value.mark, path: value.trail.text)
        var log = AccessLogConfiguration()
        set(&log.format, word(value["format"]))
        set(&log.output, value["output"]?.logOutput)
        log.requestHeaders = value["request_headers"]?.elements.compactMap(\.text) ?? []
        log.redact = value["redact"]?.elements.compactMap(\.text) ?? []
        if !value.isEnabled { log.output = .off }
        configuration.accessLog = log
    }
}
