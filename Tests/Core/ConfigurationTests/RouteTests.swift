import Configuration
import Primitives
import Testing

struct RouteTests {
    private let service = "services: {s: {instances: [{url: \"http://h\"}], timeouts: {response: 9s, connect: 1s}}}\n"

    private func route(_ text: String) throws -> RouteConfiguration {
        let result = loadRest(service + "routes: [{name: r, \(text)}]\n")
        #expect(lines(result) == [])
        return try #require(result.configuration).routes[0]
    }

    @Test func `all conditions of a match are read`() throws {
        let match = try route(
            """
            match: {path: "/u/{id}", host: [A.example.com, "*.B.com"], methods: [GET, PURGE],
                headers: {X-Tenant: [blue, green], X-A: "1", X-B: {present: true}, X-C: {present: false}},
                query: {q: "", Page: {present: true}}}, service: s
            """
        ).match
        #expect(match.path == "/u/{id}")
        #expect(match.hosts == ["a.example.com", "*.b.com"])
        #expect(match.methods == ["GET", "PURGE"])
        #expect(
            match.headers == [
                ValueCondition(name: "x-tenant", test: .anyOf(["blue", "green"])),
                ValueCondition(name: "x-a", test: .anyOf(["1"])),
                ValueCondition(name: "x-b", test: .present), ValueCondition(name: "x-c", test: .absent),
            ])
        #expect(match.query == [ValueCondition(name: "q", test: .anyOf([""])), ValueCondition(name: "Page", test: .present)])
    }

    @Test func `a star among the hosts means every host`() throws {
        #expect(try route("match: {path: /, host: [a.com, \"*\"]}, service: s").match.hosts == [])
    }

    @Test func `a route's timeouts are laid over those of its service`() throws {
        let timeouts = try route("match: {path: /}, service: s, timeouts: {response: off}").timeouts
        #expect(timeouts.response == .forever)
        #expect(timeouts.connect == .seconds(1))
        #expect(timeouts.idle == .seconds(30))
    }

    @Test func `body limits of a route are its own, none, or the listener's`() throws {
        #expect(try route("match: {path: /}, service: s, limits: {request_body: 5m}").requestBody == .bytes(5 << 20))
        #expect(try route("match: {path: /}, service: s, limits: {request_body: 0}").requestBody == .unlimited)
        #expect(try route("match: {path: /}, service: s, limits: {}").requestBody == .ofListener)
    }

    @Test func `prefixes and rewrites are read, a slash at a prefix's end dropped`() throws {
        #expect(
            try route("match: {path: \"/api/*\"}, service: s, path: {strip_prefix: /api/, add_prefix: /v2/}").path.rewrite
                == .prefix(strip: "/api", add: "/v2"))
        #expect(
            try route("match: {path: \"/api/{id}/*\"}, service: s, path: {rewrite: \"/{id}/*\"}").path.rewrite
                == .replace("/{id}/*"))
        #expect(try route("match: {path: /}, service: s, path: {encoded_slash: decode}").path.encodedSlash == .decode)
    }

    @Test func `a prefix that no path of the route begins with is warned about`() {
        let result = loadRest(
            service + "routes: [{name: r, match: {path: \"/api/*\"}, service: s, path: {strip_prefix: /aip}}]\n")
        #expect(lines(result) == ["t.yaml:3:78: warning: routes[0].path.strip_prefix: no path of this route begins with /aip"])
    }

    @Test func `a redirect keeps its parts`() throws {
        let all = try route(
            "match: {path: \"/a/{id}/*\"}, redirect: {to: \"${scheme}://${host}/b/{id}/*\", status: 308, keep_query: false}")
        var wanted = RedirectConfiguration(to: [
            .scheme, .literal(Array("://".utf8)), .host, .literal(Array("/b/".utf8)), .segment("id"), .literal([0x2f]), .rest,
        ])
        wanted.status = 308
        wanted.keepQuery = false
        #expect(all.action == .redirect(wanted))
        #expect(
            try route("match: {path: /a}, redirect: {to: \"https://${host}${path}\"}").action
                == .redirect(RedirectConfiguration(to: [.literal(Array("https://".utf8)), .host, .path])))
    }

    @Test func `a fixed answer is read`() throws {
        let action = try route(
            "match: {path: /a}, respond: {status: 404, body: \"no $$5\", content_type: text/html, headers: {X-A: b}}"
        ).action
        var wanted = FixedResponse()
        wanted.status = 404
        wanted.body = Array("no $5".utf8)
        wanted.contentType = "text/html"
        wanted.headers = [HeaderLine(name: "X-A", value: [0x62])]
        #expect(action == .respond(wanted))
    }

    @Test func `metrics are for loopback and the private networks unless the route says otherwise`() throws {
        guard case .metrics(let blocks) = try route("match: {path: /m}, metrics: true").action else {
            Issue.record("not metrics")
            return
        }
        let inside = ["127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1"].compactMap { IPAddress($0) }
        let outside = ["8.8.8.8", "172.32.0.1", "2001:db8::1", "fe80::1"].compactMap { IPAddress($0) }
        #expect(inside.count == 6 && inside.allSatisfy { address in blocks.contains { $0.contains(address) } })
        #expect(outside.count == 4 && outside.allSatisfy { address in !blocks.contains { $0.contains(address) } })
        #expect(
            try route("match: {path: /m}, metrics: {allow: 10.0.0.0/8}").action
                == .metrics(allow: [try #require(AddressBlock("10.0.0.0/8"))]))
    }

    @Test func `maintenance is read in all its forms, the route's before the service's`() throws {
        #expect(
            try route("match: {path: /}, service: s, maintenance: true").maintenance
                == .on(message: "The service is down for maintenance.", retryAfter: .seconds(60)))
        #expect(
            try route("match: {path: /}, service: s, maintenance: {message: Soon, retry_after: 5m}").maintenance
                == .on(message: "Soon", retryAfter: .seconds(300)))
        #expect(try route("match: {path: /}, service: s, maintenance: {enabled: false}").maintenance == .off)
        let result = loadRest(
            "services: {s: {instances: [{url: \"http://h\"}], maintenance: {message: All}}}\n"
                + "routes: [{name: a, match: {path: /}, service: s}, {name: b, match: {path: /b}, service: s, maintenance: {message: Own}}]\n"
        )
        #expect(
            result.configuration?.routes.map(\.maintenance)
                == [.on(message: "All", retryAfter: .seconds(60)), .on(message: "Own", retryAfter: .seconds(60))])
    }

    @Test func `keys for a backend on a route without one are warned about`() {
        let result = loadRest(
            "routes: [{name: r, match: {path: /}, health: true, timeouts: {connect: 1s}, path: {add_prefix: /x}}]\n")
        #expect(
            lines(result) == [
                "t.yaml:2:52: warning: routes[0].timeouts: has no effect on a route without a service",
                "t.yaml:2:84: warning: routes[0].path.add_prefix: has no effect on a route without a service",
            ])
    }

    @Test func `the places of routes are those of their matches, without the routes that are off`() throws {
        let result = loadRest(
            "routes:\n  - {name: a, enabled: false, match: {path: /a}, health: true}\n  - {name: b, match: {path: /b}, health: true}\n"
        )
        #expect(
            result.places.routes == [LoadResult.Place(mark: Mark(file: "t.yaml", line: 4, column: 22), path: "routes[1].match")])
    }

    @Test func `a hundred thousand routes are read, and one more refused`() throws {
        func routes(_ count: Int) -> String {
            "routes:\n" + (0..<count).map { "- {name: r\($0), match: {path: /p\($0)}, health: true}\n" }.joined()
        }
        #expect(loadRest(routes(100_000)).configuration?.routes.count == 100_000)
        #expect(loadRest(routes(100_001)).errors.map(\.message) == ["has 100001 entries, which is more than 100000"])
    }
}
