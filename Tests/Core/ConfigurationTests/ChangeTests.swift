import Balancing
import Configuration
import ConfigurationFile
import Health
import Primitives
import Resilience
import Testing

struct ChangeTests {
    private let base = """
        server: {workers: 2}
        limits: {request_headers: 50}
        middlewares:
          small: {body_size: {max: 1KiB}}
          office: {ip_access: {allow: 10.0.0.0/8}}
        services:
          users: {instances: [{url: "http://10.0.0.5:8080"}, {url: "http://b:1"}], timeouts: {response: 30s}}
          orders: {instances: [{url: "http://c:1"}]}
        routes:
          - {name: live, match: {path: /live}, service: users, middlewares: [office]}
          - {name: robots, match: {path: /robots.txt}, respond: {body: a}}

        """

    private func changes(_ edits: [(String, String)]) throws -> [String] {
        let old = loadRest(base)
        var text = base
        for (from, to) in edits {
            let parts = text.split(separator: from, maxSplits: 1, omittingEmptySubsequences: false)
            try #require(parts.count == 2, "\(from)")
            text = parts.joined(separator: to)
        }
        let new = loadRest(text)
        #expect(lines(new) == [])
        return ConfigurationChange.list(from: try #require(old.configuration), to: try #require(new.configuration)).map {
            "\($0.kind.rawValue) \($0.path) \($0.from ?? "-") \($0.to ?? "-")"
        }
    }

    @Test func `the same file has no changes`() throws {
        #expect(try changes([]) == [])
    }

    @Test func `a value that a route only takes over is told once, where it stands`() throws {
        #expect(try changes([("response: 30s", "response: 5s")]) == ["changed services.users.timeouts.response 30s 5s"])
        #expect(try changes([("request_headers: 50", "request_headers: 60")]) == ["changed limits.request_headers 50 60"])
        #expect(try changes([("workers: 2", "workers: auto")]) == ["changed server.workers 2 auto"])
    }

    @Test func `instances, services, routes and middlewares that come and go are told by their names`() throws {
        #expect(
            try changes([("{url: \"http://b:1\"}", "{url: \"http://d:1\"}")]) == [
                "added services.users.instances.d:1 - -", "removed services.users.instances.b:1 - -",
            ])
        #expect(
            try changes([("  orders: {instances: [{url: \"http://c:1\"}]}\n", "")]) == ["removed services.orders - -"])
        #expect(
            try changes([("routes:\n", "routes:\n  - {name: h, match: {path: /h}, health: true}\n")]) == ["added routes.h - -"])
        #expect(try changes([("  small: {body_size: {max: 1KiB}}\n", "")]) == ["removed middlewares.small - -"])
    }

    @Test func `a service that is put in before the others changes none of their routes`() throws {
        #expect(
            try changes([("services:\n", "services:\n  first: {instances: [{url: \"http://z\"}]}\n")]) == [
                "added services.first - -"
            ])
    }

    @Test func `a renamed service is told at its routes`() throws {
        #expect(
            try changes([("  users:", "  people:"), ("service: users", "service: people")]) == [
                "added services.people - -", "removed services.users - -", "changed routes.live.service users people",
            ])
    }

    @Test func `single values of a route, an instance and a middleware are told`() throws {
        #expect(
            try changes([
                ("path: /live}", "path: /alive, methods: GET}"), ("middlewares: [office]", "middlewares: [small, office]"),
                ("8080\"}", "8080\", weight: 4}"), ("allow: 10.0.0.0/8", "allow: [10.0.0.0/8, \"::1\"], deny: 10.1.0.0/16"),
                ("respond: {body: a}", "respond: {status: 201, body: b}"),
            ]) == [
                "changed middlewares.office.ip_access.allow [10.0.0.0/8] [10.0.0.0/8, ::1/128]",
                "changed middlewares.office.ip_access.deny [] [10.1.0.0/16]",
                "changed services.users.instances.10.0.0.5:8080.weight 1 4", "changed routes.live.match.path /live /alive",
                "changed routes.live.match.methods [] [GET]", "changed routes.live.middlewares [office] [small, office]",
                "changed routes.robots.respond.status 200 201", "changed routes.robots.respond.body - -",
            ])
    }

    @Test func `every single value of the process, a listener and a service is compared`() throws {
        var old = GatewayConfiguration()
        old.listeners = [ListenerConfiguration(name: "a", address: .unix(path: "/a"))]
        var service = ServiceConfiguration(name: "s", instances: [InstanceConfiguration(address: .unix(path: "/s"))])
        old.services = [service]
        var new = old
        new.server.drainDelay = .seconds(1)
        new.server.pidFile = "/p"
        new.server.logOutput = .syslog(.udp(host: "::1", port: 514))
        new.admin.hosts = ["gw"]
        new.admin.metrics = false
        new.accessLog.redact = ["ssn"]
        new.accessLog.output = .journald
        new.listeners[0].proxyProtocol = []
        new.listeners[0].limits.requestHeaders = 3
        service.queue.maxPending = 1
        service.enabled = false
        service.passHost = .literal("h")
        new.services = [service]
        #expect(
            ConfigurationChange.list(from: old, to: new).map { "\($0.path) \($0.from ?? "-") \($0.to ?? "-")" } == [
                "server.drain_delay 0s 1s", "server.log_output stderr syslog+udp://[::1]:514", "admin.hosts [] [gw]",
                "admin.metrics true false", "access_log.output stdout journald", "access_log.redact [] [ssn]",
                "server.pid_file - /p", "listeners.a.proxy_protocol.trusted - []", "listeners.a.limits.request_headers 100 3",
                "services.s.enabled true false", "services.s.queue.max_pending 1024 1", "services.s.pass_host true h",
            ])
    }

    /// Each edit of a service with the paths that tell of it; what a block has beside is told when it comes or goes.
    private static var serviceEdits: [(path: String, edit: @Sendable (inout ServiceConfiguration) -> Void)] {
        [
            ("load_balancer.algorithm", { $0.balancer.algorithm = .random }),
            ("load_balancer.slow_start", { $0.balancer.slowStart = SlowStart(window: .seconds(5)) }),
            ("load_balancer.degraded_weight", { $0.health.degradedShare = 250 }),
            ("load_balancer.hash_on", { $0.hashSource = .path }), ("load_balancer.hash_name", { $0.hashSource = .cookie("x") }),
            ("load_balancer.bound", { ($0.hashSource, $0.balancer.loadBound) = (.header("x-y"), 2) }),
            ("load_balancer.sticky.cookie", { $0.sticky = StickyConfiguration(cookie: "c") }),
            ("load_balancer.sticky.path", { $0.sticky?.path = "/p" }),
            ("load_balancer.sticky.same_site", { $0.sticky?.sameSite = .strict }),
            ("load_balancer.sticky.max_age", { $0.sticky?.maxAge = .seconds(1) }),
            ("load_balancer.sticky.http_only", { $0.sticky?.isHTTPOnly = false }),
            ("load_balancer.sticky.secure", { $0.sticky?.isSecure = true }),
            ("load_balancer.sticky.secret", { $0.sticky?.secret = Secret([1]) }),
            ("health_check.type", { $0.check = .tcp }),
            ("health_check.path", { $0.check = .http(target: "/h", host: nil, CheckExpectation()) }),
            ("health_check.host", { $0.check = .http(target: "/h", host: "a", CheckExpectation()) }),
            ("health_check.expect_status", { $0.check = .http(target: "/h", host: "a", CheckExpectation(statuses: [200])) }),
            ("health_check.expect_body", { $0.check = .http(target: "/h", host: "a", CheckExpectation(body: [0x61])) }),
            (
                "health_check.expect_header",
                { $0.check = .http(target: "/h", host: "a", CheckExpectation(field: CheckExpectation.Field(name: [0x61]))) }
            ),
            ("health_check.interval", { $0.health.interval = .seconds(3) }),
            ("health_check.fast_interval", { $0.health.fastInterval = .seconds(3) }),
            ("health_check.timeout", { $0.health.timeout = .seconds(3) }),
            ("health_check.fast_timeout", { $0.health.fastTimeout = .seconds(3) }),
            ("health_check.rise", { $0.health.rise = 9 }), ("health_check.fall", { $0.health.fall = 9 }),
            ("health_check.backoff_max", { $0.health.backoffMax = .seconds(3) }),
            ("health_check.degraded_latency", { $0.health.degradedLatency = .seconds(3) }),
            ("health_check.degraded_error_rate", { $0.health.degradedErrorPermille = 9 }),
            ("outlier_detection.server_errors", { $0.outliers?.serverErrors = 9 }),
            ("outlier_detection.unreachable", { $0.outliers?.unreachable = 9 }),
            ("outlier_detection.ejection_time", { $0.outliers?.ejection = .seconds(9) }),
            ("outlier_detection.ejection_time_max", { $0.outliers?.ejectionMax = .seconds(9) }),
            ("outlier_detection.max_ejected", { $0.outliers?.ejectedMaxPercent = 9 }),
            ("outlier_detection.enabled", { $0.outliers = nil }),
            ("circuit_breaker.failure_threshold", { $0.breaker?.failureThreshold = 9 }),
            ("circuit_breaker.success_threshold", { $0.breaker?.successThreshold = 9 }),
            ("circuit_breaker.open_timeout", { $0.breaker?.openTimeout = .seconds(9) }),
            ("circuit_breaker.open_timeout_max", { $0.breaker?.openTimeoutMax = .seconds(9) }),
            ("circuit_breaker.error_rate_threshold", { $0.breaker?.errorRatePermille = 9 }),
            ("circuit_breaker.window", { $0.breaker?.window = .seconds(9) }),
            ("circuit_breaker.minimum_requests", { $0.breaker?.minimumRequests = 9 }),
            ("circuit_breaker.half_open_max", { $0.breaker?.halfOpenMax = 9 }),
            ("circuit_breaker.slow_call_duration", { $0.breaker?.slowCallDuration = .seconds(9) }),
            ("circuit_breaker.slow_call_rate_threshold", { $0.breaker?.slowRatePermille = 9 }),
            ("circuit_breaker.probe_early", { $0.breaker?.probeEarly = false }),
            ("circuit_breaker.probe_timeout", { $0.breaker?.probeTimeout = .seconds(9) }),
            ("circuit_breaker.enabled", { $0.breaker = nil }),
            ("retry.attempts", { $0.retry.policy.retriesMax = 9 }), ("retry.budget", { $0.retry.budget.sharePermille = 9 }),
            ("retry.retry_on", { $0.retry.policy.conditions = .timeout }),
            ("retry.retry_on", { $0.retry.policy.statuses = [503] }),
            ("retry.per_try_timeout", { $0.retry.policy.perTryTimeout = .seconds(9) }),
            ("retry.backoff", { $0.retry.policy.backoffBase = .seconds(9) }),
            ("retry.backoff_max", { $0.retry.policy.backoffMax = .seconds(9) }),
            ("retry.trust_idempotency_key", { $0.retry.trustsIdempotencyKey = true }),
            ("adaptive_concurrency.min", { $0.adaptiveConcurrency = ConcurrencyLimit.Policy() }),
            ("adaptive_concurrency.max", { $0.adaptiveConcurrency?.most = 9 }),
            ("adaptive_concurrency.start", { $0.adaptiveConcurrency?.start = 9 }),
            ("adaptive_concurrency.tolerance", { $0.adaptiveConcurrency?.tolerancePermille = 9 }),
            ("fallback.status", { $0.fallback = .response(FixedResponse()) }),
            ("fallback.service", { $0.fallback = .service(1) }),
        ]
    }

    @Test func `every single value of a service's balancing, checks, breaker, retries and fallback is told`() {
        var old = GatewayConfiguration()
        let instances = [InstanceConfiguration(address: .unix(path: "/s"))]
        old.services = ["s", "t"].map { ServiceConfiguration(name: $0, instances: instances) }
        for (path, edit) in Self.serviceEdits {
            var new = old
            edit(&new.services[0])
            let paths = ConfigurationChange.list(from: old, to: new).map(\.path)
            #expect(paths.contains("services.s." + path), "\(path): \(paths)")
            old = new
        }
    }

    @Test func `a breaker that a route only takes over in part is told once, and its own keys at the route`() throws {
        let base = """
            services:
              s: {instances: [{url: "http://h"}], circuit_breaker: {window: 10s}}
              t: {instances: [{url: "http://h"}], fallback: {service: u}}
              u: {instances: [{url: "http://h"}]}
            routes:
              - {name: r, match: {path: /}, service: s, circuit_breaker: {open_timeout: 5s}, fallback: {service: t}}

            """
        func changes(_ from: String, _ to: String) throws -> [String] {
            let new = loadRest(base.split(separator: from, omittingEmptySubsequences: false).joined(separator: to))
            return ConfigurationChange.list(
                from: try #require(loadRest(base).configuration), to: try #require(new.configuration)
            ).map { "\($0.kind.rawValue) \($0.path) \($0.from ?? "-") \($0.to ?? "-")" }
        }
        #expect(try changes("window: 10s", "window: 20s") == ["changed services.s.circuit_breaker.window 10s 20s"])
        #expect(
            try changes("open_timeout: 5s", "open_timeout: 7s") == ["changed routes.r.circuit_breaker.open_timeout 5s 7s"])
        #expect(
            try changes("service: s, circuit", "service: s, priority: bulk, circuit") == [
                "changed routes.r.priority default bulk"
            ])
        // Whoever is put in before the others changes none of their fallbacks.
        #expect(
            try changes("services:", "services:\n  first: {instances: [{url: \"http://z\"}]}") == ["added services.first - -"])
        #expect(
            try changes("fallback: {service: t}", "fallback: {body: x}") == [
                "added routes.r.fallback.status - 200",
                "added routes.r.fallback.content_type - text/plain; charset=utf-8", "added routes.r.fallback.body - -",
                "removed routes.r.fallback.service t -",
            ])
    }

    @Test func `a thousand services and ten thousand routes are compared by name, in any order`() {
        var old = GatewayConfiguration()
        old.services = (0..<1000).map {
            ServiceConfiguration(name: "s\($0)", instances: [InstanceConfiguration(address: .unix(path: "/\($0)"))])
        }
        old.routes = (0..<10_000).map {
            RouteConfiguration(name: "r\($0)", match: RouteMatch(path: "/\($0)"), action: .service($0 % 1000))
        }
        var new = old
        new.services.reverse()
        new.routes = old.routes.reversed().map { route in
            var route = route
            if case .service(let index) = route.action { route.action = .service(999 - index) }
            return route
        }
        #expect(ConfigurationChange.list(from: old, to: new) == [])
        new.routes[5].allowBody = false
        #expect(
            ConfigurationChange.list(from: old, to: new) == [
                ConfigurationChange(kind: .changed, path: "routes.r9994.allow_body", from: "true", to: "false")
            ])
    }
}
