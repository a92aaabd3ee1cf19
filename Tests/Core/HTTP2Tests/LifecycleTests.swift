import HTTP2
import Primitives
import Testing

/// How sessions answer, and how they end (RFC 9113 §6.8, §8.1; hardening 97, 99).
@Suite struct LifecycleTests {
    @Test func `a drain lets in what is on its way, and then nothing`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        server.withSession { $0.drain() }
        #expect(server.write().map(\.payload) == [big(0x7fff_ffff) + big(0)])
        #expect(server.receive(headers(3, request())).count == 1)
        #expect(server.withSession { $0.nextDeadline } == server.now + .seconds(1))
        server.fired(after: 1)
        #expect(server.write().map(\.payload) == [big(3) + big(0)])
        #expect(server.receive(headers(5, request())).isEmpty)
        #expect(server.respond(1, "HTTP/1.1 204 No Content\r\n\r\n"))
        _ = server.write()
        #expect(!server.withSession { $0.wantsClose })
        #expect(server.respond(3, "HTTP/1.1 204 No Content\r\n\r\n"))
        _ = server.write()
        #expect(server.withSession { $0.wantsClose })
        #expect(server.withSession { $0.failure } == nil)
    }

    @Test func `drain called twice says which stream was the last`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        server.withSession { $0.drain() }
        server.withSession { $0.drain() }
        server.withSession { $0.drain() }
        #expect(server.write().map(\.payload) == [big(0x7fff_ffff) + big(0), big(1) + big(0)])
    }

    @Test func `a connection that has served what it may is drained`() {  // 99
        let server = Endpoint.openServer(requests: 3)
        for stream in [1, 3] as [Int32] { _ = server.receive(headers(stream, request())) }
        #expect(!server.withSession { $0.isDraining })
        _ = server.receive(headers(5, request()))
        #expect(server.withSession { $0.isDraining })
        #expect(server.write().map(\.type) == [7])
    }

    @Test func `goAway ends the connection at once`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        server.withSession { $0.goAway(.internalError) }
        #expect(server.receive(ping()).isEmpty && !server.isOpen)
        #expect(server.write().map(\.payload) == [big(1) + big(2)])
        #expect(server.withSession { $0.wantsClose })
    }

    @Test func `interim heads come before the final one, and not behind it`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        #expect(server.interim(1, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
        #expect(server.interim(1, "HTTP/1.1 100 Continue\r\n\r\n"))
        #expect(server.respond(1, "HTTP/1.1 200 OK\r\n\r\n"))
        #expect(!server.interim(1, "HTTP/1.1 100 Continue\r\n\r\n"))
        _ = server.write()
        #expect(server.reader.blocks.map(\.fields) == [[":status: 103", "link: </a>"], [":status: 100"], [":status: 200"]])
    }

    @Test func `trailers follow the body, or the head when there is none`() {
        for body in [bytes("body"), []] {
            let server = Endpoint.openServer()
            _ = server.receive(headers(1, request()))
            #expect(server.respond(1, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            if !body.isEmpty { #expect(server.send(1, body)) }
            #expect(server.end(1, trailers: "Grpc-Status: 0\r\n\r\n"))
            let frames = server.write()
            #expect(frames.map(\.type) == (body.isEmpty ? [1, 1] : [1, 0, 1]))
            #expect(frames.last?.flags == 5)
            #expect(server.reader.blocks.last?.fields == ["grpc-status: 0"])
            #expect(server.events() == [.closed(1)])
        }
    }

    @Test func `trailers that are none end the stream all the same`() {
        for text in ["\r\n", "", "Connection: x\r\n\r\n", "bad line\r\n\r\n"] {
            let server = Endpoint.openServer()
            _ = server.receive(headers(1, request()))
            #expect(server.respond(1, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            #expect(server.end(1, trailers: text))
            #expect(server.write().last == Frame(type: 0, flags: 1, stream: 1, payload: []), "\(text)")
        }
    }

    @Test func `a body in pieces is sent as it comes, and its end by itself`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        #expect(!server.end(1))
        #expect(server.respond(1, "HTTP/1.1 200 OK\r\n\r\n", end: false))
        #expect(server.write().map(\.type) == [1])
        for piece in ["a", "bc"] {
            #expect(server.send(1, bytes(piece)))
            #expect(server.write().map(\.payload) == [bytes(piece)])
        }
        #expect(server.end(1))
        #expect(!server.send(1, [1]))
        #expect(server.write() == [Frame(type: 0, flags: 1, stream: 1, payload: [])])
    }

    @Test func `what is asked of a stream that is gone is answered with nothing`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        _ = server.with(1) { $0.setToken($1, 5) }
        #expect(server.with(1) { $0.token($1) } == .some(5))
        _ = server.receive(reset(1, 8))
        #expect(server.with(1) { $0.token($1) } == .some(nil))
        #expect(!server.respond(1, "HTTP/1.1 200 OK\r\n\r\n") && !server.send(1, [1]) && !server.end(1))
        #expect(server.with(1) { $0.pending($1) } == 0)
        // The place is used again, and the old id does not mean it.
        _ = server.receive(headers(3, request()))
        _ = server.with(3) { $0.setToken($1, 6) }
        #expect(server.with(1) { $0.token($1) } == .some(nil))
        _ = server.with(1) { $0.reset($1, .cancel) }
        server.release(1)
        #expect(server.write().isEmpty)
        #expect(server.with(3) { $0.token($1) } == .some(6))
    }

    @Test func `nothing more is heard of a stream that was released`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request("POST"), end: false))
        _ = server.with(1) { $0.reset($1, .internalError) }
        server.release(1)
        #expect(server.receive(data(1, [1, 2, 3]) + data(1, [], end: true)).isEmpty)
        _ = server.write()
        #expect(server.events().isEmpty)
        #expect(server.withSession { $0.activeStreams } == 0)
    }

    @Test func `an idle session holds no block`() {
        let server = Endpoint.openServer()
        for i in 0..<50 {
            let stream = Int32(1 + 2 * i)
            _ = server.receive(
                headers(stream, request("POST"), end: false) + data(stream, [1, 2]) + headers(stream, [("x", "y")]))
            #expect(server.respond(stream, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            #expect(server.send(stream, [1]) && server.end(stream, trailers: "a: b\r\n\r\n"))
            _ = server.write()
            _ = server.events()
        }
        // Head, trailers, event list, body, trailers to send: all that was ever taken is back, and no more was ever made.
        #expect(server.memory.idleBytes <= 8 * 1024)
    }

    @Test func `events of streams that are gone by then are passed over`() {
        let server = Endpoint.openServer()
        var all = [UInt8]()
        for i in 0..<40 { all += headers(Int32(1 + 2 * i), request("POST"), end: false) + data(Int32(1 + 2 * i), [1]) }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: all.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: all)
        #expect(server.withSession { $0.receive(UnsafeRawBufferPointer(copy), at: Instant(nanoseconds: 1_000_000_000)) })
        // Each stream is reset and released at its head, and closed by the write in between, before its data is looked at.
        var heads = 0
        var others = 0
        while let event = server.withSession({ $0.nextEvent() }) {
            guard case .head(let stream, _) = event else {
                others += 1
                continue
            }
            heads += 1
            server.withSession {
                $0.reset(stream, .cancel)
                $0.released(stream, at: server.now)
            }
            _ = server.write()
        }
        #expect(heads == 40 && others == 0)
        #expect(server.withSession { $0.activeStreams } == 0)
    }
}
