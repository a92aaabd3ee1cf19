import HTTP2
import Primitives
import Testing

/// RFC 9113 §5.2 and §6.9: what may be sent, what may be received, and what is given back.
@Suite struct FlowTests {
    private let open = headers(1, request("POST"), end: false)

    private func serverThatSends(_ count: Int, window: UInt32) -> Endpoint {
        let server = Endpoint.openServer()
        _ = server.receive(settings([(4, window)]) + headers(1, request()))
        _ = server.write()
        #expect(server.respond(1, "HTTP/1.1 200 OK\r\n\r\n", end: false))
        #expect(server.send(1, [UInt8](repeating: 7, count: count)))
        return server
    }

    private func dataBytes(_ frames: [Frame]) -> Int { frames.filter { $0.type == 0 }.reduce(0) { $0 + $1.payload.count } }

    @Test func `no more is sent than the stream's window takes`() {  // 85
        let server = serverThatSends(1000, window: 100)
        #expect(dataBytes(server.write()) == 100)
        #expect(server.with(1) { $0.pending($1) } == 900)
        #expect(server.withSession { $0.pendingTotal } == 900)
        #expect(server.write().isEmpty)
        _ = server.receive(windowUpdate(1, 300))
        #expect(dataBytes(server.write()) == 300)
        _ = server.receive(settings([(4, 500)]))
        #expect(dataBytes(server.write()) == 400)
        _ = server.receive(windowUpdate(1, 1000))
        #expect(server.end(1))
        let frames = server.write()
        #expect(dataBytes(frames) == 200 && frames.last?.flags == 1)
        #expect(server.events() == [.settings, .closed(1)] || server.events().isEmpty)
        #expect(server.withSession { $0.pendingTotal } == 0)
    }

    @Test func `no more is sent than the connection's window takes, however many streams there are`() {
        let server = Endpoint.openServer()
        _ = server.receive(settings([(4, 1 << 20)]))
        for i in 0..<4 {
            let stream = Int32(1 + 2 * i)
            _ = server.receive(headers(stream, request()))
            #expect(server.respond(stream, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            #expect(server.send(stream, [UInt8](repeating: 7, count: 100_000)))
        }
        #expect(dataBytes(server.write()) == 65_535)
        _ = server.receive(windowUpdate(0, 10_000))
        #expect(dataBytes(server.write()) == 10_000)
        #expect(server.withSession { $0.pendingTotal } == 400_000 - 75_535)
    }

    @Test func `a window of zero holds the body and not the head, and a reset frees the memory`() {  // 85
        let server = Endpoint.openServer()
        _ = server.receive(settings([(4, 0)]))
        for i in 0..<100 {
            let stream = Int32(1 + 2 * i)
            _ = server.receive(headers(stream, request()))
            #expect(server.respond(stream, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            #expect(server.send(stream, [UInt8](repeating: 7, count: 65_536)))
        }
        #expect(server.write().filter { $0.type == 1 }.count == 100)
        #expect(server.withSession { $0.pendingTotal } == 6_553_600)
        for i in 0..<100 { _ = server.receive(reset(Int32(1 + 2 * i), 8)) }
        #expect(server.withSession { $0.pendingTotal } == 0)
        #expect(server.withSession { $0.activeStreams } == 0)
        #expect(server.memory.idleBytes < 1 << 20)
    }

    @Test func `a stream that has little left to send is told of once`() {
        let server = serverThatSends(100_000, window: 50_000)
        _ = server.receive(windowUpdate(0, 1 << 20))
        _ = server.write()
        #expect(server.withSession { $0.nextDrained() == nil })
        _ = server.receive(windowUpdate(1, 40_000))
        _ = server.write()
        #expect(server.withSession { $0.nextDrained()?.number } == 1)
        #expect(server.withSession { $0.nextDrained() == nil })
        #expect(server.send(1, [UInt8](repeating: 1, count: 10)))
        _ = server.receive(windowUpdate(1, 40_000))
        _ = server.write()
        #expect(server.withSession { $0.nextDrained() == nil })
    }

    @Test func `streams take turns`() {
        let server = Endpoint.openServer()
        _ = server.receive(settings([(4, 1 << 20)]) + windowUpdate(0, 1 << 20))
        for stream in [1, 3, 5] as [Int32] {
            _ = server.receive(headers(stream, request()))
            #expect(server.respond(stream, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            #expect(server.send(stream, [UInt8](repeating: 7, count: 40_000)))
            #expect(server.end(stream))
        }
        let order = server.write().filter { $0.type == 0 }.map(\.stream)
        #expect(order == [1, 3, 5, 1, 3, 5, 1, 3, 5])
    }

    @Test func `streams take turns over several writes with a small limit`() {
        let server = Endpoint.openServer()
        _ = server.receive(settings([(4, 1 << 20)]) + windowUpdate(0, 1 << 20))
        for stream in [1, 3, 5] as [Int32] {
            _ = server.receive(headers(stream, request()))
            #expect(server.respond(stream, "HTTP/1.1 200 OK\r\n\r\n", end: false))
        }
        _ = server.write()
        for stream in [1, 3, 5] as [Int32] {
            #expect(server.send(stream, [UInt8](repeating: 7, count: 40_000)))
            #expect(server.end(stream))
        }
        var order = [Int32]()
        while true {
            let (bytes, isMore) = server.writeOnce(limit: 20_000)
            #expect(bytes.count <= 20_000 + 16_393)
            order += server.reader.read(bytes).filter { $0.type == 0 }.map(\.stream)
            if !isMore { break }
        }
        #expect(order == [1, 3, 5, 1, 3, 5, 1, 3, 5])
    }

    @Test func `a body that is lent is framed at once, and its rest is kept`() {
        let server = serverThatSends(0, window: 1000)
        #expect(server.write().map(\.type) == [1])
        let frames = server.sendAtOnce(1, (0..<3000).map { UInt8($0 & 255) })
        #expect(frames.map(\.payload) == [(0..<1000).map { UInt8($0 & 255) }])
        #expect(server.with(1) { $0.pending($1) } == 2000)
        _ = server.receive(windowUpdate(1, 500))
        // What was kept goes first.
        #expect(server.sendAtOnce(1, [1, 2, 3]).map(\.payload) == [(1000..<1500).map { UInt8($0 & 255) }])
        #expect(server.end(1))
        _ = server.receive(windowUpdate(1, 5000))
        let rest = server.write()
        #expect(rest.flatMap(\.payload) == (1500..<3000).map { UInt8($0 & 255) } + [1, 2, 3])
        #expect(rest.last?.flags == 1)
    }

    @Test func `a body that is lent with the write limit reached is kept whole`() {
        let server = serverThatSends(0, window: 1 << 20)
        _ = server.receive(windowUpdate(0, 1 << 20))
        _ = server.write()
        let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        var got = server.sendAtOnce(1, body, limit: 30_000).flatMap(\.payload)
        #expect(got.count >= 16_384 && got.count <= 50_000)
        got += server.write().flatMap(\.payload)
        #expect(got == body)
    }

    @Test func `a small limit splits what is written and loses nothing`() {
        let server = serverThatSends(60_000, window: 1 << 20)
        #expect(server.end(1))
        var written = [UInt8]()
        var writes = 0
        while true {
            let (bytes, isMore) = server.writeOnce(limit: 1)
            written += bytes
            writes += 1
            if !isMore { break }
        }
        #expect(writes > 4)
        let frames = server.reader.read(written)
        #expect(dataBytes(frames) == 60_000 && frames.last?.flags == 1)
    }

    @Test func `a frame that the limit held back is dropped when its stream is reset`() {
        for isOwner in [true, false] {
            let server = serverThatSends(60_000, window: 1 << 20)
            // The head alone reaches the limit, and the first DATA frame is made and not written.
            _ = server.reader.read(server.writeOnce(limit: 10).bytes)
            #expect(server.writeOnce(limit: 1).isMore)
            if isOwner {
                _ = server.with(1) { $0.reset($1, .internalError) }
            } else {
                _ = server.receive(reset(1, 8))
            }
            let frames = server.write()
            #expect(frames.filter { $0.type == 3 }.map(\.code) == (isOwner ? [2] : []))
            #expect(dataBytes(frames) == 0)
            #expect(server.withSession { $0.pendingTotal } == 0)
            _ = server.events()
            _ = server.receive(headers(3, request()))
            #expect(server.respond(3, "HTTP/1.1 200 OK\r\n\r\n", end: false) && server.send(3, [1, 2]) && server.end(3))
            #expect(server.write().map(\.type) == [1, 0])
        }
    }

    @Test func `the windows are given back as the body is consumed`() {
        let server = Endpoint.openServer(window: 65_536)
        server.isObliging = false
        _ = server.receive(open + data(1, [UInt8](repeating: 1, count: 16_384)) + data(1, [UInt8](repeating: 1, count: 16_384)))
        #expect(server.write().isEmpty)
        _ = server.with(1) { $0.consume($1, 20_000) }
        #expect(server.write().isEmpty)
        _ = server.with(1) { $0.consume($1, 20_000) }
        #expect(server.write() == [Frame(type: 8, flags: 0, stream: 1, payload: big(32_768))])
    }

    @Test func `more than the window takes is an error`() {
        let server = Endpoint.openServer(window: 20_000)
        server.isObliging = false
        _ = server.receive(open + data(1, [UInt8](repeating: 1, count: 16_384)) + data(1, [UInt8](repeating: 1, count: 16_384)))
        #expect(server.write().map(\.code) == [3])
        #expect(server.events().suffix(2) == [.reset(1, 3, retry: false), .closed(1)])
    }

    /// What the client of a server may still send on the connection, as far as its WINDOW_UPDATE frames say.
    @Test(arguments: 0..<6) func `the connection's window comes back however a stream ends with its body unread`(_ way: Int) {
        let server = Endpoint.openServer()
        server.isObliging = false
        var window = 1_048_576
        let piece = [UInt8](repeating: 1, count: 16_000)
        // Fewer than the resets that nghttp2 allows by a clock of its own.
        for i in 0..<190 {
            let stream = Int32(1 + 2 * i)
            server.now = server.now + .seconds(1)
            _ = server.receive(headers(stream, request("POST"), end: false))
            for _ in 0..<5 {
                _ = server.receive(data(stream, piece))
                window -= piece.count
            }
            switch way {
            case 0: _ = server.receive(reset(stream, 8))
            case 1: _ = server.with(stream) { $0.reset($1, .cancel) }
            case 2:
                _ = server.with(stream) { $0.reset($1, .cancel) }
                // What was on its way.
                _ = server.receive(data(stream, piece))
                window -= piece.count
            case 3:
                _ = server.receive(data(stream, [], end: true))
                #expect(server.respond(stream, "HTTP/1.1 204 No Content\r\n\r\n"))
            case 4:
                #expect(server.respond(stream, "HTTP/1.1 413 Content Too Large\r\n\r\n"))
                _ = server.write()
                _ = server.with(stream) { $0.reset($1, .noError) }
            default:
                _ = server.with(stream) { $0.consume($1, 30_000) }
                _ = server.receive(reset(stream, 8))
                _ = server.with(stream) { $0.consume($1, 1_000_000) }
            }
            for frame in server.write() where frame.type == 8 && frame.stream == 0 {
                window += Int(number(frame.payload[0..<4]))
            }
            _ = server.events()
            server.release(stream)
            for frame in server.write() where frame.type == 8 && frame.stream == 0 {
                window += Int(number(frame.payload[0..<4]))
            }
            guard server.isOpen, window > 400_000, window <= 1_048_576 else {
                Issue.record("stream \(stream), way \(way): \(window), \(String(describing: server.withSession { $0.failure }))")
                return
            }
        }
        #expect(server.withSession { $0.activeStreams } == 0)
    }
}
