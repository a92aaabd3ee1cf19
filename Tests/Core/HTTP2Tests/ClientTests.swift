import HTTP1
import HTTP2
import HTTPMessages
import Primitives
import Testing

/// The other end: requests to backends, and what may be retried (RFC 9113 §8.7).
@Suite struct ClientTests {
    private let get = "GET /p?q HTTP/1.1\r\nHost: h:1\r\nX-A: b\r\n\r\n"

    @Test func `a request is sent without what belongs to a connection of HTTP 1`() {
        let client = Endpoint.openClient()
        let text =
            "POST /p?q HTTP/1.1\r\nX-A: b\r\nHost: h:1\r\nConnection: close, x\r\nKeep-Alive: 1\r\nProxy-Connection: close\r\n"
            + "Transfer-Encoding: chunked\r\nUpgrade: x\r\nHTTP2-Settings: y\r\nTE: trailers\r\nX-Empty:\r\n\r\n"
        let reader = FrameReader()
        #expect(client.request(text, end: false, token: 9) == 1)
        _ = reader.read(client.writeBytes())
        let expected = [
            ":method: POST", ":scheme: http", ":authority: h:1", ":path: /p?q", "x-a: b", "te: trailers", "x-empty: ",
        ]
        #expect(reader.blocks.last?.fields == expected)
        #expect(client.with(1) { $0.token($1) } == 9)
    }

    @Test func `te is sent as trailers or not at all`() {
        let client = Endpoint.openClient()
        let reader = FrameReader()
        #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\n\r\n") == 1)
        #expect(client.request("OPTIONS * HTTP/1.1\r\n\r\n") == 3)
        _ = reader.read(client.writeBytes())
        #expect(reader.blocks.first?.fields == [":method: GET", ":scheme: http", ":authority: a", ":path: /"])
        #expect(reader.blocks.last?.fields == [":method: OPTIONS", ":scheme: http", ":path: *"])
    }

    @Test func `what is no head is not sent`() {
        let client = Endpoint.openClient()
        for text in [
            "", "GET", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "GET  HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost a\r\n\r\n", "GET / HTTP/1.1\r\nX: a\nb\r\n\r\n", "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n",
        ] { #expect(client.request(text) == nil, "\(text)") }
        #expect(client.withSession { $0.activeStreams } == 0)
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        for text in [
            "", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 101 No\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: \u{7f}\r\n\r\n",
        ] {
            #expect(!server.respond(1, text), "\(text)")
        }
        #expect(server.respond(1, "HTTP/1.1 200 OK\r\n\r\n"))
        #expect(!server.respond(1, "HTTP/1.1 200 OK\r\n\r\n"))
    }

    @Test func `a response becomes the text of HTTP 1, interim heads first, trailers last`() {
        let client = Endpoint.openClient()
        #expect(client.request(get) == 1)
        _ = client.write()
        let all =
            headers(1, [(":status", "103"), ("link", "</a>")], end: false)
            + headers(1, [(":status", "200"), ("x", "y")], end: false)
            + data(1, bytes("body")) + headers(1, [("grpc-status", "0")])
        let seen = client.receive(all)
        #expect(
            seen == [
                .head(1, "HTTP/1.1 103 \r\nlink: </a>\r\n\r\n", ends: false),
                .head(1, "HTTP/1.1 200 \r\nx: y\r\n\r\n", ends: false), .data(1, bytes("body")),
                .trailers(1, "grpc-status: 0\r\n\r\n"), .closed(1),
            ])
        var head = ResponseHead()
        let text = bytes("HTTP/1.1 200 \r\nx: y\r\n\r\n")
        #expect(
            ResponseParser.parse(text.span.bytes, limits: .response, requestMethod: .get, into: &head)
                == .head(consumed: text.count))
    }

    @Test func `the length of a body that HEAD and 304 do not have is no fault`() {
        for (method, status) in [("HEAD", "200"), ("GET", "304")] {
            let client = Endpoint.openClient()
            #expect(client.request("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n") == 1)
            _ = client.write()
            let seen = client.receive(headers(1, [(":status", status), ("content-length", "10")]))
            #expect(seen == [.head(1, "HTTP/1.1 \(status) \r\ncontent-length: 10\r\n\r\n", ends: true), .closed(1)])
        }
    }

    @Test func `a length that the body does not keep to is a reset`() {
        let client = Endpoint.openClient()
        #expect(client.request(get) == 1)
        _ = client.write()
        _ = client.receive(headers(1, [(":status", "200"), ("content-length", "3")], end: false) + data(1, [1], end: true))
        _ = client.write()
        #expect(client.events() == [.reset(1, 1, retry: false), .closed(1)])
    }

    @Test func `REFUSED_STREAM is safe to retry, unless a head has come`() {
        let client = Endpoint.openClient()
        #expect(client.request(get) == 1 && client.request(get) == 3)
        _ = client.write()
        #expect(client.receive(reset(1, 7)) == [.reset(1, 7, retry: true), .closed(1)])
        #expect(
            client.receive(headers(3, [(":status", "200")], end: false) + reset(3, 7)).suffix(2)
                == [.reset(3, 7, retry: false), .closed(3)])
        #expect(client.request(get) == 5)
        _ = client.write()
        #expect(client.receive(reset(5, 2)) == [.reset(5, 2, retry: false), .closed(5)])
    }

    @Test func `streams above the last of a GOAWAY are safe to retry, those below go on`() {
        let client = Endpoint.openClient()
        for stream in [1, 3, 5] as [Int32] { #expect(client.request(get) == stream) }
        _ = client.write()
        let seen = client.receive(goAway(3, 0))
        #expect(seen == [.goAway(3, 0), .reset(5, 7, retry: true), .closed(5)])
        #expect(!client.withSession { $0.canOpenStream })
        #expect(client.request(get) == nil)
        #expect(client.receive(headers(1, [(":status", "200")])).last == .closed(1))
        #expect(!client.withSession { $0.wantsClose })
        #expect(client.receive(headers(3, [(":status", "200")])).last == .closed(3))
        #expect(client.withSession { $0.wantsClose })
    }

    @Test func `a request that was not on its way yet when GOAWAY came is safe to retry`() {
        let client = Endpoint.openClient()
        #expect(client.request(get) == 1)
        _ = client.receive(goAway(0, 0))
        _ = client.write()
        #expect(client.events() == [.reset(1, 7, retry: true), .closed(1)])
    }

    @Test func `no more streams are opened than the peer takes`() {
        let client = Endpoint.openClient(HTTP2ClientPolicy(), [(3, 2)])
        #expect(client.request(get) == 1 && client.request(get) == 3)
        #expect(client.request(get) == nil)
        _ = client.write()
        _ = client.receive(headers(1, [(":status", "200")]))
        #expect(client.request(get) == 5)
        #expect(client.receive(settings([(3, 10)])) == [.settings])
        #expect(client.withSession { $0.canOpenStream })
        let own = Endpoint.openClient(HTTP2ClientPolicy(maxConcurrentStreams: 1))
        #expect(own.request(get) == 1)
        #expect(own.request(get) == nil)
    }

    @Test func `a client opens no more streams than a connection may have`() {
        let client = Endpoint.openClient(HTTP2ClientPolicy(requestsPerConnection: 1))
        #expect(client.request(get) == 1)
        _ = client.write()
        _ = client.receive(headers(1, [(":status", "200")]))
        #expect(!client.withSession { $0.canOpenStream })
    }

    @Test func `a request can be cancelled before and behind its way`() {
        let client = Endpoint.openClient()
        #expect(client.request(get) == 1)
        _ = client.with(1) { $0.reset($1, .cancel) }
        _ = client.write()
        #expect(client.events() == [.closed(1)])
        #expect(client.request(get) == 3)
        _ = client.write()
        _ = client.with(3) { $0.reset($1, .cancel) }
        #expect(client.write().map(\.code) == [8])
        #expect(client.events() == [.closed(3)])
        #expect(client.withSession { $0.activeStreams } == 0)
        #expect(client.glitches == 1)  // the first SETTINGS
    }

    @Test func `a response that ends before the request is whole, and the rest of the request is not wanted`() {
        let client = Endpoint.openClient()
        #expect(client.request("POST / HTTP/1.1\r\nHost: a\r\n\r\n", end: false) == 1)
        #expect(client.send(1, [UInt8](repeating: 1, count: 100_000)))
        _ = client.write()
        let seen = client.receive(headers(1, [(":status", "413")]) + reset(1, 0))
        #expect(seen == [.head(1, "HTTP/1.1 413 \r\n\r\n", ends: true), .closed(1)])
        #expect(client.withSession { $0.pendingTotal } == 0)
        #expect(!client.send(1, [1]))
    }

    @Test func `extended CONNECT leaves out the handshake of HTTP 1`() {
        let client = Endpoint.openClient(HTTP2ClientPolicy(), [(8, 1)])
        #expect(client.withSession { $0.peerAllowsExtendedConnect })
        let text =
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"
            + "Sec-WebSocket-Version: 13\r\n\r\n"
        let reader = FrameReader()
        #expect(client.request(text, end: false, upgrade: "websocket") == 1)
        _ = reader.read(client.writeBytes())
        #expect(
            reader.blocks.last?.fields == [
                ":method: CONNECT", ":scheme: http", ":authority: a", ":path: /chat", ":protocol: websocket",
                "sec-websocket-version: 13",
            ])
        #expect(!Endpoint.openClient().withSession { $0.peerAllowsExtendedConnect })
    }

    @Test func `a PING that is not answered in time ends the connection`() {
        let client = Endpoint.openClient()
        client.withSession { $0.ping(at: Instant(nanoseconds: 1_000_000_000)) }
        #expect(client.write().map(\.type) == [6])
        #expect(client.receive(frame(6, 1, 0, [UInt8](repeating: 0, count: 8))) == [.ping])
        #expect(client.withSession { $0.nextDeadline } == .never)
        client.withSession { $0.ping(at: Instant(nanoseconds: 1_000_000_000)) }
        client.fired(after: 5)
        #expect(client.withSession { $0.failure } == .pingTimeout)
        #expect(client.write().map(\.type) == [7])
        #expect(client.withSession { $0.wantsClose })
    }
}
