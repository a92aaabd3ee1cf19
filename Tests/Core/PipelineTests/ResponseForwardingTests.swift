import HTTPMessages
import Pipeline
import Primitives
import Testing

/// The response as the client gets it (hardening 41, 42, 49, 51, 52, 77; B.3).
@Suite struct ResponseForwardingTests {
    private func rule(addsVia: Bool = true, requestIDHeader: String = "X-Request-ID") throws -> ResponseForwarding {
        try ResponseForwarding(
            .init(
                pseudonym: bytes("sluice-1234"), addsVia: addsVia, requestIDHeader: bytes(requestIDHeader)))
    }

    private func contextWithID() -> RequestContext {
        var context = context()
        context.makeRequestID()
        return context
    }

    private func client(_ head: consuming ResponseHead, _ forwarding: ResponseForwarding? = nil) throws -> [String] {
        var head = head
        let forwarding = try forwarding ?? rule()
        try forwarding.receive(&head)
        let delivery = ResponseDelivery.decide(
            version: .http11, method: .get, status: head.status, upstream: head.framing, declaredLength: head.declaredLength,
            keepsAlive: true)
        return clientLines(forwarding, head, contextWithID(), delivery: delivery).map { line in
            line.hasPrefix("X-Request-ID: ") ? "X-Request-ID: \(line.count - 14)" : line
        }
    }

    @Test func `a whole response of a backend goes to the client like this`() throws {
        let lines = try client(
            response(
                "HTTP/1.1 200 Fine", "Server: backend", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Set-Cookie: a=1",
                "Connection: close, X-Hop",
                "X-Hop: 1", "Keep-Alive: timeout=5", "Set-Cookie: b=2", "Proxy-Connection: x", "Upgrade: h2c", "Trailer: X-T",
                "TE: x",
                "Proxy-Authenticate: Basic", "X-Request-ID: theirs", "X-Gateway-Secret: s", "Via: 1.1 inner", "X-Sluice: kept",
                "Set-Cookie: a=3", "Content-Type: text/plain", "Content-Length: 5"))
        #expect(
            lines == [
                "HTTP/1.1 200 OK", "Server: backend", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Set-Cookie: a=1", "Set-Cookie: b=2",
                "Via: 1.1 inner", "X-Sluice: kept", "Set-Cookie: a=3", "Content-Type: text/plain", "Via: 1.1 sluice-1234",
                "X-Request-ID: 36", "Content-Length: 5", "",
            ])
    }

    @Test func `a response without Date gets one`() throws {
        #expect(try client(response("HTTP/1.1 200 OK", "Content-Length: 0")).contains("Date: Tue, 14 Nov 2023 22:13:20 GMT"))
    }

    @Test(arguments: [
        (0 as UInt64, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (1_077_926_400, "Sat, 28 Feb 2004 00:00:00 GMT"),
        (1_456_704_000, "Mon, 29 Feb 2016 00:00:00 GMT"), (1_743_552_000, "Wed, 02 Apr 2025 00:00:00 GMT"),
        (1_746_748_799, "Thu, 08 May 2025 23:59:59 GMT"), (1_750_982_400, "Fri, 27 Jun 2025 00:00:00 GMT"),
        (1_752_451_200, "Mon, 14 Jul 2025 00:00:00 GMT"), (1_755_993_600, "Sun, 24 Aug 2025 00:00:00 GMT"),
        (1_757_462_400, "Wed, 10 Sep 2025 00:00:00 GMT"), (1_761_091_200, "Wed, 22 Oct 2025 00:00:00 GMT"),
        (1_766_966_400, "Mon, 29 Dec 2025 00:00:00 GMT"), (1_772_323_200, "Sun, 01 Mar 2026 00:00:00 GMT"),
    ])
    func `a time is written as HTTP wants it`(_ seconds: UInt64, _ expected: String) throws {
        var context = context()
        context.begin(
            at: Instant(nanoseconds: 0), unixNanoseconds: seconds * 1_000_000_000 + 999_999_999, seed: 0, bodyLimit: 0,
            exchangeToken: 0)
        context.makeRequestID()
        let head = response("HTTP/1.1 204 No Content")
        let delivery = ResponseDelivery(body: .none, contentLength: nil, connection: .unsaid)
        #expect(clientLines(try rule(), head, context, delivery: delivery).contains("Date: \(expected)"))
    }

    @Test func `Via names the version in which the backend answered, and can be left out`() throws {
        #expect(try client(response("HTTP/1.0 200 OK", "Content-Length: 0")).contains("Via: 1.0 sluice-1234"))
        #expect(
            try !client(response("HTTP/1.1 200 OK", "Content-Length: 0"), rule(addsVia: false)).contains { $0.hasPrefix("Via") })
    }

    @Test func `the gateway's own response has no Via, and the request id`() throws {
        var head = ResponseHead()
        let answer = Answer(status: 200, fields: [("X-A", "1")], body: bytes("hello"), contentType: "text/plain")
        answer.fill(&head)
        let delivery = ResponseDelivery.decide(
            version: .http11, method: .get, status: 200, upstream: .length(5), declaredLength: nil, keepsAlive: false)
        let lines = clientLines(try rule(), head, contextWithID(), delivery: delivery, isForwarded: false)
        #expect(lines.count == 8)
        #expect(lines[0...3] == ["HTTP/1.1 200 OK", "X-A: 1", "Content-Type: text/plain", "Date: Tue, 14 Nov 2023 22:13:20 GMT"])
        #expect(lines[4].hasPrefix("X-Request-ID: "))
        #expect(lines[5...7] == ["Content-Length: 5", "Connection: close", ""])
    }

    @Test func `the request id can go by another name`() throws {
        let lines = try client(
            response("HTTP/1.1 200 OK", "x-correlation-id: theirs", "Content-Length: 0"),
            rule(requestIDHeader: "X-Correlation-ID"))
        #expect(lines.filter { $0.lowercased().hasPrefix("x-correlation-id: ") }.map(\.count) == [18 + 36])
    }

    @Test func `an interim response loses what ends at this hop and nothing else`() throws {
        var head = response(
            "HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload", "Connection: x-a", "X-A: 1", "Keep-Alive: 1")
        try rule().receive(&head)
        #expect(fieldLines(head) == ["Link: </a.css>; rel=preload"])
    }

    @Test func `a backend cannot have us compare endless connection options`() throws {
        let options = (1...65).map { "x\($0)" }.joined(separator: ",")
        #expect(throws: HeadFault.connectionOptionsTooMany) {
            var head = response("HTTP/1.1 200 OK", "Connection: \(options)")
            try rule().receive(&head)
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        var version = HTTPVersion.http11
        var method = HTTPMessages.Method.get
        var status: UInt16 = 200
        let upstream: BodyFraming
        var declared: UInt64?
        var keepsAlive = true
        let expected: ResponseDelivery
        var testDescription: String { name }
    }

    private static func to(
        _ body: BodyFraming, _ length: UInt64? = nil, _ connection: ResponseDelivery.Connection = .unsaid
    ) -> ResponseDelivery {
        ResponseDelivery(body: body, contentLength: length, connection: connection)
    }

    static let cases: [Case] = [
        Case(name: "length", upstream: .length(5), declared: 5, expected: to(.length(5), 5)),
        Case(name: "length 0", upstream: .length(0), declared: 0, expected: to(.length(0), 0)),
        Case(name: "chunked", upstream: .chunked, expected: to(.chunked)),
        Case(name: "until close", upstream: .untilClose, expected: to(.chunked)),
        Case(name: "no body at all", upstream: .none, expected: to(.length(0), 0)),
        Case(name: "close", upstream: .length(5), keepsAlive: false, expected: to(.length(5), 5, .close)),
        Case(name: "chunked and close", upstream: .chunked, keepsAlive: false, expected: to(.chunked, nil, .close)),
        Case(name: "1.0 length", version: .http10, upstream: .length(5), expected: to(.length(5), 5, .keepAlive)),
        Case(
            name: "1.0 length close", version: .http10, upstream: .length(5), keepsAlive: false,
            expected: to(.length(5), 5, .close)),
        Case(name: "1.0 chunked", version: .http10, upstream: .chunked, expected: to(.untilClose, nil, .close)),
        Case(name: "1.0 until close", version: .http10, upstream: .untilClose, expected: to(.untilClose, nil, .close)),
        Case(name: "HEAD length", method: .head, upstream: .none, declared: 5, expected: to(.none, 5)),
        Case(name: "HEAD of an own answer", method: .head, upstream: .length(7), expected: to(.none, 7)),
        Case(name: "HEAD without length", method: .head, upstream: .none, expected: to(.none)),
        Case(name: "HEAD chunked", method: .head, upstream: .chunked, expected: to(.none)),
        Case(name: "HEAD 1.0", version: .http10, method: .head, upstream: .none, declared: 5, expected: to(.none, 5, .keepAlive)),
        Case(name: "HEAD 204", method: .head, status: 204, upstream: .none, declared: 5, expected: to(.none)),
        Case(name: "204", status: 204, upstream: .none, declared: 5, expected: to(.none)),
        Case(name: "204 with a body", status: 204, upstream: .length(5), declared: 5, expected: to(.none)),
        Case(name: "304", status: 304, upstream: .none, declared: 5, expected: to(.none, 5)),
        Case(name: "304 without length", status: 304, upstream: .chunked, expected: to(.none)),
        Case(name: "304 close", status: 304, upstream: .none, keepsAlive: false, expected: to(.none, nil, .close)),
        Case(name: "103", status: 103, upstream: .none, keepsAlive: false, expected: to(.none)),
        Case(name: "100", version: .http10, status: 100, upstream: .none, expected: to(.none)),
    ]

    @Test(arguments: cases) func `a response is framed for its client`(_ example: Case) {
        let found = ResponseDelivery.decide(
            version: example.version, method: example.method, status: example.status, upstream: example.upstream,
            declaredLength: example.declared, keepsAlive: example.keepsAlive)
        #expect(found == example.expected)
        #expect(found.closes == (example.expected.connection == .close))
    }

    @Test func `the framing is written as decided`() throws {
        let head = response("HTTP/1.1 200 OK", "Date: x")
        let framing = { (delivery: ResponseDelivery) throws in
            clientLines(try rule(addsVia: false), head, contextWithID(), delivery: delivery).dropFirst(3)
        }
        #expect(try framing(Self.to(.chunked)) == ["Transfer-Encoding: chunked", ""])
        #expect(try framing(Self.to(.length(7), 7, .keepAlive)) == ["Content-Length: 7", "Connection: keep-alive", ""])
        #expect(try framing(Self.to(.untilClose, nil, .close)) == ["Connection: close", ""])
        #expect(try framing(Self.to(.none)) == [""])
    }
}
