import Configuration
import ConfigurationFile
import Primitives
import Testing

struct LoadTests {
    @Test func `a file that says nothing has the documented defaults`() throws {
        let result = loadRest(
            "services: {s: {instances: [{url: \"http://h\"}]}}\nroutes: [{name: r, match: {path: \"/*\"}, service: s}]\n")
        let configuration = try #require(result.configuration)
        #expect(lines(result) == [])
        #expect(configuration.server == ServerConfiguration())
        let server = configuration.server
        #expect(server.workers == .automatic)
        #expect(server.drainTimeout == .seconds(30))
        #expect(server.requestID.header == "X-Request-ID")
        #expect(server.requestID.trust == .trustedProxies)
        #expect(server.headers.underscores == .drop)
        #expect(configuration.admin.enabled)
        #expect(configuration.admin.address.text == "127.0.0.1:9901")
        #expect(configuration.admin.token.isEmpty)
        let limits = try #require(configuration.listeners.first).limits
        #expect(limits.requestTargetBytes == 8192)
        #expect(limits.requestHeaderBytes == 65536)
        #expect(limits.requestFieldBytes == 16384)
        #expect(limits.requestHeaders == 100)
        #expect(limits.requestBodyBytes == 10_485_760)
        #expect(limits.headerTimeout == .seconds(10))
        #expect(limits.bodyIdleTimeout == .seconds(30))
        #expect(limits.bodyMinRate == 500)
        #expect(limits.writeTimeout == .seconds(60))
        #expect(limits.keepaliveTimeout == .seconds(75))
        #expect(limits.requestsPerConnection == 10_000)
        #expect(limits.connections == .automatic)
        #expect(limits.connectionsPerClient == 256)
        #expect(limits.connectionMaxAge == .forever)
        #expect(configuration.accessLog.format == .json)
        #expect(configuration.accessLog.output == .standardOutput)
        let service = try #require(configuration.services.first)
        #expect(service.timeouts.connect == .seconds(2))
        #expect(service.timeouts.response == .seconds(30))
        #expect(service.timeouts.idle == .seconds(30))
        #expect(service.timeouts.request == .forever)
        #expect(service.pool.maxConnections == 100)
        #expect(service.pool.idleTimeout == .seconds(30))
        #expect(service.pool.maxRequestsPerConnection == 10_000)
        #expect(service.queue.maxPending == 1024)
        #expect(service.queue.timeout == .seconds(1))
        #expect(service.passHost == .fromClient)
        #expect(service.resolveInterval == .seconds(5))
        #expect(service.instances == [InstanceConfiguration(address: .name("h", port: 80))])
        let route = try #require(configuration.routes.first)
        #expect(route.action == .service(0))
        #expect(route.path == PathPolicy())
        #expect(route.path.encodedSlash == .reject)
        #expect(route.requestBody == .ofListener)
        #expect(route.allowBody)
        #expect(route.maintenance == .off)
    }

    @Test func `the benchmark's configuration loads`() throws {
        let text = """
            server: {workers: 1, log_level: warn}
            listeners:
              - name: bench
                address: "127.0.0.1:9000"
                protocols: [http/1.1]
            admin: {address: "127.0.0.1:9001"}
            limits: {connections: 12000, connections_per_client: 12000, requests_per_connection: 100000000, keepalive_timeout: 300s}
            access_log: {output: none}
            services:
              up:
                instances: [{url: "http://127.0.0.1:9002"}]
                pool: {max_connections: 1024}
            routes:
              - name: r0
                match: {path: "/*"}
                service: up
                middlewares: []

            """
        let result = load(text)
        #expect(lines(result) == [])
        let configuration = try #require(result.configuration)
        #expect(configuration.server.workers == .fixed(1))
        #expect(configuration.listeners.first?.limits.connections == .fixed(12_000))
        #expect(configuration.listeners.first?.limits.keepaliveTimeout == .seconds(300))
        #expect(configuration.accessLog.output == .off)
    }

    @Test func `a listener's limits are laid over those of the file`() throws {
        let result = load(
            """
            limits: {request_headers: 50, request_body: 1MiB}
            listeners:
              - {name: a, address: "127.0.0.1:1", limits: {request_body: 0, connection_max_age: 1h}}
              - {name: b, address: "127.0.0.1:2", limits: {enabled: false, request_body: 5}}
              - {name: c, address: "127.0.0.1:3", enabled: false}
            """)
        let listeners = try #require(result.configuration).listeners
        #expect(listeners.map(\.name) == ["a", "b"])
        #expect(listeners.map(\.limits.requestHeaders) == [50, 50])
        #expect(listeners.map(\.limits.requestBodyBytes) == [.max, 1 << 20])
        #expect(listeners.map(\.limits.connectionMaxAge) == [.seconds(3600), .forever])
        #expect(result.places.listeners.map(\.path) == ["listeners[0].address", "listeners[1].address"])
    }

    @Test func `addresses of all kinds are read`() throws {
        let result = load(
            """
            listeners:
              - {name: a, address: "[::]:8443"}
              - {name: b, address: "unix:/run/x.sock"}
              - {name: c, address: "localhost:80"}
            services:
              s:
                instances:
                  - {url: "http://10.0.0.5:8080"}
                  - {url: "http://[2001:DB8::1]/"}
                  - {url: "http://App_1.Local:9"}
                  - {url: "unix:/run/app.sock"}
            routes: [{name: r, match: {path: /}, service: s}]
            """)
        let configuration = try #require(result.configuration)
        #expect(configuration.listeners.map(\.address.text) == ["[::]:8443", "unix:/run/x.sock", "127.0.0.1:80"])
        #expect(configuration.listeners.map(\.address.isLocal) == [false, true, true])
        let instances = configuration.services[0].instances
        #expect(instances.map(\.id) == ["10.0.0.5:8080", "[2001:db8::1]:80", "app_1.local:9", "unix:/run/app.sock"])
        #expect(instances.map(\.hostField) == ["10.0.0.5:8080", "[2001:db8::1]", "app_1.local:9", "localhost"])
    }

    @Test func `durations and sizes are read in every unit`() throws {
        func keepalive(_ text: String) throws -> TimeAmount {
            try #require(loadRest("limits: {keepalive_timeout: \(text)}\n").configuration).limits.keepaliveTimeout
        }
        #expect(try keepalive("250ms") == .milliseconds(250))
        #expect(try keepalive("5") == .seconds(5))
        #expect(try keepalive("5s") == .seconds(5))
        #expect(try keepalive("2m") == .seconds(120))
        #expect(try keepalive("3h") == .seconds(10_800))
        #expect(try keepalive("1d") == .seconds(86_400))
        func body(_ text: String) throws -> Int {
            try #require(loadRest("limits: {request_body: \(text)}\n").configuration).limits.requestBodyBytes
        }
        #expect(try body("512") == 512)
        #expect(try body("16KiB") == 16_384)
        #expect(try body("64k") == 65_536)
        #expect(try body("1m") == 1 << 20)
        #expect(try body("2GiB") == 2 << 30)
        #expect(try body("0") == .max)
    }

    @Test func `an https instance and TLS may stand where they are switched off`() throws {
        let result = load(
            """
            listeners:
              - {name: a, address: "127.0.0.1:1"}
              - {name: b, address: "127.0.0.1:2", enabled: false, tls: {certificates: [{cert_file: a, key_file: b}]}}
            services:
              s: {enabled: false, instances: [{url: "https://h"}], health_check: {}}
              t: {instances: [{url: "http://h"}, {url: "https://i", enabled: false}]}
            routes: [{name: r, match: {path: /}, service: s}, {name: q, match: {path: /q}, service: t, enabled: false}]
            """)
        #expect(lines(result) == [])
        let configuration = try #require(result.configuration)
        #expect(configuration.services.map(\.enabled) == [false, true])
        #expect(configuration.services[1].instances.count == 1)
        #expect(configuration.routes.count == 1)
        // A service that is switched off answers, rather than to be found out by a 404.
        #expect(configuration.routes[0].maintenance == .on(message: "The service is switched off.", retryAfter: .seconds(60)))
    }

    @Test func `what is switched off is checked all the same`() {
        #expect(
            loadRest("routes: [{name: r, enabled: false, match: {path: /}, service: nobody}]\n").errors.map(\.message) == [
                "there is no service \"nobody\""
            ])
    }

    @Test func `a file in which only lines moved compares equal`() {
        let text = "listeners: [{name: a, address: \"127.0.0.1:1\"}]\nroutes: [{name: r, match: {path: /}, health: true}]\n"
        #expect(load(text).configuration == load("# moved\n\n" + text).configuration)
        #expect(load(text).places != load("# moved\n\n" + text).places)
        #expect(load(text).configuration != load(text.replacing(":1\"", with: ":2\"")).configuration)
    }

    @Test func `a rate limit is a warning, and the route goes on without it`() throws {
        let result = loadRest(
            """
            middlewares:
              limit: {rate_limit: {key: ip, rate: 100/s, burst: 100}}
              small: {body_size: {max: 1KiB}}
            routes: [{name: r, match: {path: /}, health: true, middlewares: [limit, small]}]
            """)
        #expect(
            lines(result) == [
                "t.yaml:3:11: warning: middlewares.limit.rate_limit: rate_limit is accepted, but has no effect in this version"
            ])
        let configuration = try #require(result.configuration)
        #expect(configuration.middlewares == [MiddlewareConfiguration(name: "small", kind: .bodySize(max: 1024))])
        #expect(configuration.routes[0].middlewares == [0])
    }

    @Test func `what will have no effect, or not the one that was meant, is warned about`() throws {
        let result = loadRest(
            """
            middlewares:
              users: {jwt: {algorithms: [RS256], jwks_url: "http://issuer/keys"}}
            services:
              a: {instances: [{url: "http://h:1", weight: 0, version: v}], load_balancer: {algorithm: consistent_hash, hash_on: user}}
            routes: [{name: r, match: {path: /}, service: a}]
            store: {url: "redis://127.0.0.1:6379/0"}
            """)
        #expect(
            lines(result) == [
                "t.yaml:3:11: warning: middlewares.users.jwt: jwt is accepted, but has no effect in this version",
                "t.yaml:3:48: warning: middlewares.users.jwt.jwks_url: keys are fetched without encryption",
                "t.yaml:5:18: warning: services.a.instances: every weight is 0: no instance takes requests",
                "t.yaml:5:117: warning: services.a.load_balancer.hash_on: hash_on user is accepted, but has no effect in this version",
                "t.yaml:7:1: warning: store: store is accepted, but has no effect in this version",
            ])
        #expect(result.configuration != nil)
        #expect(result.warnings.count == 5)
        let service = try #require(result.configuration?.services.first)
        // There is nothing to place a request by.
        #expect(service.balancer.algorithm == .roundRobin)
        #expect(service.hashSource == nil)
    }

    @Test func `warnings beyond fifty are counted`() {
        let routes = (0..<70).map { "  - {name: r\($0), match: {path: /\($0)}, health: true, timeouts: {}}\n" }.joined()
        let result = loadRest("routes:\n" + routes)
        #expect(result.diagnostics.count == 51)
        #expect(result.diagnostics.last?.message == "20 more warnings are not shown")
        #expect(result.configuration?.routes.count == 70)
    }

    @Test func `authentication that is switched off by hand leaves a warning at each route`() {
        let result = loadRest(
            """
            middlewares: {users: {enabled: false, jwt: {algorithms: [RS256], jwks_file: /j}}}
            routes: [{name: r, match: {path: /}, health: true, middlewares: users}]
            """)
        #expect(
            lines(result) == [
                "t.yaml:3:65: warning: routes[0].middlewares: the middleware \"users\" (jwt) is switched off: the route is open"
            ])
        #expect(result.configuration != nil)
    }
}

extension String {
    fileprivate func replacing(_ old: String, with new: String) -> String {
        var result = self[...]
        var out = ""
        while !result.isEmpty {
            if result.hasPrefix(old) {
                out += new
                result = result.dropFirst(old.count)
            } else {
                out.append(result.removeFirst())
            }
        }
        return out
    }
}
