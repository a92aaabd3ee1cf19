import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Testing

/// Scripts of other sites (hardening 164, 165; B.3; Fetch standard).
@Suite struct CORSTests {
    /// The CORS fields and `Vary` of an answer to a request with this `Origin`.
    private func answered(
        _ rules: CORSRules, _ origin: String?, backend: [String] = [], request lines: [String] = []
    ) -> [String] {
        var head = request("GET / HTTP/1.1", "Host: a")
        for line in lines { add(line, to: &head.headers) }
        if let origin { add("Origin: \(origin)", to: &head.headers) }
        var response = response("HTTP/1.1 200 OK", "Content-Length: 0")
        for line in backend { add(line, to: &response.headers) }
        var context = context()
        let chain = Chain([.cors(rules)])
        guard case .proceed = chain.runRequest(from: 0, head: &head, context: &context) else { return ["not forwarded"] }
        guard case .proceed = chain.runResponse(from: chain.last, head: &response, request: head, context: &context) else {
            return ["not passed on"]
        }
        return fieldLines(response).filter { $0 != "Content-Length: 0" }
    }

    private func isAllowed(_ origin: String, by list: [String]) throws -> Bool {
        let lines = answered(try CORSRules(allowOrigins: list), origin)
        #expect(lines == ["Vary: Origin"] + (lines.count > 1 ? ["Access-Control-Allow-Origin: \(origin)"] : []))
        return lines.count > 1
    }

    @Test(arguments: [
        ("https://good.com", true), ("HTTPS://Good.Com", true), ("http://good.com", false), ("https://good.com.evil", false),
        ("https://evilgood.com", false), ("https://good.com:443", false), ("https://good.com:8443", false),
        ("https://good.com.", false), ("https://good.com/", false), ("https://www.good.com", false), ("https://good.co", false),
        ("https://user@good.com", false), ("https://good.com https://evil.com", false),
        ("https://good.com,https://evil.com", false),
        ("null", false), ("", false), ("*", false), ("good.com", false), ("//good.com", false), ("https://good.comm", false),
    ])
    func `an origin is let in when it is the listed one, whole`(_ origin: String, _ isIn: Bool) throws {
        #expect(try isAllowed(origin, by: ["https://good.com"]) == isIn)
        #expect(try isAllowed(origin, by: ["http://other.test", "https://GOOD.com:443", "https://third.test:99"]) == isIn)
    }

    @Test(arguments: [
        ("https://a.example.com", true), ("https://a.b.example.com", true), ("https://A-1.EXAMPLE.com", true),
        ("https://example.com", false), ("https://.example.com", false), ("https://a..example.com", false),
        ("https://..example.com", false), ("http://a.example.com", false), ("https://a.example.com:8443", false),
        ("https://a.example.com.", false), ("https://a.example.com.evil.com", false), ("https://aexample.com", false),
        ("https://evil.com/.example.com", false), ("https://evil.com?.example.com", false), ("https://u@b.example.com", false),
        ("https://evil.com:80.example.com", false), ("https://evil.com#.example.com", false), ("https://a b.example.com", false),
        ("https://é.example.com", false), ("https://*.example.com", false), ("null", false),
    ])
    func `an asterisk stands for one label or more, and for nothing else`(_ origin: String, _ isIn: Bool) throws {
        #expect(try isAllowed(origin, by: ["https://*.example.com"]) == isIn)
    }

    @Test func `a port is part of an origin, in wildcards too`() throws {
        #expect(try isAllowed("https://a.example.com:8443", by: ["https://*.example.com:8443"]))
        #expect(try !isAllowed("https://a.example.com", by: ["https://*.example.com:8443"]))
        #expect(try isAllowed("http://localhost:3000", by: ["http://localhost:3000"]))
        #expect(try isAllowed("http://localhost", by: ["http://localhost:80"]))
        #expect(try !isAllowed("https://localhost", by: ["https://localhost:80"]))
        #expect(try isAllowed("https://[2001:db8::1]:8443", by: ["https://[2001:db8::1]:8443"]))
        #expect(try isAllowed("https://good.com.", by: ["https://good.com."]))
        #expect(try isAllowed("capacitor://localhost", by: ["capacitor://localhost"]))
    }

    @Test func `null is let in only where it is listed`() throws {
        #expect(try isAllowed("null", by: ["null"]))
        #expect(try !isAllowed("NULL", by: ["null"]))
        #expect(try !isAllowed("https://null", by: ["null"]))
    }

    @Test(arguments: [
        "good.com", "https://", "https://good.com/", "https://good.com/a", "https://*", "https://*.", "https://a.*.com", "*.com",
        "https://*good.com", "https://good.com:", "https://good.com:0", "https://good.com:080", "https://good.com:65536",
        "https://good.com:x", "https://u@good.com", "https://good..com", "https://.good.com", "https:good.com", "https:/good.com",
        "://good.com", "1s://good.com", "https://[good]", "https://[::1", "https://[1.2.3.4]", "https://gööd.com", "", "NULL",
        "**",
        "https://good.com,https://b.com", "https://good.com https://b.com", "https://a\r\nb",
    ])
    func `what no browser sends cannot be listed`(_ origin: String) {
        #expect(throws: CORSRuleError.invalidOrigin(origin)) { try CORSRules(allowOrigins: ["https://ok.test", origin]) }
    }

    @Test func `no wildcard stands beside credentials`() {
        let lists: [(origins: [String], methods: [String], headers: [String], exposed: [String])] = [
            (["*"], [], [], []), (["https://a.test", "*"], [], [], []), (["https://a.test"], ["*"], [], []),
            (["https://a.test"], ["GET"], ["X-A", "*"], []), (["https://a.test"], [], [], ["*"]),
        ]
        for list in lists {
            #expect(throws: CORSRuleError.anyWithCredentials) {
                try CORSRules(
                    allowOrigins: list.origins, allowMethods: list.methods, allowHeaders: list.headers,
                    exposeHeaders: list.exposed, allowCredentials: true)
            }
        }
        #expect(throws: CORSRuleError.nullWithCredentials) { try CORSRules(allowOrigins: ["null"], allowCredentials: true) }
        #expect(throws: CORSRuleError.invalidMethod("G T")) { try CORSRules(allowOrigins: ["*"], allowMethods: ["G T"]) }
        #expect(throws: CORSRuleError.invalidHeader("X:")) { try CORSRules(allowOrigins: ["*"], allowHeaders: ["X:"]) }
        #expect(throws: CORSRuleError.invalidHeader("a\r\n")) { try CORSRules(allowOrigins: ["*"], exposeHeaders: ["a\r\n"]) }
    }

    @Test func `an allowed origin gets all fields, another one none, and Vary is there for both`() throws {
        let rules = try CORSRules(
            allowOrigins: ["https://good.com"], exposeHeaders: ["X-Request-ID", "ETag"], allowCredentials: true)
        #expect(
            answered(rules, "https://good.com") == [
                "Vary: Origin", "Access-Control-Allow-Origin: https://good.com", "Access-Control-Allow-Credentials: true",
                "Access-Control-Expose-Headers: X-Request-ID, ETag",
            ])
        #expect(answered(rules, "https://evil.com") == ["Vary: Origin"])
        #expect(answered(rules, nil) == ["Vary: Origin"])
    }

    @Test func `any origin is told with an asterisk, not with its name`() throws {
        let rules = try CORSRules(allowOrigins: ["*"], exposeHeaders: ["*"])
        let expected = ["Vary: Origin", "Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: *"]
        #expect(answered(rules, "https://evil.com") == expected)
        #expect(answered(rules, nil) == expected)
    }

    @Test func `what the backend says of other sites is replaced, for all origins`() throws {
        let backend = [
            "Access-Control-Allow-Origin: *", "access-control-allow-origin: https://evil.com",
            "ACCESS-CONTROL-ALLOW-CREDENTIALS: true", "Access-Control-Max-Age: 5", "Access-Control-Allow-Private-Network: true",
            "Access: 1",
        ]
        let rules = try CORSRules(allowOrigins: ["https://good.com"])
        #expect(
            answered(rules, "https://good.com", backend: backend)
                == ["Access: 1", "Vary: Origin", "Access-Control-Allow-Origin: https://good.com"])
        #expect(answered(rules, "https://evil.com", backend: backend) == ["Access: 1", "Vary: Origin"])
        #expect(answered(rules, nil, backend: backend) == ["Access: 1", "Vary: Origin"])
    }

    @Test(arguments: [
        (["Vary: Accept-Encoding"], true), (["vary: Origin"], false), (["Vary: accept, ORIGIN ,x"], false), (["Vary: *"], false),
        (["Vary: Accept", "Vary: origin"], false), (["Vary: Origin-Trial"], true), (["Vary: X-Origin"], true), (["Vary: "], true),
        (["Vary: ,"], true), (["Varying: Origin"], true), (["Vary: Accept Origin"], true),
    ])
    func `Origin joins the backend's Vary, and not twice`(_ backend: [String], _ isAdded: Bool) throws {
        let rules = try CORSRules(allowOrigins: ["https://good.com"])
        #expect(
            answered(rules, "https://evil.com", backend: backend).map { $0.replacing("Vary: ", with: "vary: ") }
                == (backend + (isAdded ? ["Vary: Origin"] : [])).map { $0.replacing("Vary: ", with: "vary: ") })
    }

    @Test func `an origin that a middleware kept from the backend still counts`() throws {
        let rules = try CORSRules(allowOrigins: ["https://good.com"])
        let removal = try HeaderRules(request: [HeaderRule(.remove, name: bytes("Origin"))])
        let chain = Chain([.headers(removal), .cors(rules)])
        var head = request("GET / HTTP/1.1", "Host: a", "Origin: https://good.com")
        var response = response("HTTP/1.1 200 OK")
        var context = context()
        guard case .proceed = chain.runRequest(from: 0, head: &head, context: &context) else { return #expect(Bool(false)) }
        #expect(!fieldLines(head).contains("Origin: https://good.com"))
        guard case .proceed = chain.runResponse(from: chain.last, head: &response, request: head, context: &context) else {
            return #expect(Bool(false))
        }
        #expect(fieldLines(response).contains("Access-Control-Allow-Origin: https://good.com"))
    }

    @Test func `an error that another stage made keeps the fields, wherever cors is listed`() throws {
        let rules = try CORSRules(allowOrigins: ["https://good.com"])
        let denied = IPAccessRules(deny: blocks("0.0.0.0/0"))
        for stages in [[.cors(rules), .ipAccess(denied)], [.ipAccess(denied), .cors(rules)]] as [[Stage]] {
            let chain = Chain(stages)
            #expect((0..<chain.count).map { chain.name(of: $0) } == ["cors", "ip_access"])
            var head = request("GET / HTTP/1.1", "Host: a", "Origin: https://good.com")
            var context = context()
            guard case .answer(let answer, let at) = chain.runRequest(from: 0, head: &head, context: &context) else {
                return #expect(Bool(false))
            }
            var response = ResponseHead()
            answer.fill(&response)
            _ = chain.runResponse(from: at - 1, head: &response, request: head, context: &context)
            #expect(response.status == 403)
            #expect(fieldLines(response) == ["Vary: Origin", "Access-Control-Allow-Origin: https://good.com"])
        }
    }

    @Test func `two Origin fields are refused before any of this`() {
        var head = request("GET / HTTP/1.1", "Host: a", "Origin: https://good.com")
        add("Origin: https://evil.com", to: &head.headers)
        var context = context()
        #expect(throws: HeadFault.repeatedField) { try entrance().receive(&head, &context) }
    }
}
