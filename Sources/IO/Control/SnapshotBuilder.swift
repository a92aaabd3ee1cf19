import Balancing
import Configuration
import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Reactor
import Routing
import TLS
import Telemetry
import Upstream
import WebSocket

/// Compiles a configuration into what the workers read.
struct SnapshotBuilder {
    let number: Int
    let configuration: GatewayConfiguration
    let places: LoadResult.Places
    /// What `Via` says where the file names nothing.
    let generatedName: String
    let version: String
    let seed: UInt64
    /// Certificates and keys that were read already.
    var tls = TLSStore()
    /// Stands before all others, on every route.
    var guardStage: Stage?
    /// Actions that no file can ask for, by the route's name.
    var actions: [String: RouteRuntime.Action] = [:]
    /// Types that `custom:` may name.
    var middlewareTypes: [MiddlewareType] = []
    /// Stages that stand before those of the file, by the route's name.
    var stages: [String: [Stage]] = [:]

    /// - Throws: what is wrong with the routes taken together, each at its place in the file.
    /// - Parameter now: of the clock that the workers go by.
    func build(
        _ registry: inout InstanceRegistry, labels: MetricsLabels, at now: Instant = Clock.monotonic
    ) throws(BuildError) -> GatewaySnapshot {
        let services = try services(&registry, at: now)
        let listeners = try listeners(at: now)
        let chains = try middlewareStages()
        let responses = try responses()
        var rules: [RouteRule] = []
        var routes: [RouteRuntime] = []
        for (index, route) in configuration.routes.enumerated() {
            let rule = try rule(route, index)
            rules.append(rule)
            let breaker = breaker(route, services, &registry)
            routes.append(try runtime(route, index, rule, chains, services, responses, breaker))
        }
        let table: RouteTable
        do {
            table = try RouteTable(rules, seed: seed)
        } catch {
            throw BuildError([diagnostic(error)])
        }
        return GatewaySnapshot(
            number: number, configuration: configuration, routeTable: table, routes: routes, services: services,
            listeners: listeners,
            entrance: entrance(), responses: responses,
            names: names(), labels: labels, version: version)
    }

    private var pseudonym: [UInt8] {
        switch configuration.server.via {
        case .generated: Array(generatedName.utf8)
        case .named(let name): Array(name.utf8)
        }
    }

    /// What the metrics and the log call things.
    static func metricsNames(_ configuration: GatewayConfiguration) -> MetricsLabels.Names {
        MetricsLabels.Names(
            listeners: configuration.listeners.map(\.name), routes: configuration.routes.map(\.name),
            services: configuration.services.map(\.name),
            instances: configuration.services.enumerated().flatMap { index, service in
                service.instances.map { (service: index, name: $0.id) }
            })
    }

    private func names() -> NameTable {
        NameTable(
            listeners: configuration.listeners.map { Array($0.name.utf8) },
            routes: configuration.routes.map { Array($0.name.utf8) },
            services: configuration.services.map { Array($0.name.utf8) },
            instances: configuration.services.flatMap { service in service.instances.map { Array($0.id.utf8) } })
    }

    private func entrance() -> Entrance {
        let server = configuration.server
        return Entrance(
            Entrance.Rule(
                trustedProxies: server.trustedProxies, style: style, underscores: underscores(server.headers.underscores),
                pseudonym: pseudonym, requestIDHeader: Array(server.requestID.header.utf8), requestIDTrust: trust))
    }

    private var trust: Entrance.RequestIDTrust {
        switch configuration.server.requestID.trust {
        case .trustedProxies: .trustedPeers
        case .always: .always
        case .never: .never
        }
    }

    private var style: Pipeline.ForwardedStyle {
        switch configuration.server.forwardedStyle {
        case .x: .x
        case .rfc7239: .rfc7239
        case .both: .both
        }
    }

    private func underscores(_ policy: Configuration.UnderscorePolicy) -> Entrance.UnderscorePolicy {
        switch policy {
        case .forward: .forward
        case .drop: .drop
        case .reject: .reject
        }
    }

    private func responses() throws(BuildError) -> ResponseForwarding {
        do {
            return try ResponseForwarding(
                .init(pseudonym: pseudonym, requestIDHeader: Array(configuration.server.requestID.header.utf8)))
        } catch {
            throw fault("server", "\(error)")
        }
    }

    private func middlewareStages() throws(BuildError) -> [Stage] {
        var stages: [Stage] = []
        for middleware in configuration.middlewares {
            switch middleware.kind {
            case .headers(let rules):
                do {
                    stages.append(
                        .headers(
                            try Pipeline.HeaderRules(request: Self.rules(rules.request), response: Self.rules(rules.response))))
                } catch {
                    throw fault("middlewares.\(middleware.name)", "\(error)")
                }
            case .bodySize(let max): stages.append(.bodySize(limit: max == .max ? 0 : UInt64(max)))
            case .clientCertificate(let rules):
                stages.append(
                    .clientCertificate(
                        ClientCertificateStage(
                            subjects: rules.subjects.map { Array($0.utf8) },
                            alternativeNames: rules.sans.map { Array($0.text.utf8) },
                            fingerprints: rules.fingerprints.map { Array($0.utf8) })))
            case .ipAccess(let allow, let deny): stages.append(.ipAccess(IPAccessRules(allow: allow, deny: deny)))
            case .cors(let cors):
                do {
                    stages.append(.cors(try Self.rules(cors)))
                } catch {
                    throw fault("middlewares.\(middleware.name)", "\(error)")
                }
            case .custom(let type, let options):
                stages.append(.custom(try custom(middleware.name, type: type, options)))
            }
        }
        return stages
    }

    private static func rules(_ cors: CORSConfiguration) throws(CORSRuleError) -> CORSRules {
        try CORSRules(
            allowOrigins: cors.allowOrigins, allowMethods: cors.allowMethods, allowHeaders: cors.allowHeaders,
            exposeHeaders: cors.exposeHeaders, allowCredentials: cors.allowCredentials,
            maxAgeSeconds: Int(clamping: cors.maxAge.nanoseconds / 1_000_000_000))
    }

    private static func rules(_ changes: HeaderChanges) -> [Pipeline.HeaderRule] {
        changes.remove.map { Pipeline.HeaderRule(.remove, name: Array($0.utf8)) }
            + changes.set.map { Pipeline.HeaderRule(.set, name: Array($0.name.utf8), pieces: $0.value.map(piece)) }
            + changes.add.map { Pipeline.HeaderRule(.add, name: Array($0.name.utf8), pieces: $0.value.map(piece)) }
    }

    private static func piece(_ piece: HeaderValuePiece) -> HeaderPiece {
        switch piece {
        case .literal(let bytes): .text(bytes)
        case .variable(let variable):
            switch variable {
            case .clientAddress: .variable(.clientAddress)
            case .clientPort: .variable(.clientPort)
            case .requestID: .variable(.requestID)
            case .route: .variable(.route)
            case .service: .variable(.service)
            case .instance: .variable(.instance)
            case .host: .variable(.host)
            case .path: .variable(.path)
            case .method: .variable(.method)
            case .scheme: .variable(.scheme)
            case .timestamp: .variable(.timestamp)
            case .listener: .variable(.listener)
            case .clientCertSubject: .variable(.clientCertSubject)
            case .clientCertFingerprint: .variable(.clientCertFingerprint)
            case .clientCertSAN: .variable(.clientCertSAN)
            }
        }
    }

    private func rule(_ route: RouteConfiguration, _ index: Int) throws(BuildError) -> RouteRule {
        if neverMatches(route) {
            throw BuildError([diagnostic(index, "the path can never match: path.encoded_slash is reject")])
        }
        do {
            return RouteRule(
                name: route.name, hosts: try route.match.hosts.map { try HostPattern($0) },
                path: try PathPattern(route.match.path),
                methods: route.match.methods, headers: route.match.headers.map(Self.match),
                query: route.match.query.map(Self.match))
        } catch {
            throw BuildError([diagnostic(index, "\(error)")])
        }
    }

    /// Two slashes that mean different things: the path holds one that its own policy refuses.
    private func neverMatches(_ route: RouteConfiguration) -> Bool {
        guard route.path.encodedSlash == .reject else { return false }
        let path = route.match.path.uppercased()
        return path.contains("%2F") || path.contains("%5C")
    }

    private static func match(_ condition: ValueCondition) -> ValueMatch {
        switch condition.test {
        case .present: ValueMatch(condition.name, .present)
        case .absent: ValueMatch(condition.name, .absent)
        case .anyOf(let values): ValueMatch(condition.name, .anyOf(values))
        }
    }

    private func runtime(
        _ route: RouteConfiguration, _ index: Int, _ rule: RouteRule, _ stages: [Stage], _ services: [ServiceRuntime],
        _ responses: ResponseForwarding, _ breaker: NamedBreaker?
    ) throws(BuildError) -> RouteRuntime {
        do {
            var service: ServiceRuntime?
            var passHost = PassHost.fromClient
            if case .service(let index) = route.action {
                service = services[index]
                passHost = configuration.services[index].passHost
            }
            return RouteRuntime(
                index: index, action: try action(route, rule), service: service,
                chain: chain(route, stages),
                encodedSlash: encodedSlash(route.path.encodedSlash),
                rewriter: try rewriter(route, rule),
                bodyLimit: bodyLimit(route.requestBody), allowsBody: route.allowBody, timeouts: route.timeouts,
                forwarding: try forwarding(route, passHost), responses: responses, priority: route.priority, breaker: breaker,
                fallback: route.fallback.map { fallback($0, services) }, tunnels: try tunnels(route))
        } catch {
            throw BuildError([diagnostic(index, "\(error)")])
        }
    }

    private func tunnels(_ route: RouteConfiguration) throws(InvalidOrigin) -> TunnelRules? {
        guard let webSocket = route.webSocket, !route.upgrade.isEmpty else { return nil }
        return TunnelRules(
            protocols: route.upgrade, origins: try OriginRule(webSocket.origins), idleTimeout: webSocket.idleTimeout)
    }

    private func chain(_ route: RouteConfiguration, _ stages: [Stage]) -> Chain {
        Chain((guardStage.map { [$0] } ?? []) + (self.stages[route.name] ?? []) + route.middlewares.map { stages[$0] })
    }

    private func action(_ route: RouteConfiguration, _ rule: RouteRule) throws -> RouteRuntime.Action {
        if let action = actions[route.name] { return action }
        if case .on(let message, let retryAfter) = route.maintenance {
            return .maintenance(maintenance(message, retryAfter))
        }
        switch route.action {
        case .service(let index): return .forward(index)
        case .redirect(let redirect): return .redirect(try self.redirect(redirect, rule))
        case .respond(let response): return .respond(Self.answer(response))
        case .health: return .health
        case .ready: return .ready
        case .metrics(let allow): return .metrics(allow: allow)
        }
    }

    /// The refusal for maintenance, with the message of the file.
    private func maintenance(_ message: String, _ retryAfter: TimeAmount) -> Answer {
        let refusal = Refusal.maintenance(retryAfterSeconds: 0)
        var fields = [(name: "Retry-After", value: "\((retryAfter.nanoseconds + 999_999_999) / 1_000_000_000)")]
        if let token = refusal.proxyStatus { fields.append((name: "Proxy-Status", value: "sluice; error=\(token)")) }
        return .error(
            status: refusal.status, code: "\(refusal.code.name)", message: message.isEmpty ? "\(refusal.message)" : message,
            reason: "\(refusal.reason.name)", fields: fields)
    }

    private func redirect(_ redirect: RedirectConfiguration, _ rule: RouteRule) throws -> Redirect {
        var pieces: [Redirect.Piece] = []
        for piece in redirect.to {
            switch piece {
            case .literal(let bytes): pieces.append(.text(bytes))
            case .scheme: pieces.append(.scheme)
            case .host: pieces.append(.host)
            case .path: pieces.append(.path)
            case .segment(let name):
                guard let capture = rule.path.capture(name) else { throw PathRewriterError.unknownParameter(name) }
                pieces.append(.capture(capture))
            case .rest:
                guard let rest = rule.path.rest else { throw PathRewriterError.nothingForRest }
                pieces.append(.capture(rest))
            }
        }
        return try Redirect(to: pieces, status: UInt16(redirect.status), keepsQuery: redirect.keepQuery)
    }

    static func answer(_ response: FixedResponse) -> Answer {
        let fields = response.headers.map { (name: $0.name, value: String(decoding: $0.value, as: UTF8.self)) }
        guard !response.body.isEmpty else { return Answer(status: UInt16(response.status), fields: fields) }
        return Answer(status: UInt16(response.status), fields: fields, body: response.body, contentType: response.contentType)
    }

    private func encodedSlash(_ policy: EncodedSlashPolicy) -> EncodedSlashRule {
        switch policy {
        case .reject: .reject
        case .keep: .keep
        case .decode: .decode
        }
    }

    private func rewriter(_ route: RouteConfiguration, _ rule: RouteRule) throws -> PathRewriter? {
        switch route.path.rewrite {
        case .none: nil
        case .prefix(let strip, let add): try PathRewriter(strip: strip, add: add)
        case .replace(let text): try PathRewriter(replacement: text, of: rule.path)
        }
    }

    private func bodyLimit(_ limit: BodyLimit) -> UInt64 {
        switch limit {
        case .ofListener: 0
        case .bytes(let count): UInt64(count)
        case .unlimited: .max
        }
    }

    private func forwarding(_ route: RouteConfiguration, _ passHost: PassHost) throws -> Forwarding {
        let host: Forwarding.Host =
            switch passHost {
            case .fromClient: .fromClient
            case .ofInstance: .ofInstance
            case .literal(let name): .literal(Array(name.utf8))
            }
        var stripped: [UInt8] = []
        if case .prefix(let strip, _) = route.path.rewrite { stripped = Array(strip.utf8) }
        return try Forwarding(
            .init(
                pseudonym: pseudonym, host: host, requestIDHeader: Array(configuration.server.requestID.header.utf8),
                strippedPrefix: stripped, addsTimestamp: configuration.server.headers.timestamp))
    }

    private func diagnostic(_ error: RouteTableError) -> Diagnostic {
        let name =
            switch error {
            case .tie(_, let second): second
            case .tooManyAlike(let first, _): first
            case .method(let route, _), .headerName(let route, _), .noValues(let route, _): route
            }
        return diagnostic(configuration.routes.firstIndex { $0.name == name } ?? 0, "\(error)")
    }

    private func diagnostic(_ route: Int, _ message: String) -> Diagnostic {
        guard places.routes.indices.contains(route) else {
            return Diagnostic(.error, mark: places.admin.mark, path: "routes", message: message)
        }
        return Diagnostic(.error, mark: places.routes[route].mark, path: places.routes[route].path, message: message)
    }

    private func fault(_ path: String, _ message: String) -> BuildError {
        BuildError([
            Diagnostic(.error, mark: Mark(file: places.admin.mark.file, line: 1, column: 1), path: path, message: message)
        ])
    }
}

/// What is wrong with a configuration whose parts are each right.
struct BuildError: Error {
    let diagnostics: [Diagnostic]

    init(_ diagnostics: [Diagnostic]) { self.diagnostics = diagnostics }
}
