import HTTPMessages
import Pipeline
import Primitives
import Testing

/// Which fields of a client get in (hardening 66 to 75, B.3).
@Suite struct EntranceTests {
    /// What is left of the fields behind `Host: a`.
    private func left(_ fields: [String], peer: String = "198.51.100.7", style: Pipeline.ForwardedStyle = .x) throws -> [String] {
        var head = request("GET / HTTP/1.1", "Host: a")
        for line in fields { add(line, to: &head.headers) }
        head.hasConnectionOptions = fields.contains { $0.hasPrefix("Connection:") }
        var context = context(peer: peer)
        try entrance(style: style).receive(&head, &context)
        return Array(fieldLines(head).dropFirst())
    }

    @Test(arguments: [
        "Connection: close", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Trailer: X-A",
        "Transfer-Encoding: chunked", "Upgrade: websocket", "HTTP2-Settings: AAMAAABkAAQAAP__", "Proxy-Authorization: Basic eA==",
        "Proxy-Authenticate: Basic", "Expect: 100-continue", "Content-Length: 5",
        "X-Auth-Subject: root", "X-Auth-Scopes: admin", "X-Auth-Roles: admin", "X-Auth-Org: o", "X-Auth-Method: jwt",
        "X-User-ID: 1", "x-user-id: 1", "X-Scopes: all", "X-Consumer: c", "X-Consumer-Username: c", "X-Client-Cert-CN: c",
        "Client-Cert: :eA==:", "Client-Cert-Chain: :eA==:", "X-Gateway-Token: t",
        "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE",
        "X-Request-ID: 0123456789", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1",
    ])
    func `a field that ends here, or that only the gateway may send, is removed from everybody`(_ line: String) throws {
        #expect(try left([line, "X-Other: 1"]) == ["X-Other: 1"])
        #expect(try left([line, "X-Other: 1"], peer: "10.0.0.1") == ["X-Other: 1"])
    }

    @Test(arguments: [
        "X-Forwarded-Proto: https", "X-Forwarded-Host: b", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /p",
        "X-Real-IP: 192.0.2.1",
        "True-Client-IP: 192.0.2.1", "X-Original-URL: /admin", "X-Rewrite-URL: /admin",
    ])
    func `what a proxy says of the client is removed from strangers and kept from trusted peers`(_ line: String) throws {
        #expect(try left([line]).isEmpty)
        #expect(try left([line], peer: "10.0.0.1") == [line])
    }

    @Test func `a family of forwarded fields that the gateway does not write is removed from trusted peers too`() throws {
        let x = ["X-Forwarded-Proto: https", "X-Forwarded-Host: b", "X-Real-IP: 192.0.2.1"]
        #expect(try left(x, peer: "10.0.0.1", style: .rfc7239).isEmpty)
        #expect(try left(x, peer: "10.0.0.1", style: .both) == x)
    }

    @Test(arguments: [
        "Authorization: Basic eA==", "Cookie: a=1", "X-API-Key: k", "Content-Type: text/plain", "User-Agent: curl",
        "Via: 1.1 other",
        "Max-Forwards: 3", "X-Timestamp: 1", "X-Forwarded: 1", "X-Gate: 1", "X-Consume: 1", "Client-Certificate: 1",
        "Connectionx: 1",
    ])
    func `a field that is nobody's business but the backend's is kept`(_ line: String) throws {
        #expect(try left([line]) == [line])
    }

    @Test func `what Connection names is removed, but nothing that the gateway sets or needs`() throws {
        let kept = [
            "Authorization: Bearer t", "Content-Type: text/plain", "Content-Language: de", "Cookie: a=1", "Origin: http://a",
            "X-API-Key: k", "Max-Forwards: 1",
        ]
        let options =
            "close, X-Forwarded-For, x-user-id ,Authorization, content-type, content-language, cookie, origin, x-api-key, "
            + "max-forwards, host, X-Custom,,, x-request-id, via, User-Agent, \"x"
        let found = try left(kept + ["X-Custom: 1", "X-Custom2: 1", "User-Agent: u", "x-custom: 2", "Connection: \(options)"])
        #expect(found == kept + ["X-Custom2: 1"])
    }

    @Test func `a second Connection field is read as well`() throws {
        #expect(try left(["Connection: x-a", "X-A: 1", "X-B: 1", "X-C: 1", "Connection: X-B"]) == ["X-C: 1"])
    }

    @Test func `64 connection options are read and 65 are refused`() throws {
        let options = { (count: Int) in "Connection: " + (1...count).map { "x\($0)" }.joined(separator: ",") }
        #expect(try left([options(64), "X64: 1"]).isEmpty)
        #expect(throws: HeadFault.connectionOptionsTooMany) { try left([options(65)]) }
        #expect(HeadFault.connectionOptionsTooMany.status == 400)
    }

    @Test(arguments: ["Authorization: a", "X-API-Key: a", "Origin: a", "Content-Type: a", "Max-Forwards: 1", "Host: a"])
    func `a second field where there can be one is refused`(_ line: String) {
        #expect(throws: HeadFault.repeatedField) { try left([line, "X-A: 1", line]) }
    }

    @Test(arguments: ["Cookie: a", "Accept: a", "Via: 1.1 a", "X-A: a", "User-Agent: a"])
    func `a second field of any other kind is kept, in its order`(_ line: String) throws {
        #expect(try left([line, "X-B: 1", line]) == [line, "X-B: 1", line])
    }

    @Test(arguments: [
        "X_Forwarded_Proto", "Content_Length", "transfer_encoding", "X_User-ID", "x-auth_subject", "X_Forwarded_For", "X_Real_IP",
    ])
    func `a name that reads like one of ours when its underscores are dashes is refused`(_ name: String) {
        #expect(throws: HeadFault.underscoreTwin) { try left(["\(name): 1"]) }
    }

    @Test(arguments: ["a_b", "_", "long_name_of_a_field", "abcdefg_", "abcdefgh_", "_bcdefghijklmnopq", "x_gateway_y"])
    func `another name with an underscore is dropped, forwarded or refused as configured`(_ name: String) throws {
        for (policy, expected) in [(Entrance.UnderscorePolicy.drop, ["Host: a"]), (.forward, ["Host: a", "\(name): 1"])] {
            var head = request("GET / HTTP/1.1", "Host: a", "\(name): 1")
            var context = context()
            try entrance(underscores: policy).receive(&head, &context)
            #expect(fieldLines(head) == expected)
        }
        #expect(throws: HeadFault.underscoreName) {
            var head = request("GET / HTTP/1.1", "Host: a", "\(name): 1")
            var context = context()
            try entrance(underscores: .reject).receive(&head, &context)
        }
    }

    @Test(arguments: ["a-b", "abcdefgh", "abcdefghijklmnop", "x-`", "a^b", "^^^^^^^^^^", "dddddddd-"])
    func `a name without an underscore is not taken for one with`(_ name: String) throws {
        #expect(try left(["\(name): 1"]) == ["\(name): 1"])
    }

    @Test(arguments: [
        "1.1 sluice-1234", "1.0 fred, 1.1 SLUICE-1234", "HTTP/1.1 sluice-1234:8080 (us)", "1.1 p (a (b), c) , 2 sluice-1234",
        "1.1\tsluice-1234", "1.1 a (\\), 1.1 b), 1.1 sluice-1234",
    ])
    func `our own pseudonym in Via is a loop, answered with 508`(_ value: String) {
        #expect(throws: HeadFault.loop) { try left(["Via: 1.1 x", "Via: \(value)"]) }
        #expect(HeadFault.loop.status == 508)
    }

    @Test(arguments: [
        "1.1 sluice-12345", "1.1 sluice-123", "1.1 x (sluice-1234)", "1.1 x (, 1.1 sluice-1234)", "sluice-1234 x",
        "1.1 x sluice-1234",
        "1.1 sluice-1234.example", "1.1 x (", "", ",", "1.1 x (\\",
    ])
    func `another proxy in Via is no loop`(_ value: String) throws {
        #expect(try left(["Via: \(value)"]) == ["Via: \(value)"])
    }

    @Test func `10 entries in Via pass and 11 are refused`() throws {
        let entries = { (count: Int) in "Via: " + Array(repeating: "1.1 p", count: count).joined(separator: ", ") }
        #expect(try left([entries(6), entries(4)]).count == 2)
        #expect(throws: HeadFault.hopsTooMany) { try left([entries(6), entries(5)]) }
    }

    @Test func `a removed field keeps its bytes for the log`() throws {
        var head = request("GET / HTTP/1.1", "Host: a", "X-User-ID: 1", "User-Agent: u", "Connection: user-agent")
        var context = context()
        try entrance().receive(&head, &context)
        #expect(fieldLines(head) == ["Host: a"])
        #expect(text(head.headers.value(1)) == "1")
        #expect(text(head.headers.value(2)) == "u")
    }

    @Test func `a refused request has a client and a request id all the same`() throws {
        var head = request("GET / HTTP/1.1", "Host: a", "Via: 1.1 sluice-1234", "X-Forwarded-For: 192.0.2.1")
        var context = context(peer: "10.0.0.1")
        do throws(HeadFault) {
            try entrance().receive(&head, &context)
            Issue.record("not refused")
        } catch {
            #expect(error == .loop)
        }
        #expect(context.clientAddress.text == "192.0.2.1")
        #expect(context.requestID.byteCount == 36)
    }

    @Test func `every fault has a status, a code, a reason and a message`() {
        let faults: [HeadFault] = [
            .repeatedField, .underscoreTwin, .underscoreName, .connectionOptionsTooMany, .loop, .hopsTooMany, .maxForwardsInvalid,
        ]
        for fault in faults {
            #expect(fault.status == (fault == .loop ? 508 : 400))
            #expect("\(fault.code)" == (fault == .loop ? "LOOP_DETECTED" : "INVALID_REQUEST"))
            #expect(!"\(fault.message)".isEmpty)
        }
        #expect(Set(faults.map { "\($0.reason)" }).count == faults.count)
    }
}
