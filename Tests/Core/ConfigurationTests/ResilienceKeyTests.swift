import Balancing
import Configuration
import ConfigurationFile
import Health
import Primitives
import Resilience
import Testing

/// What the blocks of a service and of a route make of the policies.
struct ResilienceKeyTests {
    private func service(_ blocks: String, warnings: [String] = []) throws -> ServiceConfiguration {
        let result = loadRest(
            "services: {s: {instances: [{url: \"http://h\"}], \(blocks)}}\nroutes: [{name: r, match: {path: /}, service: s}]\n")
        #expect(result.diagnostics.map(\.message) == warnings, "\(blocks)")
        return try #require(result.configuration?.services.first)
    }

    // Balancing.

    @Test(arguments: [
        ("round_robin", Balancer.Algorithm.roundRobin), ("weighted", .roundRobin), ("least_conn", .leastConnections),
        ("ip_hash", .addressHash), ("p2c_ewma", .peakEWMA), ("random", .random),
    ])
    func `each algorithm is that of its name`(name: String, algorithm: Balancer.Algorithm) throws {
        let service = try service("load_balancer: {algorithm: \(name)}")
        #expect(service.balancer == Balancer.Policy(algorithm))
        #expect(service.hashSource == nil)
    }

    @Test(arguments: [
        ("header, hash_name: X-User", HashSource.header("x-user")), ("cookie, hash_name: Sid", .cookie("Sid")),
        ("query, hash_name: \"a b\"", .query("a b")), ("path", .path),
    ])
    func `consistent_hash looks at what hash_on says`(keys: String, source: HashSource) throws {
        let service = try service("load_balancer: {algorithm: consistent_hash, bound: 150%, hash_on: \(keys)}")
        #expect(service.balancer.algorithm == .consistentHash)
        #expect(service.balancer.loadBound == 1.5)
        #expect(service.hashSource == source)
    }

    @Test func `slow_start and degraded_weight are known to the balancer and to health, whichever block stands first`() throws {
        let balancer = "load_balancer: {slow_start: 30s, degraded_weight: 0.125}"
        for blocks in [balancer, "health_check: {rise: 4}, \(balancer)", "\(balancer), health_check: {rise: 4}"] {
            let service = try service(blocks)
            #expect(service.balancer.slowStart == SlowStart(window: .seconds(30)))
            #expect(service.health.slowStart == .seconds(30))
            #expect(service.balancer.degradedWeight == 0.125)
            #expect(service.health.degradedShare == 125)
        }
        #expect(try service("load_balancer: {slow_start: off}").balancer.slowStart == nil)
        #expect(try service("load_balancer: {slow_start: off}").health.slowStart == .zero)
    }

    @Test func `every attribute of a sticky cookie is read`() throws {
        let keys = "cookie: Sid, secret: 0123456789abcdef, max_age: 90s, path: /app, http_only: false, secure: true"
        var sticky = StickyConfiguration(cookie: "Sid")
        sticky.secret = Secret(Array("0123456789abcdef".utf8))
        sticky.maxAge = .seconds(90)
        sticky.path = "/app"
        sticky.isHTTPOnly = false
        sticky.isSecure = true
        sticky.sameSite = .strict
        #expect(try service("load_balancer: {sticky: {\(keys), same_site: strict}}").sticky == sticky)
        #expect(try service("load_balancer: {sticky: {enabled: false, \(keys)}}").sticky == nil)
        #expect(try service("load_balancer: {enabled: false, sticky: {\(keys)}}").sticky == nil)
        #expect(try service("load_balancer: {sticky: {cookie: __Host-a, secure: true}}").sticky?.cookie == "__Host-a")
    }

    @Test func `a cookie for requests from other sites is always secure, and whoever says otherwise is told`() throws {
        let silent = try service("load_balancer: {sticky: {cookie: c, same_site: none}}").sticky
        #expect(silent?.sameSite == StickyConfiguration.SameSite.none)
        #expect(silent?.isSecure == true)
        let told = "same_site none needs secure, which browsers insist on: it is true all the same"
        let loud = try service("load_balancer: {sticky: {cookie: c, same_site: none, secure: false}}", warnings: [told])
        #expect(loud.sticky?.isSecure == true)
    }

    // Health.

    @Test func `every key of a health check is read`() throws {
        let service = try service(
            """
            health_check: {path: "/h?full=1", host: "a.example:81", interval: 20s, fast_interval: 2s, timeout: 4s, fast_timeout: 3s,
              rise: 5, fall: 6, backoff_max: 1m, expect_status: [200, 503], expect_body: "a\\nb", expect_header: "X-Ready:  yes: 1 ",
              degraded_latency: 700ms, degraded_error_rate: 12.5%}
            """)
        var policy = HealthPolicy()
        policy.interval = .seconds(20)
        policy.fastInterval = .seconds(2)
        policy.timeout = .seconds(4)
        policy.fastTimeout = .seconds(3)
        policy.rise = 5
        policy.fall = 6
        policy.backoffMax = .seconds(60)
        policy.degradedLatency = .milliseconds(700)
        policy.degradedErrorPermille = 125
        #expect(service.health == policy)
        let field = CheckExpectation.Field(name: Array("x-ready".utf8), value: Array("yes: 1".utf8))
        let expected = CheckExpectation(statuses: [200, 503], body: Array("a\nb".utf8), field: field)
        #expect(service.check == .http(target: "/h?full=1", host: "a.example:81", expected))
    }

    @Test func `a field without a value may have any`() throws {
        for text in ["X-Ready", "\"X-Ready:\""] {
            let check = try service("health_check: {expect_header: \(text)}").check
            #expect(
                check
                    == .http(
                        target: "/health", host: nil, CheckExpectation(field: CheckExpectation.Field(name: Array("X-Ready".utf8)))
                    ))
        }
    }

    @Test func `a check over TCP asks for nothing`() throws {
        let service = try service("health_check: {type: tcp, interval: 10s}")
        #expect(service.check == .tcp)
        #expect(service.health.hasChecks)
        #expect(service.health.interval == .seconds(10))
    }

    @Test func `times that are left out give way to an interval that is shorter`() throws {
        let health = try service("health_check: {interval: 500ms}").health
        #expect(health.timeout == .milliseconds(500))
        #expect(health.fastInterval == .milliseconds(500))
        #expect(health.fastTimeout == .milliseconds(500))
        #expect(try service("health_check: {timeout: 200ms}").health.fastTimeout == .milliseconds(200))
    }

    @Test func `a timeout above the interval is warned about, with what to do`() throws {
        let message = "is longer than interval (2s): a check that takes so long delays the next; lower it, or raise interval"
        #expect(try service("health_check: {interval: 2s, timeout: 3s}", warnings: [message]).health.timeout == .seconds(3))
        #expect(try service("health_check: {interval: 2s, timeout: 2s}").health.timeout == .seconds(2))
        #expect(try service("health_check: {enabled: false, interval: 2s, timeout: 3s}").check == nil)
    }

    @Test func `a health check that is switched off leaves no trace`() throws {
        let service = try service("health_check: {enabled: false, rise: 9, degraded_latency: 1s}")
        #expect(service.health == ServiceConfiguration.healthWithoutChecks)
        #expect(service.check == nil)
    }

    // Outliers, breakers, limits.

    @Test func `every key of outlier_detection is read, and enabled switches it off`() throws {
        var policy = OutlierDetector.Policy()
        policy.serverErrors = 7
        policy.unreachable = 8
        policy.ejection = .seconds(10)
        policy.ejectionMax = .seconds(20)
        policy.ejectedMaxPercent = 29
        let keys = "server_errors: 7, unreachable: 8, ejection_time: 10s, ejection_time_max: 20s, max_ejected: 29%"
        #expect(try service("outlier_detection: {\(keys)}").outliers == policy)
        #expect(try service("outlier_detection: {enabled: false, \(keys)}").outliers == nil)
        #expect(try service("outlier_detection: {ejection_time: 10m}").outliers?.ejectionMax == .seconds(600))
    }

    private let breakerKeys = """
        failure_threshold: 7, success_threshold: 2, open_timeout: 10s, open_timeout_max: 20s, error_rate_threshold: 0.29,
        window: 30s, minimum_requests: 40, half_open_max: 4, slow_call_duration: 2s, slow_call_rate_threshold: 57.3%,
        probe_early: false, probe_timeout: 50s
        """

    private var breakerOfKeys: BreakerPolicy {
        var policy = BreakerPolicy()
        policy.failureThreshold = 7
        policy.successThreshold = 2
        policy.openTimeout = .seconds(10)
        policy.openTimeoutMax = .seconds(20)
        policy.errorRatePermille = 290
        policy.window = .seconds(30)
        policy.minimumRequests = 40
        policy.halfOpenMax = 4
        policy.slowCallDuration = .seconds(2)
        policy.slowRatePermille = 573
        policy.probeEarly = false
        policy.probeTimeout = .seconds(50)
        return policy
    }

    @Test func `every key of a circuit breaker is read, and enabled switches it off`() throws {
        #expect(try service("circuit_breaker: {\(breakerKeys)}").breaker == breakerOfKeys)
        #expect(try service("circuit_breaker: {enabled: false, \(breakerKeys)}").breaker == nil)
        #expect(try service("circuit_breaker: {open_timeout: 10m}").breaker?.openTimeoutMax == .seconds(600))
    }

    // Hardening 204.
    @Test(
        arguments: [
            ("{}", 30), ("{response: 10s}", 30), ("{response: 90s}", 90), ("{response: off}", 300),
            ("{response: off, request: 2m}", 120), ("{response: off, request: 1s}", 30), ("{response: 40s, request: 2m}", 40),
        ] as [(String, UInt64)])
    func `a probe is given up not before the service's own time, and always at last`(timeouts: String, seconds: UInt64) throws {
        #expect(try service("timeouts: \(timeouts)").breaker?.probeTimeout == .seconds(seconds))
    }

    @Test func `a probe's time below that of the service is warned about`() throws {
        let message =
            "is shorter than timeouts.response: a probe that is answered later counts as a failure; raise it, or lower the other"
        let service = try service("circuit_breaker: {probe_timeout: 5s}", warnings: [message])
        #expect(service.breaker?.probeTimeout == .seconds(5))
    }

    @Test func `every key of adaptive_concurrency is read, and what is left out gives way to what is written`() throws {
        var policy = ConcurrencyLimit.Policy()
        policy.least = 5
        policy.most = 50
        policy.start = 10
        policy.tolerancePermille = 333
        let keys = "min: 5, max: 50, start: 10, tolerance: 33.3%"
        #expect(try service("adaptive_concurrency: {\(keys)}").adaptiveConcurrency == policy)
        #expect(try service("adaptive_concurrency: {enabled: false, \(keys)}").adaptiveConcurrency == nil)
        let few = try service("adaptive_concurrency: {max: 2}").adaptiveConcurrency
        #expect(few?.least == 2 && few?.most == 2 && few?.start == 2)
        let many = try service("adaptive_concurrency: {min: 2000}").adaptiveConcurrency
        #expect(many?.least == 2000 && many?.most == 2000 && many?.start == 2000)
    }

    // Retries.

    @Test func `every key of retry is read, conditions and statuses apart`() throws {
        let retry = try service(
            """
            retry: {attempts: 4, budget: 7.5%, retry_on: [gateway_error, 5xx, timeout, 429, 503, 425, 503], per_try_timeout: 3s,
              backoff: 50ms, backoff_max: 1s, trust_idempotency_key: true}
            """
        ).retry
        var expected = RetryConfiguration()
        expected.policy.retriesMax = 4
        expected.policy.conditions = [.gatewayError, .serverError, .timeout, .tooManyRequests]
        expected.policy.statuses = [503, 425]
        expected.policy.perTryTimeout = .seconds(3)
        expected.policy.backoffBase = .milliseconds(50)
        expected.policy.backoffMax = .seconds(1)
        expected.budget.sharePermille = 75
        expected.trustsIdempotencyKey = true
        #expect(retry == expected)
        #expect(try service("retry: {retry_on: 503}").retry.policy.statuses == [503])
        #expect(try service("retry: {retry_on: 429}").retry.policy.conditions == .tooManyRequests)
        #expect(try service("retry: {backoff: 2s}").retry.policy.backoffMax == .seconds(2))
    }

    @Test func `switched off, retry still lets a request pass that met a connection closed before it`() throws {
        let off = try service("retry: {enabled: false, attempts: 5, retry_on: [5xx, 503], trust_idempotency_key: true}").retry
        var expected = RetryConfiguration()
        expected.policy.retriesMax = 0
        expected.policy.conditions = .staleConnection
        #expect(off == expected)
        #expect(try service("retry: {retry_on: []}").retry.policy.conditions == [])
    }

    @Test(arguments: [
        ("0%", 0), ("0.1%", 1), ("0.001", 1), ("29%", 290), ("0.29", 290), ("0.57", 570), ("57.9%", 579), ("100%", 1000),
        ("1", 1000),
        ("1.0", 1000), ("0.2000", 200), ("00.5", 500),
    ])
    func `a share is read without rounding`(text: String, permille: Int) throws {
        #expect(try service("retry: {budget: \(text)}").retry.budget.sharePermille == permille)
    }

    @Test(arguments: [
        "0.0001", "0.05%", "100.1%", "1.001", "1.0000000001", "9999999999", "-1", "0.", ".5", "5%%", "1e3", "%", "",
    ])
    func `a share that is none, or finer than it is counted, is refused`(text: String) {
        #expect(
            loadRest("services: {s: {instances: [{url: \"http://h\"}], retry: {budget: \"\(text)\"}}}\n").errors.count == 1)
    }

    // Routes.

    @Test func `a route has a priority, and a breaker of its own that is laid over its service's`() throws {
        let text = """
            services:
              s: {instances: [{url: "http://h"}], circuit_breaker: {failure_threshold: 9, probe_timeout: 45s}}
              t: {instances: [{url: "http://h"}], circuit_breaker: {enabled: false, failure_threshold: 9}}
            routes:
              - {name: a, match: {path: /a}, service: s}
              - {name: b, match: {path: /b}, service: s, priority: bulk, circuit_breaker: {open_timeout: 5s}}
              - {name: c, match: {path: /c}, service: t, priority: critical, circuit_breaker: {}, timeouts: {response: 50s}}
              - {name: d, match: {path: /d}, service: t, priority: default, circuit_breaker: {enabled: false, open_timeout: 5s}}
              - {name: e, match: {path: /e}, service: s, circuit_breaker: {\(breakerKeys.split(separator: "\n").joined(separator: " "))}}

            """
        let result = loadRest(text)
        #expect(lines(result) == [])
        let routes = try #require(result.configuration).routes
        #expect(routes.map(\.priority) == [.standard, .bulk, .critical, .standard, .standard])
        var laidOver = BreakerPolicy()
        laidOver.failureThreshold = 9
        laidOver.openTimeout = .seconds(5)
        laidOver.probeTimeout = .seconds(45)
        var alone = BreakerPolicy()
        alone.probeTimeout = .seconds(50)
        #expect(routes.map(\.breaker) == [nil, laidOver, alone, nil, breakerOfKeys])
    }
}
