import HTTPMessages
import Pipeline
import Primitives
import Testing

/// Whom the gateway believes about the client (hardening 69, B.3).
@Suite struct ClientAddressTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let peer: String
        let fields: [String]
        let client: String
        var style = Pipeline.ForwardedStyle.x
        var testDescription: String { "\(peer) \(fields)" }
    }

    static let cases: [Case] = [
        // From a stranger nothing is believed.
        Case(peer: "198.51.100.7", fields: ["X-Forwarded-For: 192.0.2.1"], client: "198.51.100.7"),
        Case(peer: "10.0.0.1", fields: [], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1"], client: "192.0.2.1"),
        // The right-most hop that is not ours; what stands left of it may be forged.
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.2"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: garbage, 192.0.2.1"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1,10.0.0.3"], client: "192.0.2.1"),
        // All ours: the left-most.
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 10.0.0.9, 10.0.0.2"], client: "10.0.0.9"),
        // With ports, in brackets, IPv6, IPv4-mapped.
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1:4711"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: [2001:db8::1]:4711"], client: "2001:db8::1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: [2001:db8::1]"], client: "2001:db8::1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 2001:db8::1"], client: "2001:db8::1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1, ::ffff:10.0.0.2"], client: "192.0.2.1"),
        // What is no address is not guessed at.
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1, unknown"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1, "], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1:"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1:123456"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1:http"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: [192.0.2.1]"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: [2001:db8::1"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: [2001:db8::1]x"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.300"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For:"], client: "10.0.0.1"),
        // The other family is read where it is alone; where both are there, the one that the gateway writes.
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1"], client: "192.0.2.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.9", "X-Forwarded-For: 192.0.2.1"], client: "192.0.2.1"),
        Case(
            peer: "10.0.0.1", fields: ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.9"], client: "192.0.2.9",
            style: .rfc7239),
        // A family that is spoilt, or names nobody, does not send us to the other one.
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-For: nonsense", "Forwarded: for=192.0.2.9"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["X-Forwarded-Proto: http", "Forwarded: for=192.0.2.9"], client: "10.0.0.1"),
        Case(
            peer: "10.0.0.1", fields: ["X-Forwarded-For: 6.6.6.6", "Forwarded: for=\"1"], client: "10.0.0.1", style: .rfc7239),
        // Our proxy's own line counts behind one that cannot be read, and not before it.
        Case(
            peer: "10.0.0.1", fields: ["Forwarded: for=\"6", "Forwarded: for=192.0.2.1"], client: "192.0.2.1", style: .rfc7239),
        Case(
            peer: "10.0.0.1", fields: ["Forwarded: for=6.6.6.6", "Forwarded: for=\"1"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1;proto=a;proto=b"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1;host=a;Host=b"], client: "10.0.0.1", style: .rfc7239),
        // RFC 7239.
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1"], client: "192.0.2.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: FOR=\"192.0.2.1:80\";proto=https"], client: "192.0.2.1", style: .rfc7239),
        Case(
            peer: "10.0.0.1", fields: ["Forwarded: proto=http; for=\"[2001:db8::1]:80\" ;by=_x"], client: "2001:db8::1",
            style: .rfc7239),
        Case(
            peer: "10.0.0.1", fields: ["Forwarded: for=6.6.6.6, for=192.0.2.1;by=\"a,b\", for=10.0.0.2"], client: "192.0.2.1",
            style: .rfc7239),
        Case(
            peer: "10.0.0.1", fields: ["Forwarded: for=6.6.6.6", "Forwarded: for=192.0.2.1"], client: "192.0.2.1", style: .rfc7239
        ),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1, for=_hidden"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1, proto=http"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1;for=192.0.2.2"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=\"192.0.2.1"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=\"192.0\\.2.1\""], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for="], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.1 x"], client: "10.0.0.1", style: .rfc7239),
        Case(peer: "10.0.0.1", fields: ["Forwarded: =192.0.2.1"], client: "10.0.0.1", style: .rfc7239),
        // Both: the older family first, the newer where it is alone.
        Case(
            peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.9", "X-Forwarded-For: 192.0.2.1"], client: "192.0.2.1",
            style: .both),
        Case(peer: "10.0.0.1", fields: ["Forwarded: for=192.0.2.9"], client: "192.0.2.9", style: .both),
    ]

    @Test(arguments: cases) func `the client is the right-most hop that no trusted proxy is, or the peer`(_ example: Case) throws
    {
        var head = request("GET / HTTP/1.1", "Host: a")
        for line in example.fields { add(line, to: &head.headers) }
        let peer = try #require(IPAddress(example.peer))
        let found = ClientAddress.resolve(head.headers, peer: peer, trusted: blocks("10.0.0.0/8"), style: example.style)
        #expect(found.client.text == example.client)
        #expect(found.isTrustedPeer == example.peer.hasPrefix("10."))

        var context = context(peer: example.peer)
        try entrance(style: example.style).receive(&head, &context)
        #expect(context.clientAddress == found.client)
        #expect(context.isTrustedPeer == found.isTrustedPeer)
        #expect(context.clientPort == (found.client == peer && found.client != IPAddress("10.0.0.9") ? 40_000 : 0))
    }

    @Test(
        arguments: [
            (["Forwarded: for=192.0.2.1;proto=https"], .https), (["Forwarded: for=192.0.2.1;proto=HTTPS;host=b"], .https),
            (["Forwarded: for=6.6.6.6;proto=https, for=192.0.2.1;proto=http"], .http),
            (["Forwarded: for=6.6.6.6;proto=http, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http"], .https),
            // Hidden by our proxy, which has seen it all the same.
            (["Forwarded: for=_hidden;proto=https"], .https), (["Forwarded: proto=https"], .https),
            (["Forwarded: for=192.0.2.1;proto=ws"], .http), (["Forwarded: for=192.0.2.1;proto=https;\""], .http),
            (["X-Forwarded-Proto: https"], .https),
        ] as [([String], Scheme)])
    func `the scheme comes from the same element as the client, in every style`(_ fields: [String], _ scheme: Scheme) throws {
        for style in [Pipeline.ForwardedStyle.x, .rfc7239, .both] {
            var head = request("GET / HTTP/1.1", "Host: a")
            for line in fields { add(line, to: &head.headers) }
            var own = context(peer: "10.0.0.1")
            try entrance(style: style).receive(&head, &own)
            #expect(own.clientScheme == scheme)
            var stranger = context()
            try entrance(style: style).receive(&head, &stranger)
            #expect(stranger.clientScheme == .http)
        }
    }

    @Test func `the scheme of one family is never that of the client whom the other names`() throws {
        for (style, scheme) in [(Pipeline.ForwardedStyle.x, Scheme.http), (.both, .http), (.rfc7239, .https)] {
            var head = request(
                "GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.9;proto=https")
            var context = context(peer: "10.0.0.1")
            try entrance(style: style).receive(&head, &context)
            #expect(context.clientScheme == scheme)
        }
    }

    @Test(arguments: [1, 19, 20, 21, 400]) func `a run of more than 20 trusted hops is not followed`(_ count: Int) throws {
        let hops = (["192.0.2.1"] + Array(repeating: "10.0.0.2", count: count - 1)).joined(separator: ", ")
        let head = request("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: \(hops)")
        let peer = try #require(IPAddress("10.0.0.1"))
        let found = ClientAddress.resolve(head.headers, peer: peer, trusted: blocks("10.0.0.0/8"))
        #expect(found.client.text == (count <= 20 ? "192.0.2.1" : "10.0.0.1"))
    }

    @Test func `a client cannot hide behind its proxy by sending a long or broken list`() throws {
        for forged in [Array(repeating: "6.6.6.6", count: 100).joined(separator: ","), "\"((", ",,,,", "]["] {
            let head = request("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: \(forged), 192.0.2.1")
            let peer = try #require(IPAddress("10.0.0.1"))
            #expect(ClientAddress.resolve(head.headers, peer: peer, trusted: blocks("10.0.0.0/8")).client.text == "192.0.2.1")
        }
    }

    @Test func `no list of bytes brings the reading of addresses down`() throws {
        var random = RandomSource(seed: 7)
        let alphabet = bytes("for=\";,:[]10.2_ \\ab")
        let peer = try #require(IPAddress("10.0.0.1"))
        for _ in 0..<5000 {
            let value = (0..<Int.random(in: 0...40, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            var headers = HeaderBlock()
            headers.add(.forwarded, value: value.span.bytes)
            headers.add(.xForwardedFor, value: value.span.bytes)
            for style in [Pipeline.ForwardedStyle.x, .rfc7239, .both] {
                let found = ClientAddress.resolve(headers, peer: peer, trusted: blocks("10.0.0.0/8"), style: style)
                #expect(found.isTrustedPeer)
            }
        }
    }

    @Test func `who comes over a Unix socket is trusted unless the rule says otherwise`() throws {
        for trusts in [true, false] {
            var head = request("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1")
            var context = context(unixSocket: true)
            let entrance = Entrance(.init(trustedProxies: [], trustsUnixSockets: trusts, pseudonym: bytes("s")))
            try entrance.receive(&head, &context)
            #expect(context.isTrustedPeer == trusts)
            #expect(context.hasClientAddress == trusts)
            if trusts { #expect(context.clientAddress.text == "192.0.2.1") }
        }
    }
}
