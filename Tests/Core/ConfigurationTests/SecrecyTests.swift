import Configuration
import ConfigurationFile
import Testing

/// What a diagnostic may tell of the environment and of secrets' files (item 119), and what a posted text may ask of them.
struct SecrecyTests {
    private static let route = "routes: [{name: r, match: {path: /}, health: true}]\n"

    private func posted(_ rest: String) -> [String] {
        let text = "listeners: [{name: web, address: \"127.0.0.1:0\"}]\n" + rest
        return ConfigurationLoader.load(posted: Array(text.utf8), name: "t.yaml").diagnostics.map(\.message)
    }

    @Test(arguments: [
        ("server: {workers: \"${V}\"}\n", "expected auto or a whole number, which \"${V}\" is not"),
        ("server: {drain_timeout: \"1${V:-x}\"}\n", "which \"1${V:-x}\" is not"),
        ("server: {log_level: \"${V}\"}\n", "expected debug, info, warn or error, which \"${V}\" is not"),
        ("services: {s: {instances: [{url: \"${V}\"}]}}\n", "which \"${V}\" is not"),
        ("admin: {hosts: [\"a/${V}\"]}\n", "which \"a/${V}\" is not"),
        ("admin: {token: \"file:/nowhere/${V}\"}\n", "cannot read file:/nowhere/${V}: "),
        ("admin: {token: \"file:${V}\"}\n", "file: needs an absolute path"),
        ("middlewares: {m: {cors: {allow_origins: \"${V}\"}}}\n", "which \"${V}\" is not"),
        ("access_log: {enabled: \"${V}\"}\n", "expected true or false, which \"${V}\" is not"),
        ("workers: \"${V}\"\n", "which \"${V}\" is not"),
    ])
    func `a value from the environment that is wrong is shown as it was written`(_ rest: String, _ expected: String) {
        let found = loadRest(rest + Self.route, environment: ["V": "s3cr3t-value!"]).diagnostics.filter { $0.severity == .error }
        #expect(found.contains { $0.message.contains(expected) }, "\(found)")
        #expect(!found.contains { "\($0)".contains("s3cr3t") })
    }

    @Test func `a name from the environment is not quoted where it is looked up or taken`() {
        let result = loadRest(
            """
            services: {s3cr3: {instances: [{url: "http://${H}:80"}, {url: "http://${H}:80"}]}}
            routes:
              - {name: "${V}", match: {path: /a}, service: "${V}", middlewares: ["${V}", "${V}"]}
              - {name: "${V}", match: {path: "/{b}"}, redirect: {to: "/x/{${V}}"}}

            """, environment: ["V": "s3cr3t", "H": "hidden.example"])
        #expect(result.errors.count == 6, "\(result.errors)")
        #expect(
            !result.diagnostics.contains { "\($0)".contains("s3cr3") && $0.severity == .error && $0.path.hasPrefix("routes") })
        #expect(!result.diagnostics.contains { "\($0)".contains("hidden") })
    }

    @Test(arguments: ["RATE_LIMIT_PER_SECOND", "REDIS_HOST", "REDIS_PORT", "API_V1_PREFIX", "USERS_SERVICE_URL"])
    func `the value of an older variable is not quoted`(_ name: String) {
        let text =
            "middlewares: {l: {rate_limit: {key: ip}}}\nstore: {url: \"redis://h:1/0\"}\nservices: {users: {instances: []}}\n"
        let result = loadRest(text + Self.route, environment: [name: "s3cr3t value"])
        #expect(!result.errors.isEmpty)
        #expect(!result.diagnostics.contains { "\($0)".contains("s3cr3t") }, "\(result.diagnostics)")
    }

    @Test func `an option from a file or the environment is marked as a secret`() throws {
        try withFile("from-file\n") { path in
            let result = loadRest(
                "middlewares: {m: {custom: {type: t, options: {a: \"file:\(path)\", b: \"${V}\", c: plain, d: \"${N:-plain}\"}}}}\n"
                    + Self.route, environment: ["V": "from-environment"])
            let middleware = try #require(result.configuration?.middlewares.first)
            guard case .custom(_, let options) = middleware.kind else {
                Issue.record("\(middleware)")
                return
            }
            #expect(options.map(\.isSecret) == [true, true, false, false])
            #expect(options.map(\.value) == ["from-file", "from-environment", "plain", "plain"])
        }
    }

    /// Whatever the value is, the answer is the same.
    @Test(arguments: [
        "server: {workers: \"${PATH}\"}\n", "server: {workers: \"${NOT_SET_ANYWHERE}\"}\n", "server: {workers: \"${PATH:-x}\"}\n",
        "admin: {address: \"0.0.0.0:1\", token: \"${HOME}\"}\n", "admin: {address: \"${HOME}\"}\n",
        "access_log: {enabled: \"${HOME}\"}\n", "admin: {enabled: \"${HOME}\", hosts: a.example}\n",
        "services: {s: {instances: [{url: \"${URL}\"}]}}\n",
        "services: {s: {instances: [{url: \"http://a\", weight: 0}, {url: \"${URL}\"}]}}\n",
        "middlewares: {m: {body_size: {max: \"${SIZE}\"}}, c: {custom: {type: t, options: {a: \"${A}\"}}}}\n",
        "middlewares: {m: {cors: {allow_origins: [\"${ORIGIN}\"]}}, i: {ip_access: {allow: [\"${BLOCK}\"]}}}\n",
        "middlewares: {m: {headers: {request: {set: {X-A: \"${A} ${route}\"}}}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], load_balancer: {algorithm: \"${A}\", bound: 2, hash_on: path}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], load_balancer: {algorithm: consistent_hash, hash_on: \"${H}\"}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], load_balancer: {algorithm: consistent_hash, hash_on: query, hash_name: \"${H}\"}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], load_balancer: {sticky: {cookie: __Secure-a, secure: \"${S}\"}}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], load_balancer: {sticky: {cookie: a, secret: \"${S}\"}}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], health_check: {interval: \"${I}\", timeout: 60s, fast_interval: 40s}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], circuit_breaker: {open_timeout: \"${T}\", open_timeout_max: 1s}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], timeouts: {response: \"${T}\"}, circuit_breaker: {probe_timeout: 1s}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], retry: {backoff: \"${B}\", backoff_max: 1ms}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], adaptive_concurrency: {min: \"${M}\", max: 2, start: 900}}}\n",
        "services: {s: {instances: [{url: \"http://a\"}], fallback: {service: \"${F}\"}}}\n",
    ])
    func `a posted text learns nothing of the environment`(_ rest: String) {
        let found = posted(rest + Self.route)
        #expect(found.count == 1, "\(found)")
        #expect(found.first?.contains("which are not read here; what depends on it is not checked") == true)
    }

    @Test func `what hangs on an unknown value in a posted text is not called wrong`() {
        let found = posted(
            """
            services: {s: {instances: [{url: "http://a"}]}}
            routes: [{name: "${N}", match: {path: "${P}"}, service: "${S}", middlewares: "${M}", path: {rewrite: "/{a}"}}]

            """)
        #expect(found.count == 1, "\(found)")
        let listener = ConfigurationLoader.load(
            posted: Array("port: \"${PORT}\"\nhost: 127.0.0.1\nadmin: {address: \"127.0.0.1:8000\"}\n\(Self.route)".utf8),
            name: "t.yaml")
        #expect(listener.diagnostics.count == 1, "\(listener.diagnostics)")
        let proxies = posted(
            "server: {trusted_proxies: [\"${T}\"]}\nlisteners2: 1\n" + Self.route)
        #expect(proxies.contains { $0.hasPrefix("unknown key") })
    }

    @Test func `a posted text does not touch the disk, and a secret of its own is judged`() {
        #expect(posted("admin: {address: \"0.0.0.0:1\", token: \"file:/nowhere/at/all\"}\n" + Self.route) == [])
        #expect(posted("admin: {address: \"0.0.0.0:1\", token: \"cred:none\"}\n" + Self.route) == [])
        withFile("short", mode: 0o644) { path in
            #expect(posted("admin: {address: \"0.0.0.0:1\", token: \"file:\(path)\"}\n" + Self.route) == [])
        }
        let sticky =
            "services: {s: {instances: [{url: \"http://a\"}], load_balancer: {sticky: {cookie: c, secret: \"file:/nowhere\"}}}}\n"
        #expect(posted(sticky + Self.route) == [])
        #expect(posted("admin: {address: \"0.0.0.0:1\", token: short}\n" + Self.route).count == 1)
        #expect(posted("server: {workers: lots}\n" + Self.route) == ["expected auto or a whole number, not \"lots\""])
    }

    @Test func `older variables are not applied to a posted text`() {
        let text = "listeners: [{name: web, address: \"127.0.0.1:0\"}]\n" + Self.route
        // The process has PATH and HOME, and none of these; what counts is that no name is asked for.
        let result = ConfigurationLoader.load(posted: Array(text.utf8), name: "t.yaml")
        #expect(result.diagnostics == [])
        #expect(result.origin?.environment == [:])
        #expect(result.configuration != nil)
    }
}
