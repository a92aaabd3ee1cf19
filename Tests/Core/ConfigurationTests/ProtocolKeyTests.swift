import Configuration
import ConfigurationFile
import Health
import Primitives
import Testing

struct ProtocolKeyTests {
    private func listener(_ text: String) throws -> (ListenerConfiguration, [String]) {
        let result = load(
            "listeners: [{name: a, address: \"127.0.0.1:0\", \(text)}]\nroutes: [{name: r, match: {path: /}, health: true}]\n")
        return (try #require(result.configuration).listeners[0], lines(result))
    }

    private func route(_ text: String) throws -> (RouteConfiguration, [String]) {
        let result = loadRest(
            "services: {s: {instances: [{url: \"http://h\"}]}}\nroutes: [{name: r, match: {path: /}, service: s, \(text)}]\n")
        return (try #require(result.configuration).routes[0], lines(result))
    }

    private func service(_ text: String) throws -> (ServiceConfiguration, [String]) {
        let result = loadRest("services: {s: {\(text)}}\nroutes: [{name: r, match: {path: /}, service: s}]\n")
        return (try #require(result.configuration).services[0], lines(result))
    }

    private static let tls = "tls: {certificates: [{cert_file: /c, key_file: /k}]}"

    @Test(
        arguments: [
            ("limits: {}", [.http1]), ("protocols: h2c", [.h2c]), ("protocols: [http/1.1, h2c]", [.http1, .h2c]),
            (tls, [.h2, .http1]), ("protocols: [http/1.1, h2], \(tls)", [.http1, .h2]), ("protocols: http/1.1, \(tls)", [.http1]),
            ("protocols: [h2], \(tls)", [.h2]),
        ] as [(String, [ListenerProtocols.Name])])
    func `a listener speaks what it names, in that order, and by default HTTP/2 over TLS alone`(
        text: String, names: [ListenerProtocols.Name]
    ) throws {
        let (listener, warnings) = try listener(text)
        #expect(warnings == [])
        #expect(listener.protocols.names == names)
        #expect(listener.protocols.http1 == names.contains(.http1))
        #expect(listener.protocols.h2 == names.contains(.h2))
        #expect(listener.protocols.h2c == names.contains(.h2c))
    }

    // Hardening 80, 82, 84.
    @Test func `HTTP/2 has a hundred streams, windows of 256 KiB and 1 MiB, and budgets, unless it says otherwise`() throws {
        let (plain, _) = try listener("protocols: h2c")
        #expect(plain.http2.maxConcurrentStreams == 100)
        #expect(plain.http2.initialWindow == 256 << 10)
        #expect(plain.http2.connectionWindow == 1 << 20)
        #expect(plain.http2.maxResets == 200)
        #expect(plain.http2.maxControlFrames == 100)
        let (own, warnings) = try listener(
            """
            protocols: h2c, http2: {max_concurrent_streams: 10000, initial_window: 65535, connection_window: 16MiB, max_resets: 1,
              max_control_frames: 20}
            """)
        #expect(warnings == [])
        #expect(own.http2.maxConcurrentStreams == 10_000)
        #expect(own.http2.initialWindow == 65_535)
        #expect(own.http2.connectionWindow == 16 << 20)
        #expect(own.http2.maxResets == 1)
        #expect(own.http2.maxControlFrames == 20)
    }

    @Test func `http2 where nobody speaks it, and a window that cannot be used, are warned about`() throws {
        #expect(
            try listener("http2: {}").1 == [
                "t.yaml:1:47: warning: listeners[0].http2: has no effect without h2 or h2c in protocols"
            ])
        #expect(
            try listener("protocols: h2c, http2: {initial_window: 2MiB}").1 == [
                "t.yaml:1:87: warning: listeners[0].http2.initial_window: a request cannot use its initial_window where connection_window is smaller (1MiB)"
            ])
    }

    // Backends.

    @Test func `an instance is spoken to as it says`() throws {
        let (service, warnings) = try service(
            """
            instances: [{url: "http://a", protocol: h2c}, {url: "unix:/b.sock", protocol: h2c}, {url: "unix:/c.sock", protocol: http/1.1},
              {url: "https://d", protocol: h2}, {url: "https://e", protocol: http/1.1}, {url: "http://f", protocol: auto}],
            pool: {max_streams: 7}
            """)
        #expect(warnings == [])
        #expect(service.instances.map(\.protocol) == [.h2c, .h2c, .http1, .h2, .http1, .auto])
        #expect(service.pool.maxStreams == 7)
        #expect(ServiceConfiguration(name: "x", instances: []).pool.maxStreams == 100)
    }

    @Test func `a check of type grpc asks after a service, or the server as a whole`() throws {
        let (named, warnings) = try service(
            "instances: [{url: \"http://h\", protocol: h2c}], health_check: {type: grpc, grpc_service: shop.v1.Cart, interval: 3s}"
        )
        #expect(warnings == [])
        #expect(named.check == .grpc(service: "shop.v1.Cart"))
        #expect(named.health.hasChecks)
        #expect(named.health.interval == .seconds(3))
        let (whole, none) = try service("instances: [{url: \"https://h\", protocol: h2}], health_check: {type: grpc}")
        #expect(none == [])
        #expect(whole.check == .grpc(service: ""))
    }

    @Test func `keys that a type of check does not know are warned about`() throws {
        let (_, grpc) = try service(
            "instances: [{url: \"http://h\", protocol: h2c}], health_check: {type: grpc, path: /h, host: x, expect_status: 200}")
        #expect(
            grpc == [
                "t.yaml:2:90: warning: services.s.health_check.path: has no effect on a check of type grpc",
                "t.yaml:2:100: warning: services.s.health_check.host: has no effect on a check of type grpc",
                "t.yaml:2:109: warning: services.s.health_check.expect_status: has no effect on a check of type grpc",
            ])
        let (http, warnings) = try service("instances: [{url: \"http://h\"}], health_check: {grpc_service: a}")
        #expect(warnings == ["t.yaml:2:63: warning: services.s.health_check.grpc_service: has no effect on a check of type http"])
        #expect(http.check == .http(target: "/health", host: nil, CheckExpectation()))
    }

    @Test func `a gRPC check of an instance that gets its requests over HTTP/1.1 is warned about`() throws {
        #expect(
            try service("instances: [{url: \"http://h:1\"}], health_check: {type: grpc}").1 == [
                "t.yaml:2:71: warning: services.s.health_check.type: the check is made over HTTP/2, while h:1 gets its requests over HTTP/1.1; gRPC needs protocol: h2c there"
            ])
        #expect(try service("instances: [{url: \"https://h\"}], health_check: {type: grpc}").1 == [])
    }

    // Upgrades.

    @Test func `a route lets clients change to the protocols that it lists, without regard to case`() throws {
        let (route, warnings) = try route("upgrade: [WebSocket, IRC/6.9]")
        #expect(warnings == [])
        #expect(route.upgrade == ["websocket", "irc/6.9"])
        #expect(route.allowsWebSocket)
        #expect(try self.route("upgrade: irc").0.allowsWebSocket == false)
        let (none, nothing) = try self.route("upgrade: []")
        #expect(nothing == [])
        #expect(none.upgrade == [])
        #expect(!none.allowsWebSocket)
        #expect(none.webSocket == nil)
    }

    // Hardening 107.
    @Test
    func
        `a WebSocket is for pages of the request's own host, and ends after an hour without a byte, unless the route says otherwise`()
        throws
    {
        let standard = try #require(try route("upgrade: websocket").0.webSocket)
        #expect(standard.origins == [])
        #expect(standard.idleTimeout == .seconds(3600))
        let (route, warnings) = try route(
            "upgrade: websocket, websocket: {origins: [\"https://App.example.com\", \"https://*.example.org\"], idle_timeout: 5m}"
        )
        #expect(warnings == [])
        #expect(route.webSocket?.origins == ["https://app.example.com", "https://*.example.org"])
        #expect(route.webSocket?.idleTimeout == .seconds(300))
        let endless = try self.route("upgrade: websocket, websocket: {origins: \"*\", idle_timeout: \"off\"}").0.webSocket
        #expect(endless?.origins == ["*"])
        #expect(endless?.idleTimeout == .forever)
    }

    @Test(
        arguments: [
            ("websocket: {}", "t.yaml:3:50: warning: routes[0].websocket: has no effect without upgrade: [websocket]"),
            (
                "upgrade: irc, websocket: {origins: \"*\"}",
                "t.yaml:3:76: warning: routes[0].websocket.origins: has no effect without websocket in upgrade"
            ),
            (
                "upgrade: websocket, websocket: {origins: [\"null\"]}",
                "t.yaml:3:92: warning: routes[0].websocket.origins[0]: null is the origin of every sandboxed page, whoever wrote it"
            ),
        ])
    func `what means nothing beside the upgrades of a route is warned about`(text: String, warning: String) throws {
        #expect(try route(text).1 == [warning])
    }

    @Test func `upgrades on a route without a service are warned about`() {
        let result = loadRest(
            "routes: [{name: r, match: {path: /}, health: true, upgrade: websocket, websocket: {idle_timeout: 1m}}]\n")
        #expect(
            lines(result) == [
                "t.yaml:2:52: warning: routes[0].upgrade: has no effect on a route without a service",
                "t.yaml:2:72: warning: routes[0].websocket: has no effect on a route without a service",
            ])
        #expect(result.configuration?.routes[0].upgrade == [])
    }

    // Clients by their certificate.

    private static let asking =
        "listeners: [{name: a, address: \"127.0.0.1:0\", tls: {certificates: [{cert_file: /c, key_file: /k}], client_auth: {ca_file: /ca}}}]\n"
    private static let rest = "routes: [{name: r, match: {path: /}, health: true, middlewares: m}]\n"

    @Test func `the rules on a client's certificate are read in one form`() throws {
        let digits = String(repeating: "Ab", count: 32)
        let parted = Array(repeating: "AB", count: 32).joined(separator: ":")
        let result = load(
            Self.asking
                + """
                middlewares:
                  m:
                    client_cert:
                      subjects: ["CN=device-7,O=Example"]
                      sans: [DNS:A.Example.com, "URI:spiffe://example.org/Web", "email:me@Example.org", "IP:2001:DB8:0::1", "DNS:*.b.example"]
                      fingerprints: [\(digits), "\(parted)"]
                """ + "\n" + Self.rest)
        #expect(lines(result) == [])
        guard case .clientCertificate(let rules)? = result.configuration?.middlewares.first?.kind else {
            Issue.record("no rules")
            return
        }
        #expect(rules.subjects == ["CN=device-7,O=Example"])
        #expect(
            rules.sans.map(\.text) == [
                "DNS:a.example.com", "URI:spiffe://example.org/Web", "email:me@Example.org", "IP:2001:db8::1", "DNS:*.b.example",
            ])
        #expect(rules.sans.map(\.kind) == [.dns, .uri, .email, .ip, .dns])
        #expect(rules.fingerprints == Array(repeating: String(repeating: "ab", count: 32), count: 2))
    }

    @Test func `rules on certificates that no listener asks for are warned about`() {
        let rules = "middlewares: {m: {client_cert: {subjects: CN=a}}}\n"
        #expect(
            lines(loadRest(rules + Self.rest)) == [
                "t.yaml:2:32: warning: middlewares.m.client_cert: no listener asks clients for a certificate (tls.client_auth): every request gets 403"
            ])
        #expect(lines(load(Self.asking + rules + Self.rest)) == [])
        // Nobody's route.
        #expect(lines(loadRest(rules + "routes: [{name: r, match: {path: /}, health: true}]\n")) == [])
    }

    @Test func `a route whose rules on certificates are switched off is open, which is warned about`() {
        let rules = "middlewares: {m: {client_cert: {subjects: CN=a, enabled: false}}}\n"
        #expect(
            lines(loadRest(rules + Self.rest)) == [
                "t.yaml:3:65: warning: routes[0].middlewares: the middleware \"m\" (client_cert) is switched off: the route is open"
            ])
    }

    @Test func `a header can tell a backend who the client is by its certificate`() throws {
        let result = loadRest(
            "middlewares: {m: {headers: {request: {set: {X-Client: \"${client_cert_subject} ${client_cert_san} ${client_cert_fingerprint}\"}}}}}\n"
        )
        #expect(result.errors == [])
        guard case .headers(let rules)? = result.configuration?.middlewares.first?.kind else {
            Issue.record("no rules")
            return
        }
        let blank = HeaderValuePiece.literal([0x20])
        #expect(
            rules.request.set[0].value == [
                .variable(.clientCertSubject), blank, .variable(.clientCertSAN), blank, .variable(.clientCertFingerprint),
            ])
    }

    // What is in force, and what changes.

    @Test func `what counts for TLS, HTTP/2 and tunnels without being written is told`() {
        let result = load(
            """
            listeners:
              - {name: a, address: "127.0.0.1:1", tls: {certificates: [{cert_file: /c, key_file: /k}], client_auth: {ca_file: /ca, mode: optional}}}
              - {name: b, address: "127.0.0.1:2"}
              - {name: c, address: "127.0.0.1:3", protocols: h2c, http2: {max_resets: 5}}
            services:
              s: {instances: [{url: "https://h"}], tls: {insecure_skip_verify: true}}
              t: {instances: [{url: "https://h"}], tls: {ca_file: /ca}}
            routes:
              - {name: r, match: {path: /}, service: s, upgrade: websocket}
              - {name: q, match: {path: /q}, service: t}
            """)
        let found = effective(result)
        let expected = [
            "listeners[0].protocols": "h2 http/1.1", "listeners[1].protocols": "http/1.1", "listeners[2].protocols": "h2c",
            "listeners[0].tls.min_version": "1.2", "listeners[0].tls.ticket_rotation": "12h",
            "listeners[0].tls.client_auth.mode": "optional", "listeners[0].tls.client_auth.depth": "3",
            "listeners[0].tls.client_auth.forward": "true", "listeners[0].tls.strict_sni": "false",
            "listeners[0].http2.max_concurrent_streams": "100", "listeners[0].http2.initial_window": "256KiB",
            "listeners[2].http2.max_resets": "5", "listeners[2].http2.connection_window": "1MiB",
            "services.s.tls.insecure_skip_verify": "true", "services.t.tls.verify": "true", "services.s.pool.max_streams": "100",
            "services.s.instances[0].protocol": "auto", "routes[0].websocket.idle_timeout": "1h",
            "routes[0].websocket.origins": "",
        ]
        for (path, text) in expected { #expect(found[path] == text, "\(path)") }
        // The older name stands for it.
        #expect(found["services.s.tls.verify"] == nil)
        #expect(found["listeners[1].http2.max_resets"] == nil)
        #expect(found["routes[1].websocket.idle_timeout"] == nil)
        #expect(sources(result)["listeners[0].protocols"] == "default")
    }

    @Test func `what is in force can be loaded again where an older name stands for a key`() throws {
        let text = """
            listeners: [{name: a, address: "127.0.0.1:1"}]
            services: {s: {instances: [{url: "https://h"}], tls: {insecure_skip_verify: true}}}
            routes: [{name: r, match: {path: /}, service: s}]

            """
        let yaml = ConfigurationLoader.effective(try #require(load(text).origin)).yaml()
        let again = load(yaml)
        #expect(again.errors == [])
        #expect(again.configuration == load(text).configuration)
    }

    @Test func `changes of TLS, protocols and tunnels are told by their keys`() throws {
        let before = """
            listeners: [{name: a, address: "127.0.0.1:1", tls: {certificates: [{cert_file: /c, key_file: /k}]}}]
            services: {s: {instances: [{url: "https://h", protocol: h2}, {url: "http://g"}], tls: {ca_file: /ca}}}
            routes: [{name: r, match: {path: /}, service: s, upgrade: websocket}]

            """
        let after = """
            listeners: [{name: a, address: "127.0.0.1:1", protocols: http/1.1, tls: {certificates: [{cert_file: /d, key_file: /k, names: x.example}], client_auth: {ca_file: /ca}}}]
            services: {s: {instances: [{url: "https://h"}, {url: "https://g"}], tls: {server_name: n.example}, pool: {max_streams: 5}}}
            routes: [{name: r, match: {path: /}, service: s, upgrade: websocket, websocket: {origins: "https://o.example"}}]

            """
        let changes = ConfigurationChange.list(
            from: try #require(load(before).configuration), to: try #require(load(after).configuration)
        ).map { "\($0.kind.rawValue) \($0.path) \($0.from ?? "-") \($0.to ?? "-")" }
        for line in [
            "changed listeners.a.protocols [h2, http/1.1] [http/1.1]", "changed listeners.a.tls.certificates[0].cert_file /c /d",
            "changed listeners.a.tls.certificates[0].names [] [x.example]", "added listeners.a.tls.client_auth.ca_file - /ca",
            "removed listeners.a.http2.max_resets 200 -", "changed services.s.pool.max_streams 100 5",
            "removed services.s.tls.ca_file /ca -", "added services.s.tls.server_name - n.example",
            "changed services.s.instances.https://h:443.protocol h2 auto", "added services.s.instances.https://g:443 - -",
            "removed services.s.instances.g:80 - -", "changed routes.r.websocket.origins [] [https://o.example]",
        ] {
            #expect(changes.contains(line), "\(line) in \(changes.joined(separator: "\n"))")
        }
    }
}
