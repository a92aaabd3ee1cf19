import HTTPMessages
import Pipeline
import Primitives
import Testing

/// Header rules with their variables, on both ways.
@Suite struct HeaderRulesTests {
    private func rule(_ operation: Pipeline.HeaderRule.Operation, _ name: String, _ pieces: HeaderPiece...) -> Pipeline.HeaderRule
    {
        Pipeline.HeaderRule(operation, name: bytes(name), pieces: pieces)
    }

    private func set(_ name: String, _ value: String) -> Pipeline.HeaderRule { rule(.set, name, .text(bytes(value))) }

    private func requestFields(_ rules: [Pipeline.HeaderRule], _ fields: String...) throws -> [String] {
        let chain = Chain([.headers(try Pipeline.HeaderRules(request: rules))])
        var head = request("GET / HTTP/1.1", "Host: a")
        for line in fields { add(line, to: &head.headers) }
        var context = context()
        guard case .proceed = chain.runRequest(from: 0, head: &head, context: &context) else {
            Issue.record("the chain ended")
            return []
        }
        return Array(fieldLines(head).dropFirst())
    }

    @Test func `set takes the place of all, add stands behind, remove takes away`() throws {
        #expect(try requestFields([set("X-A", "new")], "x-a: 1", "X-B: 2", "X-A: 3") == ["X-B: 2", "X-A: new"])
        #expect(try requestFields([rule(.add, "X-A", .text(bytes("new")))], "X-A: 1") == ["X-A: 1", "X-A: new"])
        #expect(try requestFields([rule(.remove, "x-a")], "X-A: 1", "X-AB: 2", "x-A: 3") == ["X-AB: 2"])
        #expect(
            try requestFields([rule(.remove, "User-Agent"), set("Cookie", "c")], "user-agent: u", "cookie: a", "cookie: b") == [
                "Cookie: c"
            ])
    }

    @Test func `rules are carried out in their order`() throws {
        let rules = [
            set("X-A", "1"), rule(.add, "X-A", .text(bytes("2"))), rule(.remove, "X-B"), set("X-B", "3"), set("X-A", "4"),
        ]
        #expect(try requestFields(rules, "X-B: 0") == ["X-B: 3", "X-A: 4"])
    }

    @Test func `an empty value is a field`() throws {
        #expect(try requestFields([rule(.set, "X-A")]) == ["X-A: "])
    }

    static let values: [(HeaderVariable, request: String, response: String)] = [
        (.clientAddress, "192.0.2.1", "192.0.2.1"), (.clientPort, "", ""), (.requestID, "edge-0123", "edge-0123"),
        (.route, "users", "users"), (.service, "accounts", "accounts"), (.instance, "", "10.0.0.6:8080"),
        (.listener, "web", "web"),
        (.host, "api.example", "api.example"), (.path, "/a/b", "/a/b"), (.method, "PROPFIND", "PROPFIND"),
        (.scheme, "https", "https"),
        (.timestamp, "2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20.123Z"),
        (.clientCertSubject, "CN=ann", "CN=ann"), (.clientCertFingerprint, "0a1b", "0a1b"),
        (.clientCertSAN, "DNS:ann.example,IP:192.0.2.9", "DNS:ann.example,IP:192.0.2.9"),
    ]

    @Test func `every variable has its value on both ways`() throws {
        #expect(Self.values.map(\.0) == HeaderVariable.allCases)
        for (variable, inRequest, inResponse) in Self.values {
            let rules = [rule(.set, "X-V", .text(bytes("<")), .variable(variable), .text(bytes(">")))]
            let chain = Chain([.headers(try Pipeline.HeaderRules(request: rules, response: rules))])
            var head = request(
                "PROPFIND /a/b?c HTTP/1.1", "Host: api.example:81", "X-Forwarded-For: 192.0.2.1", "X-Request-ID: edge-0123")
            var response = response("HTTP/1.1 200 OK")
            var context = context(peer: "10.0.0.1", scheme: .https)
            let certificate = ClientCertificate(
                subject: bytes("CN=ann"), alternativeNames: [bytes("DNS:ann.example"), bytes("IP:192.0.2.9")],
                fingerprint: bytes("0a1b"), certificate: [])
            context.clientCertificate = Unmanaged.passUnretained(certificate)
            defer { withExtendedLifetime(certificate) {} }
            try entrance().receive(&head, &context)
            context.routeIndex = 0
            context.serviceIndex = 0
            _ = chain.runRequest(from: 0, head: &head, context: &context)
            context.instanceIndex = 1
            _ = chain.runResponse(from: 0, head: &response, request: head, context: &context)
            #expect(fieldLines(head).last == "X-V: <\(inRequest)>")
            #expect(fieldLines(response) == ["X-V: <\(inResponse)>"])
        }
    }

    @Test func `the client's port is known where the client is the peer`() throws {
        #expect(try requestFields([rule(.set, "X-V", .variable(.clientPort))]) == ["X-V: 40000"])
    }

    @Test func `what is not known is empty`() throws {
        let chain = Chain([
            .headers(try Pipeline.HeaderRules(request: HeaderVariable.allCases.map { rule(.add, "X-V", .variable($0)) }))
        ])
        var head = RequestHead()
        var context = RequestContext(peerAddress: IPAddress(v4: 1), peerIsUnixSocket: true, names: NameTable())
        context.routeIndex = 5
        _ = chain.runRequest(from: 0, head: &head, context: &context)
        #expect(
            fieldLines(head)
                == HeaderVariable.allCases.map { variable in
                    switch variable {
                    case .scheme: "X-V: http"
                    case .timestamp: "X-V: 1970-01-01T00:00:00.000Z"
                    default: "X-V: "
                    }
                })
    }

    @Test func `rules of the response leave the order of other fields alone`() throws {
        let rules = [rule(.remove, "Server"), set("X-Frame-Options", "DENY"), rule(.add, "Set-Cookie", .text(bytes("c=3")))]
        let chain = Chain([.headers(try Pipeline.HeaderRules(response: rules))])
        let head = request("GET / HTTP/1.1", "Host: a")
        var response = response("HTTP/1.1 200 OK", "Set-Cookie: a=1", "SERVER: s", "Set-Cookie: b=2")
        var context = context()
        _ = chain.runResponse(from: 0, head: &response, request: head, context: &context)
        #expect(fieldLines(response) == ["Set-Cookie: a=1", "Set-Cookie: b=2", "X-Frame-Options: DENY", "Set-Cookie: c=3"])
    }

    @Test(arguments: [
        "Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade", "Host", "Via", "Expect",
        "Max-Forwards", "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "X-Request-ID", "X-User-ID",
        "X-Auth-Subject",
        "Client-Cert", "X-Gateway-A", "X_Forwarded_For", "content_length", "Proxy-Authorization",
    ])
    func `a field that the gateway owns cannot be in a rule for requests`(_ name: String) {
        for operation in [Pipeline.HeaderRule.Operation.set, .add, .remove] {
            #expect(throws: HeaderRuleError.ownedByGateway(bytes(name))) {
                try Pipeline.HeaderRules(request: [rule(operation, name)])
            }
        }
    }

    @Test(arguments: [
        "Content-Length", "Transfer-Encoding", "Connection", "Date", "Via", "X-Request-ID", "Host", "Upgrade", "X-Gateway-A",
    ])
    func `a field that the gateway owns cannot be in a rule for responses`(_ name: String) {
        #expect(throws: HeaderRuleError.ownedByGateway(bytes(name))) { try Pipeline.HeaderRules(response: [rule(.set, name)]) }
    }

    @Test(arguments: ["", "a b", "a:", "\u{e4}", String(repeating: "a", count: 257)])
    func `a name that is no token is refused`(_ name: String) {
        #expect(throws: HeaderRuleError.invalidName(bytes(name))) { try Pipeline.HeaderRules(request: [rule(.set, name)]) }
    }

    @Test func `a text with a control byte is refused`() {
        for byte in (0...31 as ClosedRange<UInt8>).filter({ $0 != ASCII.tab }) + [127] {
            #expect(throws: HeaderRuleError.invalidValue(name: bytes("X-A"))) {
                try Pipeline.HeaderRules(request: [rule(.set, "X-A", .text([65, byte]))])
            }
        }
    }

    @Test func `a value that no field can hold is left out`() throws {
        let pieces = Array(repeating: HeaderPiece.text(Array(repeating: 97, count: 8192)), count: 8)
        let rules = [Pipeline.HeaderRule(.add, name: bytes("X-A"), pieces: pieces), set("X-B", "1")]
        #expect(try requestFields(rules) == ["X-B: 1"])
    }

    @Test func `rules applied request after request do not make the head's memory grow`() throws {
        let rules = [rule(.set, "X-A", .variable(.path), .variable(.clientAddress))]
        let chain = Chain([.headers(try Pipeline.HeaderRules(request: rules))])
        var head = request("GET /a HTTP/1.1", "Host: a")
        var context = context()
        let before = head.headers.storage.count
        _ = chain.runRequest(from: 0, head: &head, context: &context)
        let once = head.headers.storage.count
        head.clear()
        #expect(head.headers.storage.count == 0)
        #expect(once == before + "X-A/a198.51.100.7".utf8.count)
    }

    @Test func `a client certificate goes to the backend as RFC 9440 writes it, and only where it may`() throws {
        for (certificate, expected) in [([1, 2, 3], ["Client-Cert: :AQID:"]), ([], [])] as [([UInt8], [String])] {
            let shown = ClientCertificate(subject: [], alternativeNames: [], fingerprint: [], certificate: certificate)
            var head = request("GET / HTTP/1.1", "Host: api.example", "Client-Cert: :forged:")
            var context = context(peer: "10.0.0.1", scheme: .https)
            context.clientCertificate = Unmanaged.passUnretained(shown)
            try entrance().receive(&head, &context)
            var out = ByteBuffer(capacity: 1024)
            let forwarding = try Forwarding(.init(pseudonym: bytes("gw")))
            let isGood = withExtendedLifetime(shown) {
                forwarding.appendFields(to: &out, head: head, context: context, authority: RawSpan())
            }
            #expect(isGood)
            let lines = String(decoding: out.bytes.array(), as: UTF8.self).split(separator: "\r\n").map(String.init)
            #expect(lines.filter { $0.hasPrefix("Client-Cert") } == expected)
            #expect(!fieldLines(head).contains { $0.hasPrefix("Client-Cert") })
        }
    }

    @Test func `a comma within a name of a certificate does not make two of it`() throws {
        let certificate = ClientCertificate(
            subject: [], alternativeNames: [bytes("URI:x,URI:spiffe://a/admin"), bytes("DNS:ann.example")], fingerprint: [],
            certificate: [])
        let chain = Chain([.headers(try Pipeline.HeaderRules(request: [rule(.set, "X-V", .variable(.clientCertSAN))]))])
        var head = request("GET / HTTP/1.1", "Host: api.example")
        var context = context(peer: "10.0.0.1", scheme: .https)
        context.clientCertificate = Unmanaged.passUnretained(certificate)
        withExtendedLifetime(certificate) { _ = chain.runRequest(from: 0, head: &head, context: &context) }
        #expect(fieldLines(head).last == #"X-V: URI:x\x2cURI:spiffe://a/admin,DNS:ann.example"#)
    }

    @Test(arguments: [("subject", true), ("name", true), ("fingerprint", true), ("other", false)])
    func `a client comes in by any one mark of its certificate`(mark: String, isAdmitted: Bool) throws {
        let stage = ClientCertificateStage(
            subjects: mark == "subject" ? [bytes("CN=ann")] : [],
            alternativeNames: mark == "name" ? [bytes("DNS:ann.example")] : [],
            fingerprints: mark == "fingerprint" ? [bytes("0a1b")] : [bytes("ffff")])
        let shown = ClientCertificate(
            subject: bytes("CN=ann"), alternativeNames: [bytes("DNS:ann.example")], fingerprint: bytes("0a1b"), certificate: [])
        let chain = Chain([.clientCertificate(stage)])
        for hasCertificate in [true, false] {
            var head = request("GET / HTTP/1.1", "Host: api.example")
            var context = context(peer: "10.0.0.1", scheme: .https)
            if hasCertificate { context.clientCertificate = Unmanaged.passUnretained(shown) }
            let outcome = withExtendedLifetime(shown) { chain.runRequest(from: 0, head: &head, context: &context) }
            switch outcome {
            case .proceed: #expect(isAdmitted && hasCertificate)
            case .answer(let answer, _): #expect(answer.status == 403 && !(isAdmitted && hasCertificate))
            case .suspended: Issue.record("nothing to wait for")
            }
        }
    }
}
