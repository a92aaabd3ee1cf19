import Configuration
import ConfigurationFile
import Primitives
import Testing

struct OlderNameTests {
    private let services = """
        services:
          users: {instances: [{url: "http://a:1"}], health_check: {}, circuit_breaker: {}}
          orders:
            instances: [{url: "http://b:1"}]
            timeouts: {response: 3s}
            pool: {max_connections: 7}
            health_check: {interval: 5s}
            circuit_breaker: {failure_threshold: 9}
        routes: [{name: r, match: {path: "/*"}, service: users}, {name: h, match: {path: /h}, health: true}]

        """

    /// The value in force at a path of the effective configuration, with its source.
    private func inForce(_ text: String, _ path: String, environment: [String: String] = [:]) -> String? {
        effective(load(text, environment: environment))[path]
    }

    @Test func `host and port become the one listener`() throws {
        let listeners = try #require(load("host: \"::1\"\nport: 8080\nroutes: []\n").configuration).listeners
        #expect(listeners.map(\.name) == ["default"])
        #expect(listeners.map(\.address.text) == ["[::1]:8080"])
        #expect(load("port: 9000\n").configuration?.listeners.map(\.address.text) == ["0.0.0.0:9000"])
        #expect(load("host: 127.0.0.1\n").configuration?.listeners.map(\.address.text) == ["127.0.0.1:8000"])
    }

    @Test func `workers and log_level become those of server`() throws {
        let server = try #require(loadRest("workers: 4\nlog_level: WARNING\n").configuration).server
        #expect(server.workers == .fixed(4))
        #expect(server.logLevel == .warn)
        #expect(loadRest("log_level: CRITICAL\n").configuration?.server.logLevel == .error)
        #expect(loadRest("log_level: debug\nserver: {workers: 2}\n").configuration?.server.workers == .fixed(2))
    }

    @Test func `request_timeout and connection_pool_size are for the services that say nothing themselves`() throws {
        let configuration = try #require(loadRest("request_timeout: 12\nconnection_pool_size: 50\n" + services).configuration)
        #expect(configuration.services.map(\.timeouts.response) == [.seconds(12), .seconds(3)])
        #expect(configuration.services.map(\.pool.maxConnections) == [50, 7])
        #expect(configuration.services[1].timeouts.connect == .seconds(2))
    }

    @Test func `a block that is switched off says nothing itself`() throws {
        let text =
            "request_timeout: 12\nservices: {a: {instances: [{url: \"http://h\"}], timeouts: {enabled: false, response: 3s}}}\n"
        #expect(loadRest(text).configuration?.services.map(\.timeouts.response) == [.seconds(12)])
    }

    @Test func `health_check_interval and circuit_breaker_threshold are for the services that are checked, or have a breaker`()
        throws
    {
        let text = "port: 1\nhealth_check_interval: 15\ncircuit_breaker_threshold: 6\n" + services
        #expect(inForce(text, "services.users.health_check.interval") == "15")
        #expect(inForce(text, "services.orders.health_check.interval") == "5s")
        #expect(inForce(text, "services.users.circuit_breaker.failure_threshold") == "6")
        #expect(inForce(text, "services.orders.circuit_breaker.failure_threshold") == "9")
        let services = try #require(load(text).configuration).services
        #expect(lines(load(text)) == [])
        #expect(services.map(\.health.interval) == [.seconds(15), .seconds(5)])
        #expect(services.map(\.breaker?.failureThreshold) == [6, 9])
        #expect(
            sources(load(text))["services.users.circuit_breaker.failure_threshold"]
                == "older name circuit_breaker_threshold at t.yaml:3:28")
    }

    @Test func `health_check_interval switches no check on, and says so`() throws {
        let text = "port: 1\nhealth_check_interval: 15\nservices: {a: {instances: [{url: \"http://h\"}]CHECK}}\nroutes: []\n"
        for block in ["", ", health_check: {enabled: false}"] {
            let result = load(text.split(separator: "CHECK").joined(separator: block))
            #expect(result.configuration?.services.map(\.check) == [nil])
            #expect(
                lines(result).first
                    == "t.yaml:2:1: warning: health_check_interval: has no effect: no service has a health_check of which this could be a part"
            )
        }
    }

    @Test func `circuit_breaker_threshold is for every breaker that says nothing, and switches none on`() throws {
        let text = """
            port: 1
            circuit_breaker_threshold: 7
            services:
              a: {instances: [{url: "http://h"}]}
              b: {instances: [{url: "http://h"}], circuit_breaker: {enabled: false}}
            routes: [{name: r, match: {path: /}, service: a}]

            """
        let services = try #require(load(text).configuration).services
        #expect(lines(load(text)) == [])
        #expect(services.map(\.breaker?.failureThreshold) == [7, nil])
    }

    @Test func `the limits of the gateway become middlewares that every route but health and metrics names first`() {
        let text = "port: 1\nmax_requests_per_second: 1000\nrate_limit_per_minute: 100\n" + services
        #expect(inForce(text, "middlewares.max_requests_per_second.rate_limit.key") == "global")
        #expect(inForce(text, "middlewares.max_requests_per_second.rate_limit.rate") == "1000/s")
        #expect(inForce(text, "middlewares.rate_limit_per_minute.rate_limit.key") == "ip")
        #expect(inForce(text, "middlewares.rate_limit_per_minute.rate_limit.rate") == "100/m")
        #expect(inForce(text, "routes[0].middlewares") == "max_requests_per_second rate_limit_per_minute")
        #expect(inForce(text, "routes[1].middlewares") == "")
        #expect(lines(load(text)).first?.contains("rate_limit is accepted, but has no effect in this version") == true)
    }

    @Test func `jwt_secret and api_key_header become middlewares`() {
        let text = "port: 1\njwt_secret: 0123456789abcdef0123456789abcdef\napi_key_header: X-Key\n" + services
        #expect(load(text).errors == [])
        #expect(inForce(text, "middlewares.jwt.jwt.algorithms") == "HS256")
        #expect(inForce(text, "middlewares.jwt.jwt.secret") == "***")
        #expect(inForce(text, "middlewares.api_key.api_key.header") == "X-Key")
        // A route that names it is refused rather than open, as with the newer name.
        #expect(load(text + "    # ").errors == [])
        let guarded =
            "port: 1\njwt_secret: 0123456789abcdef0123456789abcdef\nroutes: [{name: r, match: {path: /}, health: true, middlewares: jwt}]\n"
        #expect(load(guarded).errors.count == 1)
    }

    @Test func `metrics_enabled is that of the admin listener`() {
        #expect(loadRest("metrics_enabled: false\n").configuration?.admin.metrics == false)
        #expect(loadRest("metrics_enabled: true\n").configuration?.admin.metrics == true)
    }

    @Test(arguments: [
        ("log_requests: true", true), ("log_requests: false", false), ("log_responses: true", true),
        ("log_responses: false", true),
        ("log_requests: false\nlog_responses: true", true), ("log_requests: false\nlog_responses: false", false),
    ])
    func `a log line is written when either requests or responses are logged`(text: String, isOn: Bool) throws {
        let configuration = try #require(loadRest(text + "\n").configuration)
        #expect((configuration.accessLog.output != .off) == isOn)
    }

    @Test func `the source of a value with an older name says so`() {
        let result = load("port: 1\nworkers: 4\n")
        #expect(sources(result)["server.workers"] == "older name workers at t.yaml:2:10")
        #expect(sources(result)["listeners[0].address"] == "older name port at t.yaml:1:7")
    }

    @Test func `every older name is in the JSON Schema, marked as deprecated`() {
        let text = readText("\(repository)/config/sluice.schema.json")
        for name in ["host", "port", "max_requests_per_second", "jwt_secret", "log_responses"] {
            #expect(text.contains("    \"\(name)\": {"), "\(name)")
        }
        #expect(text.split(separator: "\"deprecated\": true").count == 16)
    }
}
