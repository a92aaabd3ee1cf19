import HTTP1
import HTTP2
import Primitives
import Testing

/// Hardening 79 to 86: each flood ends its connection soon, and the memory stays small whatever comes.
@Suite struct FloodTests {
    /// How many of the pieces are taken before the connection is over, and why it is.
    private func flood(_ endpoint: Endpoint, most: Int = 20_000, _ piece: (Int) -> [UInt8]) -> (count: Int, HTTP2Failure?) {
        for i in 0..<most {
            _ = endpoint.receive(piece(i))
            _ = endpoint.write()
            _ = endpoint.events()
            if !endpoint.isOpen || endpoint.withSession({ $0.failure }) != nil {
                return (i + 1, endpoint.withSession { $0.failure })
            }
        }
        return (most, nil)
    }

    private let open = headers(1, request("POST"), end: false)

    @Test func `floods of frames that do no work end the connection within the budget`() {  // 82, 86
        let table: [(String, (Int) -> [UInt8])] = [
            ("SETTINGS", { _ in settings() }),
            ("PING", { _ in ping() }),
            ("PING ACK", { _ in ping(1) }),
            ("PRIORITY", { _ in frame(2, 0, 1, big(0) + [15]) }),
            ("PRIORITY_UPDATE", { _ in frame(0x10, 0, 0, big(1) + bytes("u=1")) }),
            ("empty DATA", { _ in data(1, []) }),
            ("DATA of padding alone", { _ in frame(0, 8, 1, [3, 0, 0, 0]) }),
            ("WINDOW_UPDATE", { _ in windowUpdate(0, 1) }),
            ("WINDOW_UPDATE on a stream", { _ in windowUpdate(1, 1) }),
            ("larger WINDOW_UPDATE", { _ in windowUpdate(0, 4096) }),
            ("unknown frames", { _ in frame(0xbe, 0, 0, [1]) }),
            ("flips of INITIAL_WINDOW_SIZE", { settings([(4, $0 % 2 == 0 ? 0 : 0x7fff_ffff)]) }),
            ("malformed heads", { headers(Int32(3 + 2 * $0), request("GET", "noslash")) }),
        ]
        for entry in table {
            let server = Endpoint.openServer()
            _ = server.receive(open)
            let (count, failure) = flood(server, entry.1)
            #expect(failure == .tooManyControlFrames, "\(entry.0): \(String(describing: failure))")
            #expect(count <= 240, "\(entry.0) took \(count)")
        }
    }

    @Test func `a hostile backend's floods end the connection too`() {  // 98
        let table: [(String, (Int) -> [UInt8])] = [
            ("SETTINGS", { _ in settings() }), ("PING", { _ in ping() }), ("WINDOW_UPDATE", { _ in windowUpdate(0, 1) }),
            ("unknown frames", { _ in frame(0xbe) }), ("PRIORITY", { _ in frame(2, 0, 1, big(0) + [15]) }),
        ]
        for entry in table {
            let (count, failure) = flood(.openClient(), entry.1)
            #expect(failure == .tooManyControlFrames, "\(entry.0)")
            #expect(count <= 240, "\(entry.0)")
        }
    }

    @Test func `a flood in one piece is seen before nghttp2 has worked it off`() {
        let server = Endpoint.openServer()
        _ = server.receive([[UInt8]](repeating: ping(), count: 10_000).flatMap { $0 })
        #expect(!server.isOpen)
        #expect(server.write().map(\.type) == [7])
    }

    @Test func `rapid resets end the connection`() {  // 80
        let server = Endpoint.openServer()
        let (count, failure) = flood(server) { headers(Int32(1 + 2 * $0), request()) + reset(Int32(1 + 2 * $0), 8) }
        #expect(failure == .tooManyResets)
        #expect(count <= 201)
    }

    @Test func `rapid resets without a reader get no more streams than there are places`() {  // 80
        let server = Endpoint.openServer(streams: 10)
        server.isObliging = false
        var heads = 0
        for i in 0..<100 {
            let seen = server.receive(headers(Int32(1 + 2 * i), request()) + reset(Int32(1 + 2 * i), 8))
            heads += seen.filter { if case .head = $0 { true } else { false } }.count
            _ = server.write()
        }
        #expect(heads == 10)
    }

    @Test func `heads that are only decoded are counted`() {  // 82
        // Behind the GOAWAY of a drain, with a stream that goes on.
        let drained = Endpoint.openServer()
        _ = drained.receive(open)
        drained.withSession {
            $0.drain()
            $0.drain()
        }
        _ = drained.write()
        let (count, failure) = flood(drained) { headers(Int32(3 + 2 * $0), request()) }
        #expect(failure == .tooManyControlFrames)
        #expect(count > 100 && count <= 220)
        // On a stream that was reset.
        let server = Endpoint.openServer()
        _ = server.receive(open)
        _ = server.with(1) { $0.reset($1, .cancel) }
        _ = server.write()
        let (again, reason) = flood(server) { _ in headers(1, [("x", "y")]) }
        #expect(reason == .tooManyControlFrames)
        #expect(again <= 110)
    }

    @Test func `requests that were on their way when the connection was drained are no fault`() {  // 97
        let server = Endpoint.openServer()
        _ = server.receive(open)
        server.withSession {
            $0.drain()
            $0.drain()
        }
        _ = server.write()
        for i in 0..<99 { _ = server.receive(headers(Int32(3 + 2 * i), request())) }
        #expect(server.isOpen && server.glitches == 1)  // the first SETTINGS
    }

    @Test func `a server that is made to reset its streams ends the connection`() {  // 81
        let server = Endpoint.openServer()
        let (count, failure) = flood(server) {
            let stream = Int32(1 + 2 * $0)
            return headers(stream, request("POST"), end: false) + windowUpdate(stream, 0x7fff_ffff)
        }
        #expect(failure == .tooManyControlFrames || failure == .tooManyResets)
        #expect(count <= 201)
    }

    @Test func `resets by a backend end the connection`() {  // 98
        let client = Endpoint.openClient()
        var count = 0
        while client.withSession({ $0.failure }) == nil, count < 1000 {
            guard let stream = client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") else { break }
            _ = client.write()
            _ = client.receive(reset(stream, 2))
            count += 1
        }
        // At three quarters it opens no more.
        #expect(count >= 150 && count <= 201)
        #expect(client.withSession { $0.isDraining })
    }

    @Test func `what ordinary peers send is within the budgets`() {
        let server = Endpoint.openServer()
        var updates: [UInt8] = []
        for i in 0..<2000 {
            let stream = Int32(1 + 2 * i)
            _ = server.receive(updates + headers(stream, request()))
            #expect(server.respond(stream, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            #expect(server.send(stream, [UInt8](repeating: 0, count: 30_000)))
            #expect(server.end(stream))
            // Each DATA frame is answered by two window updates and a PING, as some gRPC libraries do.
            updates = server.write().filter { $0.type == 0 }.flatMap { frame in
                windowUpdate(0, UInt32(frame.payload.count)) + ping()
            }
            _ = server.events()
        }
        #expect(server.isOpen)
        #expect(server.glitches == 1)  // the first SETTINGS
        #expect(!server.withSession { $0.isDraining })
    }

    @Test func `what streams earn counts for the frames behind them in the same piece`() {
        // As a gRPC library sends 100 calls at once.
        let server = Endpoint.openServer()
        let calls = (0..<100).flatMap { i in
            let stream = Int32(1 + 2 * i)
            return windowUpdate(0, 5) + headers(stream, request("POST"), end: false) + windowUpdate(stream, 5)
                + windowUpdate(0, 5)
                + ping() + data(stream, [1], end: true)
        }
        _ = server.receive(calls)
        #expect(server.isOpen)
        #expect(server.glitches == 1)  // the first SETTINGS
    }

    @Test func `three quarters of a budget begin a drain`() {
        let server = Endpoint.openServer()
        for _ in 0..<75 { _ = server.receive(settings()) }
        let frames = server.write().filter { $0.type == 7 }
        #expect(frames.map(\.code) == [0])
        #expect(server.isOpen)
        #expect(server.withSession { $0.isDraining })
    }

    @Test func `a budget comes back with time`() {
        let server = Endpoint.openServer()
        for _ in 0..<1000 {
            server.now = server.now + .milliseconds(100)
            _ = server.receive(settings())
            _ = server.write()
        }
        #expect(server.isOpen)
    }

    @Test func `more than eight CONTINUATION frames end the connection`() {  // 83
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request(), endHeaders: false))
        for i in 0..<9 where server.isOpen { _ = server.receive(frame(9, 0, 1, block([("x\(i)", "y")]))) }
        #expect(!server.isOpen)
        #expect(server.withSession { $0.failure } == .tooManyContinuations)
        #expect(server.write().last?.code == 11)
    }

    @Test func `eight CONTINUATION frames are one head`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request(), endHeaders: false))
        for i in 0..<7 { #expect(server.receive(frame(9, 0, 1, block([("x\(i)", "y")]))).isEmpty) }
        let seen = server.receive(frame(9, 4, 1, block([("x7", "y")])))
        #expect(seen.count == 1 && server.isOpen)
    }

    @Test func `a header block that is not ended in time ends the connection`() {  // 83
        for start in [headers(1, request(), endHeaders: false), headers(1, request()).dropLast().map { $0 }] {
            let server = Endpoint.openServer()
            #expect(server.withSession { $0.nextDeadline } == .never)
            _ = server.receive(start)
            server.now = server.now + .seconds(5)
            _ = server.receive([])
            #expect(server.withSession { $0.nextDeadline } == server.now + .seconds(5))
            server.fired(after: 5)
            #expect(server.withSession { $0.failure } == .headersTimeout)
            #expect(server.write().map(\.type) == [7])
        }
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request(), endHeaders: false))
        _ = server.receive(frame(9, 4, 1))
        #expect(server.withSession { $0.nextDeadline } == .never)
    }

    @Test func `a bomb of indexed fields ends the connection and leaves no memory behind`() {  // 79
        let server = Endpoint.openServer()
        // A field of 2.9 KB goes into the table once, and is then one byte.
        let big = [0x40] + block([("x-bomb", String(repeating: "b", count: 2900))]).dropFirst()
        let first = block(request()) + big
        _ = server.receive(frame(1, 1, 1, first))
        let before = server.memory.idleBytes
        for _ in 0..<5 where server.isOpen { _ = server.receive(frame(9, 0, 1, [UInt8](repeating: 0xbe, count: 16_000))) }
        #expect(!server.isOpen)
        #expect(server.withSession { $0.failure } == .headerLists)
        #expect(server.write().last?.code == 11)
        #expect(server.memory.idleBytes - before < 300_000)
    }

    @Test func `a head over a limit is announced as refused, and a second list that is too long ends the connection`() {  // 79
        let limits = Limits(requestTargetBytes: 100, fieldBytes: 200, headerBytes: 2000, fieldCount: 10)
        let table: [(String, Fields, UInt16, String)] = [
            ("a long target", request("GET", "/" + String(repeating: "t", count: 100)), 414, ""),
            ("a long field", request([("x", String(repeating: "v", count: 200))]), 431, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("many fields", request((0..<11).map { ("x\($0)", "") }), 431, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("many cookies", request((0..<11).map { ("cookie", "c\($0)") }), 431, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "a long list", request((0..<10).map { ("x\($0)", String(repeating: "v", count: 190)) }), 431,
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            ),
        ]
        for entry in table {
            let server = Endpoint.openServer(limits: limits)
            #expect(server.receive(headers(1, entry.1)) == [.refused(1, status: entry.2)], "\(entry.0)")
            #expect(server.with(1) { latin1($0.headText($1)) } == entry.3, "\(entry.0)")
            #expect(server.respond(1, "HTTP/1.1 \(entry.2) No\r\n\r\n"))
            #expect(server.write().map(\.type) == [1])
            #expect(server.events() == [.closed(1)])
            #expect(server.receive(headers(3, request())).count == 1)
            for stream in [5, 7] as [Int32] { _ = server.receive(headers(stream, request((0..<11).map { ("x\($0)", "") }))) }
            #expect(server.withSession { $0.failure } == .headerLists, "\(entry.0)")
        }
    }

    @Test func `heads at their limits are taken`() {
        let limits = Limits(requestTargetBytes: 100, fieldBytes: 200, headerBytes: 2000, fieldCount: 10)
        for fields in [
            request("GET", "/" + String(repeating: "t", count: 99)), request([("x", String(repeating: "v", count: 197))]),
            request((0..<10).map { ("x\($0)", "") }),
        ] {
            let server = Endpoint.openServer(limits: limits)
            guard case .head = server.receive(headers(1, fields)).first else {
                Issue.record("refused")
                continue
            }
        }
    }

    @Test func `trailers over a limit reset the stream`() {
        let server = Endpoint.openServer(limits: Limits(fieldCount: 5))
        _ = server.receive(open)
        #expect(server.receive(headers(1, (0..<6).map { ("x\($0)", "") })).isEmpty)
        #expect(server.write().map(\.type) == [3])
        #expect(server.events() == [.reset(1, 8, retry: false), .closed(1)])
    }

    @Test func `a response's head over the limits is announced as refused and reset`() {  // 98
        let client = Endpoint.openClient(HTTP2ClientPolicy(limits: Limits(fieldCount: 5)))
        #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 1)
        _ = client.write()
        let seen = client.receive(headers(1, [(":status", "200")] + (0..<6).map { ("x\($0)", "") }))
        #expect(seen == [.refused(1, status: 431)])
        #expect(client.write().map(\.type) == [3])
        #expect(client.events() == [.closed(1)])
    }

    @Test func `interim heads without an end reset the stream`() {
        let client = Endpoint.openClient()
        #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 1)
        _ = client.write()
        let seen = client.receive((0..<17).flatMap { _ in headers(1, [(":status", "103")], end: false) })
        #expect(seen.count == 16)
        #expect(client.write().map(\.type) == [3])
    }

    @Test func `SETTINGS that are not acknowledged in time end the connection`() {  // 84
        let server = Endpoint.server()
        _ = server.write()
        _ = server.receive(preface + settings())
        server.fired(after: 9)
        #expect(server.withSession { $0.failure } == nil)
        server.fired(after: 1)
        #expect(server.withSession { $0.failure } == .settingsTimeout)
        #expect(server.write().last?.code == 4)
    }

    @Test func `acknowledgements that nobody reads end the connection`() {  // 100
        let server = Endpoint.openServer()
        var count = 0
        while server.isOpen, count < 5000 {
            server.now = server.now + .seconds(1)
            _ = server.receive(ping())
            count += 1
        }
        #expect(server.withSession { $0.failure } == .unreadAcknowledgements)
        #expect(count <= 300)
    }
}
