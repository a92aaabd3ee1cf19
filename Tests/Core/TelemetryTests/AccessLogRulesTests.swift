import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

@Suite struct AccessLogRulesTests {
    private func head(_ fields: [(String, String)], target: String = "/") -> RequestHead {
        var head = RequestHead()
        head.headers.storage.append("GET ")
        head.methodRange = 0..<3
        head.headers.storage.append(target)
        head.targetRange = 4..<4 + target.utf8.count
        for (name, value) in fields {
            let name = Array(name.utf8)
            let value = Array(value.utf8)
            head.headers.add(FieldID(lowercasing: name.span.bytes), name: name.span.bytes, value: value.span.bytes)
        }
        return head
    }

    private func line(
        _ head: borrowing RequestHead, _ rules: AccessLogRules, _ format: AccessLogFormat = .json
    ) -> String {
        var store = MetricsStore(workers: 1)
        let labels = store.adopt(.init(), generation: 1, at: Instant(nanoseconds: 0))
        var buffer = ByteBuffer(capacity: 16)
        var clock = SecondText()
        let id = Array("id".utf8)
        AccessLogLine.append(
            AccessRecord(time: Timestamp(seconds: 0), status: 200, reason: .ok), head, requestID: id.span.bytes, labels: labels,
            format: format, rules: rules, clock: &clock, into: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    @Test func `fields of the rules are shown in their order, repeated ones joined, missing ones as null`() throws {
        let rules = AccessLogRules(requestHeaders: ["X-Tenant", "accept", "x-missing", "X-TENANT"], redact: [])
        let head = head([("Accept", "a/b"), ("x-tenant", "one"), ("Host", "h"), ("X-Tenant", "t\"wo"), ("x-tenants", "no")])
        let text = line(head, rules)
        #expect(text.hasSuffix(#","headers":{"x-tenant":"one, t\"wo","accept":"a/b","x-missing":null}}"# + "\n"))
        let node = try StrictJSON.parse(text)
        #expect(node.keys.last == "headers" && node.keys.count == 33)
    }

    @Test func `a field that was removed is not shown`() {
        var head = head([("X-Tenant", "one"), ("x-tenant", "two")])
        head.headers.remove(at: 0)
        #expect(line(head, AccessLogRules(requestHeaders: ["x-tenant"], redact: [])).contains(#""x-tenant":"two""#))
    }

    @Test func `without rules for fields there is no object of them, and the combined form has none ever`() {
        let head = head([("X-Tenant", "one")])
        #expect(!line(head, AccessLogRules()).contains("headers"))
        #expect(!line(head, AccessLogRules(requestHeaders: [], redact: ["a"])).contains("headers"))
        let combined = line(head, AccessLogRules(requestHeaders: ["x-tenant"], redact: []), .combined)
        #expect(!combined.contains("one") && combined.hasSuffix("\"\n"))
    }

    @Test func `a long field is cut at 256 bytes, all of its values together, and no character in two`() throws {
        let rules = AccessLogRules(requestHeaders: ["a"], redact: [])
        let long = String(repeating: "x", count: 255) + "ü"
        #expect(try headers(line(head([("a", long)]), rules))["a"]?.text == String(repeating: "x", count: 255))
        let many = head((0..<100).map { _ in ("a", "1234567890") })
        #expect(try headers(line(many, rules))["a"]?.text?.utf8.count == 256)
        let hostile = head([("a", String(repeating: "\u{1}", count: 60_000))])
        #expect(try headers(line(hostile, rules))["a"]?.text?.utf8.count == 256)
    }

    private func headers(_ line: String) throws -> JSONNode { try #require(try StrictJSON.parse(line)["headers"]) }

    /// Hardening 185.
    @Test(arguments: [
        "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-API-Key", "token", "access_token", "password",
        "secret",
        "X-Auth-Token", "X-Amz-Signature", "X-Session-Id", "X-Mine",
    ])
    func `a field that holds a secret is shown as stars`(name: String) throws {
        let rules = AccessLogRules(requestHeaders: [name], redact: ["x-MINE"])
        let text = line(head([(name, "CANARY"), (name, "CANARY")]), rules)
        #expect(!text.contains("CANARY"))
        #expect(try headers(text)[name.lowercased()]?.text == "***")
    }

    /// Hardening 185.
    @Test(arguments: [
        "Bearer%20CANARY", "bearer=CANARY", "Digest response=CANARY", "token: CANARY", "%2574oken=CANARY",
        "{'password': 'CANARY'}",
    ])
    func `no secret in a field that is shown reaches its line, however it is written`(value: String) throws {
        let text = line(head([("X-Note", value)]), AccessLogRules(requestHeaders: ["x-note"], redact: []))
        #expect(!text.contains("CANARY"))
        #expect(try headers(text)["x-note"]?.text?.contains("***") == true)
    }

    /// Hardening 185.
    @Test(arguments: [AccessLogFormat.json, .combined])
    func `no secret in any place of a request reaches its line`(format: AccessLogFormat) throws {
        let rules = AccessLogRules(
            requestHeaders: [
                "authorization", "cookie", "referer", "x-original-url", "forwarded", "x-note", "origin", "user-agent",
            ],
            redact: ["ssn", "X-Note"])
        let long = String(repeating: "u", count: 3_000)
        for target in [
            "/a?token=CANARY&SSN=CANARY", "http://user:CANARY@h/a?%73sn=CANARY", "user:CANARY@h:443",
            "//u:CANARY@h/x;password=CANARY",
            "http://\(long):CANARY@h/", "http://us;er:CANARY@h/?a",
        ] {
            let head = head(
                [
                    ("Authorization", "Basic CANARY"), ("Cookie", "a=CANARY"), ("Proxy-Authorization", "CANARY"),
                    ("Referer", target), ("X-Original-URL", target), ("X-Note", "CANARY"), ("X-API-Key", "CANARY"),
                    ("Origin", "https://u:CANARY@o"), ("Forwarded", "for=1;secret=CANARY"),
                ], target: target)
            let text = line(head, rules, format)
            #expect(!text.contains("CANARY"), "\(target)")
            if format == .json { _ = try StrictJSON.parse(text) }
        }
    }

    @Test func `listed names are masked in the query and the referer, in any case, and others are not`() throws {
        let rules = AccessLogRules(requestHeaders: [], redact: ["SSN", ""])
        let text = line(head([("Referer", "http://r/?ssn=1&a=2")], target: "/p?Ssn=1&ss%6E=2&ssns=3&b"), rules)
        let node = try StrictJSON.parse(text)
        #expect(node["query"]?.text == "Ssn=***&ss%6E=***&ssns=3&b")
        #expect(node["referer"]?.text == "http://r/?ssn=***&a=2")
    }

    @Test func `any bytes in any field make one valid line`() throws {
        var random = RandomSource(seed: 184)
        let rules = AccessLogRules(requestHeaders: ["a", "referer", "\"\\"], redact: ["b"])
        for _ in 0..<2_000 {
            let alphabet = Array("\"\\\n&=?;:/@b Bearer".utf8) + [0xe2, 0x80, 0xa8, 0xff]
            var head = RequestHead()
            for name in ["a", "a", "referer"] {
                let count = Int.random(in: 0..<(random.next() % 8 == 0 ? 1_500 : 40), using: &random)
                let value = (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
                let name = Array(name.utf8)
                head.headers.add(FieldID(lowercasing: name.span.bytes), name: name.span.bytes, value: value.span.bytes)
            }
            let text = line(head, rules)
            #expect(text.utf8.filter { $0 < 0x20 || $0 == 0x7f }.count == 1)
            #expect(try headers(text).keys == ["a", "referer", "\"\\"])
        }
    }
}
