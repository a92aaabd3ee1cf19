import Configuration
import ConfigurationFile
import Testing

struct ExpansionTests {
    private func via(_ text: String, _ environment: [String: String] = [:]) -> ViaPseudonym? {
        loadRest("server: {via: \"\(text)\"}\n", environment: environment).configuration?.server.via
    }

    @Test func `the environment is read, with defaults for what is not set or empty`() {
        #expect(via("${NAME}", ["NAME": "abc"]) == .named("abc"))
        #expect(via("a-${NAME}-${_X1:-z}", ["NAME": "b"]) == .named("a-b-z"))
        #expect(via("${NAME:-d}", ["NAME": ""]) == .named("d"))
        #expect(via("${NAME:-a:-b}") == nil)
        #expect(via("${NAME:-}x") == .named("x"))
        #expect(via("${NAME}") == nil)
    }

    @Test func `two dollar signs are one, and one before anything else is itself`() {
        #expect(via("a$$b$") == .named("a$b$"))
        #expect(via("$$") == .named("$"))
        #expect(via("$a") == .named("$a"))
        #expect(via("$${X}") == nil)
    }

    @Test func `what the environment says is not expanded again`() {
        let result = loadRest(
            "middlewares: {a: {headers: {request: {set: {X-A: \"${V} ${route}\"}}}}}\n", environment: ["V": "${host}$$"])
        #expect(
            rules(result)?.request.set
                == [HeaderRule(name: "X-A", value: [.literal(Array("${host}$$ ".utf8)), .variable(.route)])])
    }

    @Test func `numbers and switches come from the environment too`() {
        let result = loadRest(
            "server: {workers: \"${W:-3}\"}\naccess_log: {enabled: \"${LOG}\"}\n", environment: ["LOG": "false"])
        #expect(result.configuration?.server.workers == .fixed(3))
        #expect(result.configuration?.accessLog.output == .off)
    }

    private func rules(_ result: LoadResult) -> HeaderRules? {
        guard case .headers(let rules)? = result.configuration?.middlewares.first?.kind else { return nil }
        return rules
    }

    @Test func `every request variable can stand in a header value`() {
        for variable in HeaderVariable.allCases {
            let result = loadRest("middlewares: {a: {headers: {response: {add: {X-A: \"<${\(variable.rawValue)}>\"}}}}}\n")
            #expect(
                rules(result)?.response.add
                    == [HeaderRule(name: "X-A", value: [.literal([0x3c]), .variable(variable), .literal([0x3e])])])
        }
    }

    @Test func `header rules keep their order and their names`() {
        let result = loadRest(
            """
            middlewares:
              a:
                headers:
                  request: {remove: X-Old, set: {X-B: b, X-A: ""}}
                  response: {enabled: false, remove: [Server]}
            """)
        #expect(rules(result)?.request.remove == ["X-Old"])
        #expect(
            rules(result)?.request.set == [
                HeaderRule(name: "X-B", value: [.literal([0x62])]), HeaderRule(name: "X-A", value: []),
            ])
        #expect(rules(result)?.response.isEmpty == true)
    }
}

struct SecretTests {
    private func load(_ token: String, _ environment: [String: String] = [:]) -> LoadResult {
        loadRest("admin: {token: \"\(token)\"}\nroutes: [{name: r, match: {path: /}, health: true}]\n", environment: environment)
    }

    // Hardening 189.
    @Test func `a secret is read from a file, without the line break at its end`() {
        withFile("s3cret-of-16-bytes\n") { path in
            let result = load("file:\(path)")
            #expect(lines(result) == [])
            #expect(result.configuration?.admin.token.bytes == Array("s3cret-of-16-bytes".utf8))
            #expect(result.filesRead == ["t.yaml", path])
        }
    }

    // Hardening 189.
    @Test func `a secret file that others can read is warned about`() {
        withFile("s3cret-of-16-bytes", mode: 0o644) { path in
            #expect(
                lines(load("file:\(path)")) == [
                    "t.yaml:2:16: warning: admin.token: \(path) can be read by others; its mode should be 0640 or stricter"
                ])
        }
        withFile("s3cret-of-16-bytes", mode: 0o640) { path in #expect(lines(load("file:\(path)")) == []) }
    }

    @Test func `an empty secret is refused, in the file and behind file`() {
        #expect(load("").errors.map(\.message) == ["is empty"])
        withFile("\n") { path in #expect(load("file:\(path)").errors.map(\.message) == ["\(path) is empty"]) }
    }

    @Test func `a credential of systemd is a file in its directory`() {
        withFile("c") { path in
            let name = path.split(separator: "/").last.map(String.init) ?? ""
            #expect(load("cred:\(name)", ["CREDENTIALS_DIRECTORY": "/tmp"]).configuration?.admin.token.bytes == [0x63])
            #expect(load("cred:../tmp/\(name)", ["CREDENTIALS_DIRECTORY": "/tmp"]).configuration == nil)
            #expect(load("cred:\(name)").configuration == nil)
        }
    }

    // Hardening 189.
    @Test func `a secret shows in no description, dump or diagnostic`() throws {
        let result = load("very-secret")
        let configuration = try #require(result.configuration)
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(configuration.admin.token.bytes == Array("very-secret".utf8))
        #expect(!dumped.contains("very-secret"))
        #expect(!"\(configuration)".contains("very-secret"))
        let bytes = Array("very-secret".utf8).map(String.init).joined(separator: ", ")
        #expect(!"\(configuration)".contains(bytes))
        #expect(
            !loadRest("admin: {token: very-secret, address: 1}\n").diagnostics.map(\.description).joined().contains("very-secret")
        )
    }

    @Test func `an admin address that others reach is accepted with a token`() {
        let text =
            "admin: {address: \"0.0.0.0:9901\", token: sixteen-bytes-xx}\nroutes: [{name: r, match: {path: /}, health: true}]\n"
        #expect(lines(loadRest(text)) == [])
    }
}
