import Configuration
import ConfigurationFile
import Primitives
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
