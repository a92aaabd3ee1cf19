import HTTP2
import Primitives
import Testing

/// RFC 9113 §5 and §6 over raw frames: what ends a stream, what ends the connection, and what is no matter.
@Suite struct FrameTests {
    private enum Verdict: Equatable {
        case fine
        case stream(UInt32)
        case connection(UInt32)
    }

    /// What comes of bytes behind an opening.
    private func verdict(_ endpoint: Endpoint, _ bytes: [UInt8]) -> Verdict {
        _ = endpoint.receive(bytes)
        let frames = endpoint.write()
        if let last = frames.last(where: { $0.type == 7 }) {
            #expect(endpoint.withSession { $0.wantsClose })
            #expect(endpoint.withSession { $0.failure } != nil)
            #expect(endpoint.receive(ping()).isEmpty && endpoint.write().isEmpty)
            return .connection(last.code)
        }
        #expect(endpoint.withSession { $0.failure } == nil)
        if let reset = frames.first(where: { $0.type == 3 }) { return .stream(reset.code) }
        return .fine
    }

    private let open = headers(1, request("POST"), end: false)
    private let ended = headers(1, request())

    @Test func `a client's frames are judged as the RFC says`() {
        let padded: [UInt8] = [3, 120, 0, 0, 0]
        let table: [(String, [UInt8], Verdict)] = [
            ("DATA on stream 0", data(0, [1]), .connection(1)),
            ("DATA on an idle stream", data(1, [1]), .connection(1)),
            ("DATA behind END_STREAM", ended + data(1, [1]), .connection(5)),
            ("HEADERS behind END_STREAM", ended + headers(1, [("x", "y")]), .connection(5)),
            ("HEADERS on stream 0", headers(0, request()), .connection(1)),
            ("HEADERS on an even stream", headers(2, request()), .connection(1)),
            ("padded DATA", open + frame(0, 9, 1, padded), .fine),
            ("DATA with more padding than there is", open + frame(0, 8, 1, [9, 1]), .connection(1)),
            ("padded DATA without a length", open + frame(0, 8, 1), .connection(1)),
            ("HEADERS with more padding than there is", frame(1, 13, 1, [200] + block(request())), .connection(1)),
            ("HEADERS that depend on themselves", frame(1, 37, 1, big(1) + [0] + block(request())), .connection(1)),
            ("a broken HPACK block", frame(1, 5, 1, [0xff, 0xff, 0xff, 0xff, 0xff]), .connection(9)),
            ("an HPACK index that there is not", frame(1, 5, 1, [0xfe]), .connection(9)),
            ("PRIORITY", frame(2, 0, 1, big(0) + [15]), .fine),
            ("PRIORITY on stream 0", frame(2, 0, 0, big(1) + [15]), .connection(1)),
            ("PRIORITY of a wrong size", frame(2, 0, 1, [1, 2]), .connection(6)),
            ("RST_STREAM on stream 0", reset(0, 8), .connection(1)),
            ("RST_STREAM on an idle stream", reset(1, 8), .connection(1)),
            ("RST_STREAM of a wrong size", open + frame(3, 0, 1, [1]), .connection(6)),
            ("RST_STREAM", open + reset(1, 8), .fine),
            ("RST_STREAM again", open + reset(1, 8) + reset(1, 8), .fine),
            ("SETTINGS on a stream", frame(4, 0, 1), .connection(1)),
            ("SETTINGS of a wrong size", frame(4, 0, 0, [1, 2, 3]), .connection(6)),
            ("SETTINGS ACK with a payload", frame(4, 1, 0, [0, 1, 0, 0, 0, 0]), .connection(6)),
            ("SETTINGS ACK for nothing", settingsAcknowledgement, .connection(1)),
            ("ENABLE_PUSH of 2", settings([(2, 2)]), .connection(1)),
            ("INITIAL_WINDOW_SIZE of 2^31", settings([(4, 1 << 31)]), .connection(3)),
            ("MAX_FRAME_SIZE too small", settings([(5, 16_383)]), .connection(1)),
            ("MAX_FRAME_SIZE too large", settings([(5, 1 << 24)]), .connection(1)),
            ("33 settings", settings((0..<33).map { ($0 + 100, 0) }), .connection(11)),
            ("a setting that nobody knows", settings([(0xabc, 1)]), .fine),
            ("PUSH_PROMISE of a client", open + frame(5, 4, 1, big(2) + block(request())), .connection(1)),
            ("PING", ping(), .fine),
            ("PING on a stream", frame(6, 0, 1, [UInt8](repeating: 0, count: 8)), .connection(1)),
            ("PING of a wrong size", frame(6, 0, 0, [1]), .connection(6)),
            ("GOAWAY on a stream", frame(7, 0, 1, big(0) + big(0)), .connection(1)),
            ("GOAWAY of a wrong size", frame(7, 0, 0, [1]), .connection(6)),
            ("WINDOW_UPDATE by 0 on the connection", windowUpdate(0, 0), .connection(1)),
            ("WINDOW_UPDATE by 0 on a stream", open + windowUpdate(1, 0), .connection(1)),
            ("WINDOW_UPDATE on an idle stream", windowUpdate(1, 1), .connection(1)),
            ("WINDOW_UPDATE of a wrong size", frame(8, 0, 0, [1]), .connection(6)),
            ("a connection window beyond 2^31-1", windowUpdate(0, 0x7fff_ffff), .connection(3)),
            ("a stream window beyond 2^31-1", open + windowUpdate(1, 0x7fff_ffff), .stream(3)),
            ("CONTINUATION by itself", frame(9, 4, 1, []), .connection(1)),
            (
                "CONTINUATION of another stream",
                headers(1, request(), endHeaders: false) + frame(9, 4, 3, []), .connection(1)
            ),
            ("another frame within a header block", headers(1, request(), endHeaders: false) + ping(), .connection(1)),
            ("a frame longer than MAX_FRAME_SIZE", [0, 0x40, 1, 0, 0, 0, 0, 0, 1], .connection(6)),
            ("an unknown type", frame(0xbe, 0xff, 1, [1, 2, 3]), .fine),
            ("a reserved bit", frame(6, 0, Int32.min, [UInt8](repeating: 0, count: 8)), .fine),
        ]
        for entry in table {
            #expect(verdict(.openServer(), entry.1) == entry.2, "\(entry.0)")
        }
    }

    @Test func `a server's frames are judged as the RFC says`() {
        let response: Fields = [(":status", "200")]
        let head = headers(1, response, end: false)
        let table: [(String, [UInt8], Verdict)] = [
            ("DATA before the head", data(1, [1]), .connection(1)),
            ("DATA on an idle stream", data(3, [1]), .connection(1)),
            ("HEADERS on an idle stream", headers(3, response), .connection(1)),
            ("HEADERS of a stream of the server's", headers(2, response), .connection(1)),
            ("PUSH_PROMISE", frame(5, 4, 1, big(2) + block(request())), .connection(1)),
            ("ENABLE_PUSH", settings([(2, 1)]), .connection(1)),
            ("a status with two digits", headers(1, [(":status", "20")]), .stream(1)),
            ("a status of 101", headers(1, [(":status", "101")]), .stream(1)),
            ("a status of 600", headers(1, [(":status", "600")]), .stream(1)),
            ("no status", headers(1, [("x", "y")]), .stream(1)),
            ("two of them", headers(1, response + response), .stream(1)),
            ("an interim head that ends the stream", headers(1, [(":status", "103")]), .stream(1)),
            ("DATA behind an interim head", headers(1, [(":status", "103")], end: false) + data(1, [1]), .stream(1)),
            ("connection", headers(1, response + [("connection", "close")]), .stream(1)),
            ("transfer-encoding", headers(1, response + [("transfer-encoding", "chunked")]), .stream(1)),
            ("a line end in a value", headers(1, response + [("x", "a\r\nb")]), .stream(1)),
            ("an upper-case name", headers(1, response + [("X", "a")]), .stream(1)),
            ("a request's pseudo-field", headers(1, response + [(":path", "/")]), .stream(1)),
            (
                "less than the announced length",
                headers(1, response + [("content-length", "3")], end: false) + data(1, [1], end: true), .stream(1)
            ),
            ("trailers that do not end the stream", head + headers(1, [("x", "y")], end: false), .stream(1)),
            ("GOAWAY for an even stream", goAway(2, 0), .connection(1)),
            ("GOAWAY that goes up", goAway(1, 0) + goAway(3, 0), .connection(1)),
            ("a response", head + data(1, [1], end: true), .fine),
            ("a status of 599", headers(1, [(":status", "599")]), .fine),
            ("GOAWAY", goAway(1, 0), .fine),
        ]
        for entry in table {
            let client = Endpoint.openClient()
            #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 1)
            _ = client.write()
            if case .connection = entry.2 {
                #expect(verdict(client, entry.1) == entry.2, "\(entry.0)")
            } else {
                _ = client.receive(entry.1)
                let resets = client.write().filter { $0.type == 3 }
                #expect(resets.first.map { .stream($0.code) } ?? Verdict.fine == entry.2, "\(entry.0)")
                #expect(client.withSession { $0.failure } == nil, "\(entry.0)")
            }
        }
    }

    @Test func `what is no HTTP 2 preface ends the connection`() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r!", String(repeating: "\u{0}", count: 100),
        ] {
            let server = Endpoint.server()
            #expect(server.receive(bytes(text)).isEmpty)
            #expect(!server.isOpen)
            #expect(server.withSession { $0.failure } == .badPreface)
            #expect(server.write().last?.code == 1)
        }
    }

    @Test func `a first frame that is not SETTINGS ends the connection`() {
        #expect(verdict(.server(), preface + ping()) == .connection(1))
        #expect(verdict(Endpoint(.client(HTTP2ClientPolicy())), ping()) == .connection(1))
    }

    @Test func `frames for a stream that both sides have closed end the connection`() {
        for late in [data(1, [1]), headers(1, [("x", "y")]), data(1, [], end: true)] {
            let server = Endpoint.openServer()
            _ = server.receive(ended)
            #expect(server.respond(1, "HTTP/1.1 204 No Content\r\n\r\n"))
            _ = server.write()
            _ = server.events()
            #expect(verdict(server, late) == .connection(5))
            #expect(server.withSession { $0.failure } == .frameOnClosedStream)
        }
    }

    @Test func `a head on a stream that was passed over ends the connection with PROTOCOL_ERROR`() {  // §5.1.1
        for (first, late) in [(3, 1), (99, 97), (99, 1)] as [(Int32, Int32)] {
            let server = Endpoint.openServer()
            _ = server.receive(headers(first, request()))
            #expect(verdict(server, headers(late, request())) == .connection(1), "\(late) behind \(first)")
            #expect(server.withSession { $0.failure } == .connectionError(.protocolError))
            // Both in one read.
            #expect(verdict(.openServer(), headers(first, request()) + headers(late, request())) == .connection(1), "\(late)")
        }
    }

    @Test func `streams that were passed over are known again whatever lies between`() {
        let server = Endpoint.openServer()
        var number: Int32 = 1
        for step in [2, 4, 2, 6, 2, 2, 8, 2] as [Int32] {
            #expect(server.receive(headers(number, request())).count == 1)
            #expect(server.respond(number, "HTTP/1.1 204 No Content\r\n\r\n"))
            _ = server.write()
            _ = server.events()
            number += step
        }
        // 1 3 7 9 15 17 19 27 were opened.
        #expect(verdict(server, headers(11, request())) == .connection(1))
    }

    @Test func `a peer that passes over streams again and again is still told of a closed one`() {
        let server = Endpoint.openServer()
        for i in 0..<40 {
            let number = Int32(1 + 4 * i)
            #expect(server.receive(headers(number, request())).count == 1)
            #expect(server.respond(number, "HTTP/1.1 204 No Content\r\n\r\n"))
            _ = server.write()
            _ = server.events()
        }
        #expect(verdict(server, headers(3, request())) == .connection(5))
    }

    @Test func `trailers of streams opened in the same read are theirs`() {
        let server = Endpoint.openServer()
        let seen = server.receive(
            headers(3, request("POST"), end: false) + headers(7, request("POST"), end: false) + data(3, [1])
                + headers(3, [("x", "y")]) + headers(7, [("x", "z")]))
        #expect(seen.contains(.trailers(3, "x: y\r\n\r\n")) && seen.contains(.trailers(7, "x: z\r\n\r\n")))
        #expect(server.isOpen)
    }

    @Test func `a stream over the limit is refused and may be repeated, and the connection goes on`() {  // 84, §5.1.2
        // The client has acknowledged our SETTINGS.
        let server = Endpoint.openServer(streams: 2)
        server.isObliging = false
        let seen = server.receive(headers(1, request()) + headers(3, request()) + headers(5, request()))
        #expect(seen.count == 2 && server.isOpen)
        let resets = server.write()
        #expect(resets.map(\.type) == [3] && resets.map(\.stream) == [5] && resets.map(\.code) == [7])
        #expect(server.withSession { $0.takeStreamFaults()?.refused } == 1)
        #expect(server.glitches == 2)  // and the first SETTINGS
        #expect(server.respond(1, "HTTP/1.1 204 No Content\r\n\r\n"))
        _ = server.write()
        #expect(server.events() == [.closed(1)])
        server.release(1)
        #expect(server.receive(headers(7, request())) == [.head(7, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ends: true)])
    }

    @Test func `frames for a stream that the server has reset are no fault`() {
        for late in [data(1, [1]), headers(1, [("x", "y")]), windowUpdate(1, 1), reset(1, 8)] {
            let server = Endpoint.openServer()
            _ = server.receive(open)
            _ = server.with(1) { $0.reset($1, .cancel) }
            #expect(server.write().map(\.code) == [8])
            #expect(server.events() == [.closed(1)])
            #expect(verdict(server, late) == .fine)
        }
    }

    @Test func `a stream within its limits is REFUSED_STREAM's business, not its neighbours'`() {
        let server = Endpoint.server(streams: 2)
        _ = server.write()
        // The client has not seen our SETTINGS yet.
        let seen = server.receive(preface + settings() + headers(1, request()) + headers(3, request()) + headers(5, request()))
        #expect(seen.count == 3)
        let frames = server.write().filter { $0.type == 3 }
        #expect(frames.map(\.stream) == [5] && frames.map(\.code) == [7])
        #expect(server.withSession { $0.takeStreamFaults()?.refused } == 1)
        #expect(server.respond(1, "HTTP/1.1 204 No Content\r\n\r\n"))
        _ = server.write()
        #expect(server.events() == [.closed(1)])
        #expect(server.receive(headers(7, request())) == [.head(7, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ends: true)])
    }

    @Test func `a cancelled stream holds its place until its work is torn down`() {
        let server = Endpoint.openServer(streams: 1)
        server.isObliging = false
        _ = server.receive(headers(1, request()))
        #expect(server.receive(reset(1, 8)) == [.reset(1, 8, retry: false), .closed(1)])
        #expect(server.receive(headers(3, request())).isEmpty)
        #expect(server.write().map(\.code) == [7])
        server.release(1)
        #expect(server.receive(headers(5, request())).count == 1)
    }

    @Test func `a PING is answered with what it brought`() {
        let server = Endpoint.openServer()
        _ = server.receive(ping())
        #expect(server.write() == [Frame(type: 6, flags: 1, stream: 0, payload: [1, 2, 3, 4, 5, 6, 7, 8])])
    }

    @Test func `our SETTINGS say what is enforced`() {
        let frames = Endpoint.server(streams: 100).write()
        #expect(frames.map(\.type) == [4, 8])
        let entries: [UInt8] = [0, 3] + big(100) + [0, 4] + big(262_144) + [0, 6] + big(65_536) + [0, 9] + big(1)
        #expect(frames.first?.payload == entries)
        #expect(frames.last?.payload == big(1_048_576 - 65_535))
        let client = Endpoint(.client(HTTP2ClientPolicy())).write()
        #expect(client.first?.payload.starts(with: [0, 2] + big(0)) == true)
    }
}
