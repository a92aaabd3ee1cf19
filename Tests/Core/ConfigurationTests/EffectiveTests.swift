import Configuration
import ConfigurationFile
import Primitives
import Testing

struct EffectiveTests {
    private func origin(_ text: String, _ environment: [String: String] = [:]) throws -> ConfigurationOrigin {
        try #require(load(text, environment: environment).origin)
    }

    /// The same with its masked secrets put back as something long enough.
    private func withSecrets(_ yaml: String) -> String {
        yaml.split(separator: "\"***\"", omittingEmptySubsequences: false).joined(
            separator: "\"a secret of at least thirty-two bytes\"")
    }

    private func withoutSecrets(_ configuration: GatewayConfiguration?) throws -> GatewayConfiguration {
        var configuration = try #require(configuration)
        configuration.admin.token = Secret()
        for i in configuration.services.indices { configuration.services[i].sticky?.secret = nil }
        return configuration
    }

    @Test(arguments: ["example", "quickstart", "minimal"])
    func `what is in force, written out, loads to the same configuration`(name: String) throws {
        let result = load(readText("\(repository)/config/\(name).yaml"))
        let yaml = ConfigurationLoader.effective(try #require(result.origin)).yaml()
        let again = load(withSecrets(yaml))
        #expect(lines(again) == [])
        #expect(try withoutSecrets(again.configuration) == withoutSecrets(result.configuration))
        // Written once more it stays as it is, but for the places.
        let third = ConfigurationLoader.effective(try #require(again.origin)).yaml()
        #expect(values(third) == values(yaml))
    }

    private func values(_ yaml: String) -> [String] {
        yaml.split(separator: "\n").map { line in
            var text = line.split(separator: "  # ").first.map(String.init) ?? ""
            while text.hasSuffix(" ") { text.removeLast() }
            return text
        }
    }

    @Test func `older names and the environment, written out, load to the same configuration without them`() throws {
        let text = """
            port: 8080
            workers: 2
            request_timeout: 7
            log_requests: false
            services: {users: {instances: [{url: "http://a:1"}], pass_host: "$${x}.example"}}
            routes:
              - {name: a, match: {path: "/api/v1/*"}, service: users}
              - {name: b, match: {path: /b}, respond: {body: "a \\"b\\" \\\\ $${c}\\n\\ttail #no"}}
              - {name: c, match: {path: /c}, redirect: {to: "https://${host}/$$${path}"}}

            """
        let valid = text.split(separator: "pass_host: \"$${x}.example\"").joined(separator: "pass_host: false")
        let result = load(valid, environment: ["API_V1_PREFIX": "/gw", "USERS_SERVICE_URL": "http://new"])
        let again = load(ConfigurationLoader.effective(try #require(result.origin)).yaml())
        #expect(lines(result) == [])
        #expect(lines(again) == [])
        #expect(again.configuration == result.configuration)
        #expect(result.configuration?.routes[1].action == again.configuration?.routes[1].action)
    }

    @Test func `each value tells where it comes from`() throws {
        let text = "listeners: [{name: web, address: \"127.0.0.1:${PORT}\"}]\nserver: {workers: 3}\n"
        let found = sources(load(text, environment: ["PORT": "8000", "DEBUG": "1"]))
        #expect(found["server.workers"] == "t.yaml:2:19")
        #expect(found["server.via"] == "default")
        #expect(found["server.log_level"] == "environment DEBUG")
        #expect(found["listeners[0].address"] == "t.yaml:1:34, environment PORT")
        #expect(found["limits.request_body"] == "default")
        #expect(found["admin.enabled"] == "default")
        #expect(found["access_log.output"] == "default")
        #expect(found["store.url"] == nil)
    }

    @Test func `the text has every value with its source behind it`() throws {
        let yaml = ConfigurationLoader.effective(try origin("listeners: [{name: web, address: \"127.0.0.1:0\"}]\n")).yaml()
        let expected = """
            listeners:
              - name: web                                   # t.yaml:1:20
                address: "127.0.0.1:0"                      # t.yaml:1:34
                protocols: [http/1.1]                       # default
            admin:
              address: "127.0.0.1:9901"                     # default
              hosts: []                                     # default
              metrics: true                                 # default
              enabled: true                                 # default

            """
        #expect(yaml.contains(expected))
        for line in yaml.split(separator: "\n") where !line.hasSuffix(":") { #expect(line.contains("  # "), "\(line)") }
    }

    @Test func `a listener's limits and a route's timeouts that are left out are those of the file and of the service`() {
        let found = effective(
            load(
                """
                limits: {request_headers: 7}
                listeners:
                  - {name: a, address: "127.0.0.1:1", limits: {request_body: 5}}
                  - {name: b, address: "127.0.0.1:2", proxy_protocol: {}}
                server: {trusted_proxies: 10.0.0.0/8}
                services: {s: {instances: [{url: "http://h"}], timeouts: {connect: 1s, enabled: false}}, t: {instances: [{url: "http://h"}], timeouts: {idle: 9s}}}
                routes:
                  - {name: r, match: {path: /}, service: s, timeouts: {response: 5s}}
                  - {name: q, match: {path: /q}, service: t, timeouts: {response: 5s}}
                """))
        #expect(found["listeners[0].limits.request_headers"] == "7")
        #expect(found["listeners[0].limits.request_body"] == "5")
        #expect(found["listeners[0].limits.connections"] == nil)
        #expect(found["listeners[1].limits.request_body"] == nil)
        #expect(found["listeners[1].proxy_protocol.trusted"] == "10.0.0.0/8")
        #expect(found["routes[0].timeouts.connect"] == "2s")
        #expect(found["routes[1].timeouts.idle"] == "9s")
        #expect(found["routes[1].timeouts.response"] == "5s")
        #expect(found["services.t.pool.max_connections"] == "100")
    }

    @Test func `what every service has without being told is shown, and what hangs on other keys as it comes out`() throws {
        let text = """
            services:
              s:
                instances: [{url: "http://h"}]
                timeouts: {response: 1m}
                health_check: {interval: 2s}
                adaptive_concurrency: {max: 10}
                fallback: {service: t}
              t:
                instances: [{url: "http://h"}]
                load_balancer: {algorithm: consistent_hash, hash_on: path, sticky: {cookie: c, same_site: none}}
                health_check: {type: tcp}
                circuit_breaker: {enabled: false, window: 3s}
                retry: {backoff: 1s}
                fallback: {status: 503}
            routes:
              - {name: r, match: {path: /}, service: s, circuit_breaker: {open_timeout: 10m, slow_call_duration: 1s}}
              - {name: q, match: {path: /q}, service: t, circuit_breaker: {}, timeouts: {response: 40s}}

            """
        let result = loadRest(text)
        #expect(lines(result) == [])
        let found = effective(result)
        let expected = [
            "services.s.circuit_breaker.failure_threshold": "5", "services.s.circuit_breaker.probe_timeout": "1m",
            "services.s.circuit_breaker.open_timeout_max": "5m", "services.s.retry.attempts": "2",
            "services.s.retry.retry_on": "connect_failure refused_stream stale_connection",
            "services.s.outlier_detection.max_ejected": "50%", "services.s.load_balancer.algorithm": "round_robin",
            "services.s.load_balancer.slow_start": "off",
            "services.s.health_check.timeout": "2s", "services.s.health_check.path": "/health",
            "services.s.adaptive_concurrency.start": "10", "services.s.fallback.service": "t",
            "services.t.load_balancer.bound": "1.25", "services.t.load_balancer.sticky.secure": "true",
            "services.t.circuit_breaker.window": "3s", "services.t.retry.backoff_max": "1s",
            "services.t.fallback.body": "", "services.t.fallback.content_type": "text/plain; charset=utf-8",
            "routes[0].circuit_breaker.open_timeout_max": "10m", "routes[0].circuit_breaker.probe_timeout": "1m",
            "routes[0].circuit_breaker.slow_call_rate_threshold": "100%", "routes[1].circuit_breaker.window": "10s",
            "routes[1].circuit_breaker.probe_timeout": "40s",
        ]
        for (path, value) in expected { #expect(found[path] == value, "\(path)") }
        for path in [
            "services.s.load_balancer.bound", "services.s.circuit_breaker.slow_call_rate_threshold", "services.s.fallback.status",
            "services.t.health_check.path", "services.t.circuit_breaker.failure_threshold", "services.t.adaptive_concurrency.min",
            "services.s.load_balancer.sticky.cookie", "routes[0].fallback.status",
        ] { #expect(found[path] == nil, "\(path)") }
        let again = load(ConfigurationLoader.effective(try #require(result.origin)).yaml())
        #expect(lines(again) == [])
        #expect(again.configuration == result.configuration)
    }

    // Hardening 212.
    @Test func `a planted secret is in nothing that is written out`() throws {
        let secret = "PLANTED-0123456789-0123456789-0123456789"
        let text = """
            listeners: [{name: web, address: "127.0.0.1:0"}]
            admin: {token: \(secret)}
            store: {url: "redis://h", password: \(secret)}
            middlewares:
              a: {jwt: {algorithms: [HS256], secret: \(secret)}}
              b: {custom: {type: t, options: {one: \(secret), two: "${PLAIN}"}}}
              c: {headers: {request: {set: {X-Api-Key: \(secret), X-Other: "a ${BACKEND_TOKEN}"}}, response: {add: {Set-Cookie: \(secret)}}}}
              d: {custom: {type: t, options: {file: "file:FILE"}}}
            services: {s: {instances: [{url: "http://h"}], load_balancer: {sticky: {cookie: c, secret: \(secret)}}, fallback: {body: "${ADMIN_PASSWORD}", headers: {Set-Cookie: \(secret)}}}}
            routes:
              - {name: r, match: {path: /, headers: {Authorization: \(secret), X-Token: [\(secret)]}, query: {key: \(secret)}}, service: s}
              - {name: q, match: {path: /q}, respond: {body: "${ADMIN_PASSWORD}", headers: {Set-Cookie: \(secret)}}}

            """
        let environment = ["PLAIN": secret, "BACKEND_TOKEN": secret, "ADMIN_PASSWORD": secret]
        try withFile(secret) { path in
            let file = text.split(separator: "FILE\"").joined(separator: path + "\"")
            let result = load(file, environment: environment)
            #expect(result.errors == [])
            let found = ConfigurationLoader.effective(try #require(result.origin))
            #expect(!found.yaml().contains("PLANTED"))
            #expect(!found.json().text.contains("PLANTED"))
            #expect(found.yaml().contains("X-Api-Key: \"***\""))
            #expect(!lines(result).joined().contains("PLANTED"))
            let configuration = try #require(result.configuration)
            let other = load(
                file.split(separator: secret).joined(separator: "PLANTED-also-0123456789-0123456789-0123"),
                environment: environment.mapValues { $0 + "x" })
            #expect(other.errors == [])
            let changes = ConfigurationChange.list(from: configuration, to: try #require(other.configuration))
            #expect(changes.contains { $0.path == "admin.token" && $0.kind == .changed })
            #expect(changes.contains { $0.path == "middlewares.b.custom.options.one" })
            #expect(changes.contains { $0.path == "routes.r.match.headers.x-token" })
            #expect(changes.contains { $0.path == "services.s.load_balancer.sticky.secret" && $0.kind == .changed })
            #expect(changes.count >= 12)
            #expect(!"\(changes)".contains("PLANTED"))
            #expect(!"\(ConfigurationChange.list(from: GatewayConfiguration(), to: configuration))".contains("PLANTED"))
        }
    }

    @Test func `a digest is the same for the same origin, and another for any other`() throws {
        let first = try origin("port: 1\nworkers: \"${N:-1}\"\n", ["N": "2"])
        #expect(ConfigurationDigest.text(first, salt: 7) == ConfigurationDigest.text(first, salt: 7))
        #expect(ConfigurationDigest.text(first, salt: 7).utf8.count == 16)
        var other = first
        other.bytes.append(0x0a)
        #expect(ConfigurationDigest.text(other, salt: 7) != ConfigurationDigest.text(first, salt: 7))
        other = first
        other.environment["N"] = "3"
        #expect(ConfigurationDigest.text(other, salt: 7) != ConfigurationDigest.text(first, salt: 7))
        #expect(
            ConfigurationDigest.text(ConfigurationOrigin(file: "f", bytes: [], environment: ["A": "BC"]), salt: 7)
                != ConfigurationDigest.text(ConfigurationOrigin(file: "f", bytes: [], environment: ["AB": "C"]), salt: 7))
        #expect(
            ConfigurationDigest.text(ConfigurationOrigin(file: "f", bytes: [], environment: [:]), salt: 7) == "ca15485cb24c2d4a")
    }
}
