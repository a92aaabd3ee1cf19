import HTTPMessages
import Pipeline
import Primitives
import Testing

/// The request as the backend gets it (hardening 26, 30, 49, 52, 67 to 71, 75; B.3).
@Suite struct ForwardingTests {
    private func rule(
        host: Forwarding.Host = .fromClient, strippedPrefix: String = "", addsTimestamp: Bool = false, takesTrailers: Bool = true
    ) throws -> Forwarding {
        try Forwarding(
            .init(
                pseudonym: bytes("sluice-1234"), host: host, strippedPrefix: bytes(strippedPrefix), addsTimestamp: addsTimestamp,
                takesTrailers: takesTrailers))
    }

    /// The upstream head of a request after entrance and `prepare`.
    private func upstream(
        _ head: consuming RequestHead, peer: String = "198.51.100.7", unixSocket: Bool = false, scheme: Scheme = .http,
        style: Pipeline.ForwardedStyle = .x, _ forwarding: Forwarding? = nil, authority: String = "10.0.0.5:8080",
        closes: Bool = false, stripped: Bool = false
    ) throws -> [String] {
        var head = head
        var context = context(peer: peer, unixSocket: unixSocket, scheme: scheme)
        let forwarding = try forwarding ?? rule()
        try entrance(style: style).receive(&head, &context)
        context.hasStrippedPrefix = stripped
        #expect(forwarding.prepare(&head, &context) == .forward)
        return upstreamLines(forwarding, head, context, authority: authority, closes: closes).map { line in
            line.hasPrefix("X-Request-ID: ") ? "X-Request-ID: \(line.count - 14)" : line
        }
    }

    @Test func `a whole request of a browser goes upstream like this`() throws {
        let lines = try upstream(
            request(
                "POST /api/v1/users?q=1 HTTP/1.1", "Host: Api.Example.com:8000", "User-Agent: Mozilla/5.0", "Accept: */*",
                "Accept-Encoding: gzip", "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: 300", "TE: trailers, deflate",
                "Expect: 100-continue", "X-Forwarded-For: 6.6.6.6", "X-User-ID: 1", "X-HTTP-Method-Override: DELETE",
                "Via: 1.0 fred",
                "X-Request-ID: mine-mine-mine", "Cookie: a=1", "Cookie: b=2", "Content-Type: text/plain", "Content-Length: 5",
                "Authorization: Bearer t"))
        #expect(
            lines == [
                "POST /api/v1/users?q=1 HTTP/1.1", "Host: Api.Example.com:8000", "User-Agent: Mozilla/5.0", "Accept: */*",
                "Accept-Encoding: gzip", "Via: 1.0 fred", "Cookie: a=1", "Cookie: b=2", "Content-Type: text/plain",
                "Authorization: Bearer t",
                "X-Forwarded-For: 198.51.100.7", "X-Real-IP: 198.51.100.7", "X-Forwarded-Proto: http",
                "X-Forwarded-Host: Api.Example.com:8000", "X-Forwarded-Port: 8000", "Via: 1.1 sluice-1234", "X-Request-ID: 36",
                "TE: trailers", "Connection: TE", "Content-Length: 5", "",
            ])
    }

    @Test func `a request of a trusted proxy keeps what it says, and the proxy joins the list`() throws {
        let lines = try upstream(
            request(
                "GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1, 10.0.0.9", "X-Forwarded-For: 10.0.0.8",
                "X-Real-IP: 192.0.2.1",
                "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example", "X-Forwarded-Port: 8443", "X-Request-ID: edge-0123",
                "Forwarded: for=192.0.2.1"), peer: "10.0.0.1")
        #expect(
            lines == [
                "GET / HTTP/1.1", "Host: a", "X-Real-IP: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example",
                "X-Forwarded-Port: 8443", "X-Forwarded-For: 192.0.2.1, 10.0.0.9, 10.0.0.8, 10.0.0.1", "Via: 1.1 sluice-1234",
                "X-Request-ID: 9", "",
            ])
    }

    @Test func `a trusted proxy that says nothing is itself the client`() throws {
        let lines = try upstream(request("GET / HTTP/1.1", "Host: a"), peer: "10.255.100.9", scheme: .https)
        #expect(
            lines[2...6] == [
                "X-Forwarded-For: 10.255.100.9", "X-Real-IP: 10.255.100.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: a",
                "X-Forwarded-Port: 443",
            ])
    }

    @Test func `the port follows the protocol that a trusted proxy tells`() throws {
        let lines = try upstream(request("GET / HTTP/1.1", "Host: a", "X-Forwarded-Proto: https"), peer: "10.0.0.1")
        #expect(lines.contains("X-Forwarded-Port: 443"))
    }

    @Test func `X-Real-IP is the client behind the trusted proxies`() throws {
        let lines = try upstream(request("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1, 10.0.0.9"), peer: "10.0.0.1")
        #expect(lines.contains("X-Real-IP: 192.0.2.1"))
        #expect(lines.contains("X-Forwarded-For: 192.0.2.1, 10.0.0.9, 10.0.0.1"))
    }

    @Test(arguments: ["0.0.0.0", "1.2.3.4", "9.10.99.100", "101.109.199.200", "255.254.249.250", "2001:db8::1", "10.20.30.40"])
    func `an address is written as it was read`(_ peer: String) throws {
        let lines = try upstream(request("GET / HTTP/1.1", "Host: a"), peer: peer)
        #expect(lines.contains("X-Forwarded-For: \(peer)"))
        #expect(lines.contains("X-Real-IP: \(peer)"))
    }

    @Test func `the longest values there can be are written whole`() throws {
        let peer = "2001:db80:ffff:ffff:ffff:ffff:ffff:ffff"
        let host = String(repeating: "h", count: 250) + ":65535"
        let lines = try upstream(
            request("POST / HTTP/1.1", "Host: \(host)", "TE: trailers", "Content-Length: 9223372036854775807"), peer: peer,
            scheme: .https, closes: true)
        #expect(
            Array(lines.dropFirst(2)) == [
                "X-Forwarded-For: \(peer)", "X-Real-IP: \(peer)", "X-Forwarded-Proto: https", "X-Forwarded-Host: \(host)",
                "X-Forwarded-Port: 65535", "Via: 1.1 sluice-1234", "X-Request-ID: 36", "TE: trailers", "Connection: close, TE",
                "Content-Length: 9223372036854775807", "",
            ])
    }

    @Test func `every value of a byte is written in decimal`() throws {
        for value in 0...255 as ClosedRange<UInt32> {
            let peer = IPAddress(v4: value << 24 | value << 16 | value << 8 | value).text
            #expect(try upstream(request("GET / HTTP/1.1", "Host: a"), peer: peer).contains("X-Forwarded-For: \(peer)"))
        }
    }

    @Test func `Forwarded is written when asked for, in place of the other family or beside it`() throws {
        let head = {
            request("GET / HTTP/1.1", "Host: a:81", "Forwarded: for=6.6.6.6", "X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6")
        }
        let lines = try upstream(head(), style: .rfc7239)
        #expect(
            lines == [
                "GET / HTTP/1.1", "Host: a:81", "Forwarded: for=198.51.100.7;host=\"a:81\";proto=http", "Via: 1.1 sluice-1234",
                "X-Request-ID: 36", "",
            ])
        let both = try upstream(head(), peer: "2001:db8::7", scheme: .https, style: .both)
        #expect(both.contains("Forwarded: for=\"[2001:db8::7]\";host=\"a:81\";proto=https"))
        #expect(both.contains("X-Forwarded-For: 2001:db8::7"))
    }

    @Test func `Forwarded of a trusted peer is continued in one field`() throws {
        let lines = try upstream(
            request("GET / HTTP/1.1", "Host: a", "Forwarded: for=192.0.2.1", "Forwarded: for=192.0.2.2;proto=https"),
            peer: "10.0.0.1", style: .rfc7239)
        #expect(
            lines.contains(
                "Forwarded: for=192.0.2.1, for=192.0.2.2;proto=https, for=10.0.0.1;host=\"a\";proto=http"))
    }

    @Test func `a peer without an address is unknown in Forwarded and absent from the other family`() throws {
        let lines = try upstream(request("GET / HTTP/1.1", "Host: a"), unixSocket: true, style: .both)
        #expect(lines.contains("Forwarded: for=unknown;host=\"a\";proto=http"))
        #expect(!lines.contains { $0.hasPrefix("X-Forwarded-For") || $0.hasPrefix("X-Real-IP") })
        let named = try upstream(request("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1"), unixSocket: true)
        #expect(named.contains("X-Forwarded-For: 192.0.2.1"))
        #expect(named.contains("X-Real-IP: 192.0.2.1"))
    }

    /// Fields of the trusted peer; the two lists that go upstream when both families are written.
    private static let oneFamily: [(peer: String, fields: [String], x: String?, forwarded: String)] = [
        // Nobody but the peer is named.
        ("10.0.0.1", [], "10.0.0.1", "for=10.0.0.1;host=\"a\";proto=http"),
        ("10.0.0.1", ["X-Forwarded-For: 10.0.0.1"], "10.0.0.1, 10.0.0.1", "for=10.0.0.1;host=\"a\";proto=http"),
        // Only X-Forwarded-For.
        (
            "10.0.0.1", ["X-Forwarded-For: 192.0.2.1"], "192.0.2.1, 10.0.0.1",
            "for=192.0.2.1, for=10.0.0.1;host=\"a\";proto=http"
        ),
        (
            "10.0.0.1", ["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.9", "X-Forwarded-Proto: https"],
            "6.6.6.6, 192.0.2.1, 10.0.0.9, 10.0.0.1", "for=192.0.2.1;proto=https, for=10.0.0.1;host=\"a\";proto=http"
        ),
        (
            "10.0.0.1", ["X-Forwarded-For: 2001:db8::1"], "2001:db8::1, 10.0.0.1",
            "for=\"[2001:db8::1]\", for=10.0.0.1;host=\"a\";proto=http"
        ),
        ("10.0.0.1", ["X-Forwarded-For: nonsense"], "nonsense, 10.0.0.1", "for=10.0.0.1;host=\"a\";proto=http"),
        // Only Forwarded.
        (
            "10.0.0.1", ["Forwarded: for=192.0.2.1"], "192.0.2.1, 10.0.0.1",
            "for=192.0.2.1, for=10.0.0.1;host=\"a\";proto=http"
        ),
        (
            "10.0.0.1", ["Forwarded: for=6.6.6.6, for=\"[2001:db8::1]:80\"", "Forwarded: for=10.0.0.9"], "2001:db8::1, 10.0.0.1",
            "for=6.6.6.6, for=\"[2001:db8::1]:80\", for=10.0.0.9, for=10.0.0.1;host=\"a\";proto=http"
        ),
        ("10.0.0.1", ["Forwarded: for=unknown"], "10.0.0.1", "for=unknown, for=10.0.0.1;host=\"a\";proto=http"),
        // Both: each goes on as it came where they agree, and else both say the same.
        (
            "10.0.0.1", ["Forwarded: for=192.0.2.2", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1, 10.0.0.1",
            "for=192.0.2.1, for=10.0.0.1;host=\"a\";proto=http"
        ),
        (
            "10.0.0.1", ["Forwarded: for=6.6.6.6, for=192.0.2.1", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1, 10.0.0.1",
            "for=6.6.6.6, for=192.0.2.1, for=10.0.0.1;host=\"a\";proto=http"
        ),
        (
            "10.0.0.1", ["Forwarded: for=192.0.2.1;proto=http", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"],
            "192.0.2.1, 10.0.0.1", "for=192.0.2.1;proto=https, for=10.0.0.1;host=\"a\";proto=http"
        ),
        (
            "10.0.0.1", ["Forwarded: for=\"192.0.2.1", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1, 10.0.0.1",
            "for=192.0.2.1, for=10.0.0.1;host=\"a\";proto=http"
        ),
        // What cannot be read is dropped, with what stands before it.
        ("10.0.0.1", ["Forwarded: for=192.0.2.1;host=\"b"], "10.0.0.1", "for=10.0.0.1;host=\"a\";proto=http"),
        (
            "10.0.0.1", ["Forwarded: for=5.5.5.5", "Forwarded: for=\"6", "Forwarded: for=192.0.2.1"], "192.0.2.1, 10.0.0.1",
            "for=192.0.2.1, for=10.0.0.1;host=\"a\";proto=http"
        ),
        // A scheme without a client.
        ("10.0.0.1", ["X-Forwarded-Proto: https"], "10.0.0.1", "for=unknown;proto=https, for=10.0.0.1;host=\"a\";proto=http"),
        // A Unix socket, which has no address of its own.
        ("unix", ["X-Forwarded-For: 192.0.2.1"], "192.0.2.1", "for=192.0.2.1, for=unknown;host=\"a\";proto=http"),
        ("unix", ["Forwarded: for=192.0.2.1"], "192.0.2.1", "for=192.0.2.1, for=unknown;host=\"a\";proto=http"),
        // A stranger names nobody.
        (
            "198.51.100.7", ["X-Forwarded-For: 192.0.2.1"], "198.51.100.7", "for=198.51.100.7;host=\"a\";proto=http"
        ),
        ("198.51.100.7", ["Forwarded: for=192.0.2.1"], "198.51.100.7", "for=198.51.100.7;host=\"a\";proto=http"),
    ]

    @Test(arguments: ForwardingTests.oneFamily)
    func `both families name the client that a trusted proxy named in one of them`(
        _ peer: String, _ fields: [String], _ x: String?, _ forwarded: String
    ) throws {
        var head = request("GET / HTTP/1.1", "Host: a")
        for field in fields { add(field, to: &head.headers) }
        let lines = try upstream(head, peer: peer == "unix" ? "0.0.0.0" : peer, unixSocket: peer == "unix", style: .both)
        #expect(lines.filter { $0.hasPrefix("X-Forwarded-For") } == (x.map { ["X-Forwarded-For: \($0)"] } ?? []))
        #expect(lines.filter { $0.hasPrefix("Forwarded") } == ["Forwarded: \(forwarded)"])
        // The last of what is in front of the peer is the client, as X-Real-IP has it.
        let isSpoilt = fields == ["Forwarded: for=192.0.2.1;host=\"b"]
        let isNamed =
            !isSpoilt && fields.contains { $0.contains("192.0.2.1") || $0.contains("2001:db8::1") } && peer != "198.51.100.7"
        let client = isNamed ? (fields.contains { $0.contains("2001:") } ? "2001:db8::1" : "192.0.2.1") : peer
        #expect(lines.filter { $0.hasPrefix("X-Real-IP") } == ["X-Real-IP: \(client)"])
    }

    @Test func `one family alone says what a trusted proxy said in the other`() throws {
        let x = try upstream(
            request("GET / HTTP/1.1", "Host: a", "Forwarded: for=192.0.2.1;host=\"b.test:8443\";proto=https"), peer: "10.0.0.1")
        #expect(!x.contains { $0.hasPrefix("Forwarded") })
        for line in [
            "X-Forwarded-For: 192.0.2.1, 10.0.0.1", "X-Real-IP: 192.0.2.1", "X-Forwarded-Proto: https",
            "X-Forwarded-Host: b.test:8443", "X-Forwarded-Port: 8443",
        ] { #expect(x.filter { $0.hasPrefix(line.prefix(while: { $0 != ":" })) } == [line]) }
        let forwarded = try upstream(
            request(
                "GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: b.test"),
            peer: "10.0.0.1", style: .rfc7239)
        #expect(
            forwarded.contains(
                "Forwarded: for=192.0.2.1;host=\"b.test\";proto=https, for=10.0.0.1;host=\"a\";proto=http"))
        #expect(!forwarded.contains { $0.hasPrefix("X-Forwarded") })
    }

    @Test func `Host is the client's, the instance's or a literal one`() throws {
        let hosts: [(Forwarding.Host, String)] = [
            (.fromClient, "Host: a"), (.ofInstance, "Host: 10.0.0.5:8080"),
            (.literal(bytes("backend.internal")), "Host: backend.internal"),
        ]
        for (host, expected) in hosts {
            let lines = try upstream(request("GET / HTTP/1.1", "Host: a"), rule(host: host))
            #expect(lines.filter { $0.hasPrefix("Host:") } == [expected])
            #expect(lines.contains("X-Forwarded-Host: a"))
        }
    }

    @Test func `a client of HTTP 1.0 without Host gets the instance's`() throws {
        let lines = try upstream(request("GET / HTTP/1.0", "User-Agent: u"))
        #expect(
            lines == [
                "GET / HTTP/1.1", "User-Agent: u", "Host: 10.0.0.5:8080", "X-Forwarded-For: 198.51.100.7",
                "X-Real-IP: 198.51.100.7",
                "X-Forwarded-Proto: http", "X-Forwarded-Port: 80", "Via: 1.0 sluice-1234", "X-Request-ID: 36", "",
            ])
    }

    @Test func `the authority of an absolute target takes the place of Host`() throws {
        var head = request("GET http://b:81/ HTTP/1.1", "Host: B:81")
        // As routing leaves it: the canonical host of the target.
        let start = head.targetRange.lowerBound + 7
        head.host = start..<(start + 1)
        head.port = 81
        let lines = try upstream(head)
        #expect(lines.filter { $0.hasPrefix("Host:") } == ["Host: b:81"])
    }

    @Test func `a stripped prefix is told, behind one that a trusted proxy stripped before`() throws {
        let forwarding = try rule(strippedPrefix: "/api")
        #expect(
            try upstream(request("GET / HTTP/1.1", "Host: a", "X-Forwarded-Prefix: /no"), forwarding, stripped: true)
                .contains("X-Forwarded-Prefix: /api"))
        // The path did not have the prefix.
        #expect(
            try upstream(request("GET / HTTP/1.1", "Host: a"), forwarding).contains { $0.hasPrefix("X-Forwarded-Prefix") }
                == false)
        let lines = try upstream(
            request("GET / HTTP/1.1", "Host: a", "X-Forwarded-Prefix: /outer"), peer: "10.0.0.1", forwarding, stripped: true)
        #expect(lines.filter { $0.hasPrefix("X-Forwarded-Prefix") } == ["X-Forwarded-Prefix: /outer/api"])
    }

    @Test func `X-Timestamp replaces the client's when it is asked for`() throws {
        let lines = try upstream(request("GET / HTTP/1.1", "Host: a", "X-Timestamp: 1"), rule(addsTimestamp: true))
        #expect(lines.filter { $0.hasPrefix("X-Timestamp") } == ["X-Timestamp: 2023-11-14T22:13:20.123Z"])
        #expect(try upstream(request("GET / HTTP/1.1", "Host: a", "X-Timestamp: 1")).contains("X-Timestamp: 1"))
    }

    @Test(arguments: [
        (0 as UInt64, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_868_799_000, "2000-02-29T23:59:59.000Z"), (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"), (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (9_223_372_036_854, "2262-04-11T23:47:16.854Z"),
        (18_446_744_073_709, "2262-04-11T23:47:16.854Z"),
    ])
    func `a time is written as RFC 3339`(_ milliseconds: UInt64, _ expected: String) throws {
        var head = request("GET / HTTP/1.1", "Host: a")
        var context = context()
        context.begin(
            at: Instant(nanoseconds: 0), unixNanoseconds: milliseconds * 1_000_000, seed: 1, bodyLimit: 0, exchangeToken: 0)
        try entrance().receive(&head, &context)
        #expect(upstreamLines(try rule(addsTimestamp: true), head, context).contains("X-Timestamp: \(expected)"))
    }

    @Test(arguments: ["GET", "HEAD", "DELETE", "OPTIONS", "POST"])
    func `a body is framed as it was declared, whatever the method`(_ method: String) throws {
        #expect(try upstream(request("\(method) / HTTP/1.1", "Host: a", "Content-Length: 44")).contains("Content-Length: 44"))
        #expect(try upstream(request("\(method) / HTTP/1.1", "Host: a", "Content-Length: 0")).contains("Content-Length: 0"))
        let chunked = try upstream(request("\(method) / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked"))
        #expect(chunked.filter { $0.hasPrefix("Transfer-Encoding") } == ["Transfer-Encoding: chunked"])
        #expect(!chunked.contains { $0.hasPrefix("Content-Length") })
        let none = try upstream(request("\(method) / HTTP/1.1", "Host: a"))
        #expect(!none.contains { $0.hasPrefix("Content-Length") || $0.hasPrefix("Transfer-Encoding") })
    }

    @Test func `an expectation is never forwarded, since the gateway meets it itself`() throws {
        let lines = try upstream(request("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Expect: 100-continue"))
        #expect(!lines.contains { $0.lowercased().hasPrefix("expect") })
        let old = try upstream(request("POST / HTTP/1.0", "Host: a", "Content-Length: 5", "Expect: x"))
        #expect(!old.contains { $0.lowercased().hasPrefix("expect") })
    }

    @Test func `Connection says close and TE only when they are so`() throws {
        let head = { request("GET / HTTP/1.1", "Host: a", "TE: trailers", "Connection: TE") }
        let connection = { (lines: [String]) in lines.filter { $0.hasPrefix("Connection") || $0.hasPrefix("TE") } }
        #expect(connection(try upstream(head())) == ["TE: trailers", "Connection: TE"])
        #expect(connection(try upstream(head(), closes: true)) == ["TE: trailers", "Connection: close, TE"])
        #expect(connection(try upstream(head(), rule(takesTrailers: false))) == [])
        #expect(connection(try upstream(head(), rule(takesTrailers: false), closes: true)) == ["Connection: close"])
        #expect(connection(try upstream(request("GET / HTTP/1.1", "Host: a", "Connection: close"))) == [])
    }

    @Test(arguments: ["OPTIONS", "TRACE"])
    func `Max-Forwards is counted down, and 0 is answered here`(_ method: String) throws {
        let decide = { (value: String) throws -> (Forwarding.Decision, [String]) in
            var head = request("\(method) / HTTP/1.1", "Host: a", "Max-Forwards: \(value)")
            var context = context()
            try entrance().receive(&head, &context)
            let forwarding = try rule()
            let decision = forwarding.prepare(&head, &context)
            #expect(forwarding.prepare(&head, &context) == decision)
            return (decision, upstreamLines(forwarding, head, context).filter { $0.hasPrefix("Max-Forwards") })
        }
        #expect(try decide("0").0 == .answerHere)
        #expect(try decide("00").0 == .answerHere)
        #expect(try decide("1") == (.forward, ["Max-Forwards: 0"]))
        #expect(try decide("10") == (.forward, ["Max-Forwards: 9"]))
        #expect(try decide("99999999999999999999999") == (.forward, ["Max-Forwards: 999999998"]))
        for bad in ["", "-1", "+1", "1 1", "x"] { #expect(try decide(bad).0 == .refuse(.maxForwardsInvalid)) }
    }

    @Test func `Max-Forwards of another method passes untouched`() throws {
        for value in ["0", "3", "x"] {
            #expect(
                try upstream(request("GET / HTTP/1.1", "Host: a", "Max-Forwards: \(value)")).contains("Max-Forwards: \(value)"))
        }
    }

    @Test func `a second attempt writes the same head, for its own instance`() throws {
        var head = request(
            "POST / HTTP/1.1", "Host: a", "User-Agent: u", "Referer: r", "Content-Length: 5", "X-Timestamp: 1", "Via: 1.1 x")
        var context = context()
        let forwarding = try rule(host: .ofInstance, strippedPrefix: "/p", addsTimestamp: true)
        try entrance().receive(&head, &context)
        #expect(forwarding.prepare(&head, &context) == .forward)
        let first = upstreamLines(forwarding, head, context, authority: "one:1")
        #expect(forwarding.prepare(&head, &context) == .forward)
        let second = upstreamLines(forwarding, head, context, authority: "two:2")
        #expect(first.contains("Host: one:1"))
        #expect(second == first.map { $0 == "Host: one:1" ? "Host: two:2" : $0 })
        let hostIndex = head.hostIndex
        let host = try #require(hostIndex)
        #expect(text(head.headers.value(host)) == "a")
        #expect(text(head.bytes(head.host)) == "a")
        let agentIndex = head.headers.firstIndex(of: .userAgent)
        let agent = try #require(agentIndex)
        #expect(text(head.headers.value(agent)) == "u")
    }

    @Test func `a value with a control byte is never written`() throws {
        let forwarding = try rule(host: .ofInstance)
        for byte in [0, 10, 13, 127] as [UInt8] {
            let value = bytes("10.0.0.5") + [byte] + bytes("X: 1")
            var head = request("GET / HTTP/1.1", "Host: a")
            var context = context(peer: "10.0.0.1")
            try entrance().receive(&head, &context)
            _ = forwarding.prepare(&head, &context)
            var out = ByteBuffer(capacity: 64)
            #expect(!forwarding.appendFields(to: &out, head: head, context: context, authority: value.span.bytes))
            // Nor does a list that a middleware or another codec put together.
            head.headers.add(.xForwardedFor, value: value.span.bytes)
            context = trusted(&head)
            let own = bytes("a")
            #expect(!forwarding.appendFields(to: &out, head: head, context: context, authority: own.span.bytes))
        }
    }

    /// A context in which the head came from a trusted peer with these very fields.
    private func trusted(_ head: inout RequestHead) -> RequestContext {
        var context = context(peer: "10.0.0.1")
        do throws(HeadFault) {
            try entrance().receive(&head, &context)
        } catch {
            Issue.record(error)
        }
        return context
    }

    @Test func `names and texts that are no field cannot be configured`() {
        #expect(throws: HeaderRuleError.invalidName(bytes("a b"))) { try Forwarding(.init(pseudonym: bytes("a b"))) }
        #expect(throws: HeaderRuleError.invalidName([])) { try Forwarding(.init(pseudonym: [])) }
        #expect(throws: HeaderRuleError.invalidName(bytes("X:"))) {
            try Forwarding(.init(pseudonym: bytes("a"), requestIDHeader: bytes("X:")))
        }
        #expect(throws: HeaderRuleError.invalidValue(name: bytes("Host"))) { try rule(host: .literal(bytes("a\r\nb: c"))) }
        #expect(throws: HeaderRuleError.invalidValue(name: bytes("Host"))) { try rule(host: .literal([])) }
        #expect(throws: HeaderRuleError.invalidValue(name: bytes("X-Forwarded-Prefix"))) { try rule(strippedPrefix: "/a\n") }
        #expect(throws: HeaderRuleError.invalidName(bytes("a b"))) { try ResponseForwarding(.init(pseudonym: bytes("a b"))) }
        #expect(throws: HeaderRuleError.invalidName(bytes("X:"))) {
            try ResponseForwarding(.init(pseudonym: bytes("a"), requestIDHeader: bytes("X:")))
        }
    }
}
