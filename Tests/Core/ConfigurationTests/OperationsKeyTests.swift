import Configuration
import ConfigurationFile
import Primitives
import Testing

struct OperationsKeyTests {
    @Test(arguments: [
        ("stdout", LogOutput.standardOutput), ("stderr", .standardError), ("none", .off), ("/var/log/a", .file("/var/log/a")),
        ("journald", .journald), ("syslog+udp://Log.Example", .syslog(.udp(host: "log.example", port: 514))),
        ("syslog+udp://10.0.0.1:1514", .syslog(.udp(host: "10.0.0.1", port: 1514))),
        ("syslog+tcp://[::1]", .syslog(.tcp(host: "::1", port: 601))),
        ("syslog+tcp://h:6514", .syslog(.tcp(host: "h", port: 6514))), ("syslog+unix:/dev/log", .syslog(.unix(path: "/dev/log"))),
    ])
    func `a log output of each kind is read, and written as it was`(text: String, output: LogOutput) {
        #expect(loadRest("access_log: {output: \"\(text)\"}\n").configuration?.accessLog.output == output)
        #expect(loadRest("access_log: {output: \"\(output.text)\"}\n").configuration?.accessLog.output == output)
        if output != .off { #expect(loadRest("server: {log_output: \"\(text)\"}\n").configuration?.server.logOutput == output) }
    }

    @Test(arguments: [
        "syslog+udp://h:0", "syslog+tcp://a b", "syslog+tcp://", "syslog+udp://::1", "syslog://h", "syslog+unix:x", "",
    ])
    func `a log output that leads nowhere is refused`(text: String) {
        #expect(loadRest("access_log: {output: \"\(text)\"}\n").errors.count == 1)
    }

    @Test func `the keys of the process are read`() throws {
        let result = loadRest("server: {drain_delay: 5s, pid_file: /run/s.pid}\nadmin: {hosts: GW.Example, metrics: false}\n")
        let configuration = try #require(result.configuration)
        #expect(configuration.server.drainDelay == .seconds(5))
        #expect(configuration.server.pidFile == "/run/s.pid")
        #expect(configuration.admin.hosts == ["gw.example"])
        #expect(configuration.admin.metrics == false)
        #expect(ServerConfiguration().drainDelay == .zero)
        #expect(ServerConfiguration().pidFile == nil)
        #expect(ServerConfiguration().logOutput == .standardError)
        #expect(AdminConfiguration().metrics)
    }

    @Test func `fields to log and names to mask are read`() throws {
        let log = try #require(
            loadRest("access_log: {request_headers: [User-Agent, Referer], redact: ssn}\n").configuration
        ).accessLog
        #expect(log.requestHeaders == ["User-Agent", "Referer"])
        #expect(log.redact == ["ssn"])
    }

    @Test func `PROXY headers are taken from those who are named, else from the trusted proxies, and on a socket from all`()
        throws
    {
        let text = """
            server: {trusted_proxies: 192.0.2.0/24}
            listeners:
              - {name: a, address: "127.0.0.1:1", proxy_protocol: {trusted: 10.0.0.0/8}}
              - {name: b, address: "127.0.0.1:2", proxy_protocol: {}}
              - {name: c, address: "127.0.0.1:3"}
              - {name: d, address: "127.0.0.1:4", proxy_protocol: {enabled: false}}
              - {name: e, address: "unix:/run/x.sock", proxy_protocol: {trusted: []}}

            """
        let listeners = try #require(load(text).configuration).listeners
        #expect(
            listeners.map { $0.proxyProtocol?.map(\.text) } == [["10.0.0.0/8"], ["192.0.2.0/24"], nil, nil, []])
    }

    @Test func `a short token is warned about where only this machine comes`() {
        #expect(
            lines(loadRest("admin: {token: fifteen-bytes-x}\n")).last
                == "t.yaml:2:16: warning: admin.token: a token of 15 bytes can be guessed; at least 16 are better")
        #expect(loadRest("admin: {token: sixteen-bytes-xx}\n").warnings.count == 1)
        #expect(loadRest("admin: {address: \"0.0.0.0:1\", token: sixteen-bytes-xx}\n").errors == [])
        #expect(loadRest("admin: {enabled: false, address: \"0.0.0.0:1\", token: x}\n").errors == [])
    }

    @Test func `CORS is built, with origins in lower case and its defaults`() throws {
        let text = """
            middlewares:
              a:
                cors:
                  allow_origins: [HTTPS://App.Example, "https://*.example.org:8443", "http://[::1]:80", "http://127.0.0.1", "capacitor://localhost"]
              b: {cors: {allow_origins: "*", allow_methods: PUT, allow_headers: X-A, expose_headers: [X-B], max_age: 5}}
              c: {cors: {allow_origins: [https://x], allow_credentials: true, enabled: false}}

            """
        #expect(loadRest(text).errors.map(\.suggestion) == ["http://[::1]"])
        let result = loadRest(text.split(separator: ":80\"").joined(separator: ":81\""))
        let kinds = try #require(result.configuration).middlewares.map(\.kind)
        var first = CORSConfiguration(
            allowOrigins: [
                "https://app.example", "https://*.example.org:8443", "http://[::1]:81", "http://127.0.0.1",
                "capacitor://localhost",
            ])
        first.allowMethods = ["GET", "HEAD", "POST"]
        first.maxAge = .seconds(600)
        var second = CORSConfiguration(allowOrigins: ["*"])
        second.allowMethods = ["PUT"]
        second.allowHeaders = ["X-A"]
        second.exposeHeaders = ["X-B"]
        second.maxAge = .seconds(5)
        #expect(kinds == [.cors(first), .cors(second)])
        #expect(loadRest("middlewares: {a: {cors: {allow_origins: null}}}\n").errors.count == 1)
        #expect(
            lines(loadRest("middlewares: {a: {cors: {allow_origins: \"null\"}}}\n")).contains {
                $0.hasSuffix(
                    "warning: middlewares.a.cors.allow_origins: null is the origin of every sandboxed page, whoever wrote it")
            })
    }

    @Test func `an access list is built, and a route whose list is switched off is warned about`() throws {
        let text = """
            middlewares:
              a: {ip_access: {allow: 10.0.0.0/8, deny: ["10.1.0.0/16", "::1"]}}
              b: {enabled: false, ip_access: {deny: 10.0.0.0/8}}
            routes: [{name: r, match: {path: /}, health: true, middlewares: [a, b]}]

            """
        let result = loadRest(text)
        let allow = try #require(AddressBlock("10.0.0.0/8"))
        let deny = try ["10.1.0.0/16", "::1"].map { try #require(AddressBlock($0)) }
        #expect(result.configuration?.middlewares.map(\.kind) == [.ipAccess(allow: [allow], deny: deny)])
        #expect(result.configuration?.routes.first?.middlewares == [0])
        #expect(
            lines(result) == [
                "t.yaml:5:69: warning: routes[0].middlewares[1]: the middleware \"b\" (ip_access) is switched off: the route is open"
            ])
    }

    @Test func `a custom middleware has its options as text, from the environment and from files`() {
        withFile("from the file\n") { path in
            let text = """
                middlewares:
                  a: {custom: {type: tenant-check, options: {n: 5, t: true, s: "", e: "x${E}", f: "file:\(path)"}}}
                  b: {custom: {type: other}, enabled: false}
                routes: [{name: r, match: {path: /}, health: true, middlewares: [a, b]}]

                """
            let result = loadRest(text, environment: ["E": "$${y}"])
            let options = [("n", "5"), ("t", "true"), ("s", ""), ("e", "x$${y}"), ("f", "from the file")].map {
                CustomOption(name: $0.0, value: $0.1, isSecret: ["e", "f"].contains($0.0))
            }
            #expect(result.configuration?.middlewares.map(\.kind) == [.custom(type: "tenant-check", options: options)])
            #expect(lines(result).count == 1)
            #expect(lines(result).first?.hasSuffix("the middleware \"b\" (custom) is switched off: the route is open") == true)
            #expect(result.filesRead == ["t.yaml", path])
        }
    }

    @Test func `credentials beside a null origin or a wildcard are refused where they stand`() {
        let result = loadRest(
            """
            middlewares:
              a:
                cors: {allow_origins: ["https://a.example", "null"], allow_credentials: true,
                       allow_methods: ["*"], allow_headers: [X-A, "*"], expose_headers: "*"}
            routes: [{name: r, match: {path: /}, health: true}]

            """)
        #expect(
            result.errors.map(\.path) == [
                "middlewares.a.cors.allow_origins[1]", "middlewares.a.cors.allow_methods[0]",
                "middlewares.a.cors.allow_headers[1]", "middlewares.a.cors.expose_headers",
            ])
    }

    @Test func `a method that cors allows and no route takes is warned about`() {
        let text = { (methods: String, routes: String) in
            "middlewares: {c: {cors: {allow_origins: \"https://a.example\", allow_methods: [\(methods)]}}}\nroutes: [\(routes)]\n"
        }
        let get = "{name: get, match: {path: /, methods: GET}, health: true, middlewares: c}"
        let put = "{name: put, match: {path: /, methods: PUT}, health: true, middlewares: c}"
        let all = "{name: all, match: {path: /a}, health: true, middlewares: c}"
        let warned = { (methods: String, routes: String) in loadRest(text(methods, routes)).diagnostics.map(\.message) }
        #expect(warned("GET, HEAD, POST", get) == ["cors allows POST, which the route get does not take"])
        #expect(warned("GET, PUT", "\(get), \(put)") == [])
        #expect(warned("GET, DELETE", "\(get), \(put)") == ["cors allows DELETE, which none of its 2 routes takes"])
        #expect(warned("GET, DELETE, \"*\"", all) == [])
        #expect(warned("PURGE", all) == ["cors allows PURGE, which the route all does not take"])
        // The default is nobody's mistake.
        #expect(
            loadRest("middlewares: {c: {cors: {allow_origins: \"https://a.example\"}}}\nroutes: [\(get)]\n").diagnostics == [])
    }

    @Test func `a route may tell whether the gateway is ready`() throws {
        let route = try #require(
            loadRest("routes: [{name: r, match: {path: /ready}, ready: true}]\n").configuration?.routes.first)
        #expect(route.action == .ready)
        #expect(loadRest("routes: [{name: r, match: {path: /ready}, ready: false}]\n").errors.count == 1)
        #expect(loadRest("routes: [{name: r, match: {path: /ready}, ready: true, health: true}]\n").errors.count == 1)
    }
}
