import HTTP2
import Primitives
import Testing

/// What becomes of streams whose owner is done before their peer is (hardening 85).
@Suite struct ReleaseTests {
    private let open = headers(1, request("POST"), end: false)

    /// A server that has answered all of `count` requests with bodies of `bytes`, which the client has no window for.
    private func serverWithUnreadAnswers(_ count: Int, bytes: Int = 1000, streams: Int = 100, window: UInt32 = 0) -> Endpoint {
        let server = Endpoint.openServer(streams: streams)
        server.isObliging = false
        _ = server.receive(settings([(4, window)]))
        for i in 0..<count {
            let stream = Int32(1 + 2 * i)
            _ = server.receive(headers(stream, request()))
            #expect(server.respond(stream, "HTTP/1.1 200 OK\r\n\r\n", end: false))
            #expect(server.send(stream, [UInt8](repeating: 7, count: bytes)))
            #expect(server.end(stream))
            server.release(stream)
        }
        _ = server.write()
        return server
    }

    @Test func `answers that nobody reads hold their places`() {
        let server = serverWithUnreadAnswers(2, streams: 2)
        #expect(server.withSession { $0.activeStreams } == 2)
        #expect(server.receive(headers(5, request())).isEmpty)
        #expect(server.write().map(\.code) == [7])
        // Once they are read there is room.
        _ = server.receive(windowUpdate(1, 1000))
        #expect(server.write().map(\.flags) == [1])
        #expect(server.receive(headers(7, request())).count == 1)
    }

    @Test func `answers that nobody reads are given up after the write timeout, and their memory is free`() {
        let server = serverWithUnreadAnswers(100, bytes: 10_000)
        #expect(server.withSession { $0.pendingTotal } == 1_000_000)
        #expect(server.withSession { $0.nextDeadline } == server.now + .seconds(60))
        server.fired(after: 59)
        #expect(server.write().isEmpty)
        server.fired(after: 1)
        let frames = server.write()
        #expect(frames.count == 100 && frames.allSatisfy { $0.type == 3 && $0.code == 8 })
        #expect(server.withSession { $0.pendingTotal } == 0 && server.withSession { $0.activeStreams } == 0)
        #expect(server.withSession { $0.takeStreamFaults()?.stalled } == 100)
        #expect(server.withSession { $0.nextDeadline } == .never)
        #expect(server.withSession { $0.failure } == nil && !server.withSession { $0.isDraining })
    }

    @Test func `a slow reader has its time again with each few KiB, and one that opens the window byte by byte has not`() {
        let slow = serverWithUnreadAnswers(1, bytes: 10_000)
        _ = slow.receive(windowUpdate(1, 4096))
        _ = slow.write()
        slow.fired(after: 60)
        #expect(slow.write().isEmpty)
        #expect(slow.withSession { $0.nextDeadline } == slow.now + .seconds(60))
        let tiny = serverWithUnreadAnswers(1, bytes: 10_000)
        for _ in 0..<10 {
            _ = tiny.receive(windowUpdate(1, 1))
            _ = tiny.write()
        }
        tiny.fired(after: 60)
        #expect(tiny.write().map(\.type) == [3])
    }

    @Test func `a stream that its owner still has is the owner's to watch`() {
        let server = Endpoint.openServer()
        _ = server.receive(settings([(4, 0)]) + headers(1, request()))
        #expect(server.respond(1, "HTTP/1.1 200 OK\r\n\r\n", end: false))
        #expect(server.send(1, [1]))
        _ = server.write()
        #expect(server.withSession { $0.nextDeadline } == .never)
    }

    @Test func `an answer that is released before the request is read is followed by a reset with no error`() {  // §8.1
        let server = Endpoint.openServer()
        server.isObliging = false
        _ = server.receive(settings([(4, 4)]) + open)
        #expect(server.respond(1, "HTTP/1.1 413 Content Too Large\r\n\r\n", end: false))
        #expect(server.send(1, bytes("too much")))
        #expect(server.end(1))
        server.release(1)
        // The window takes half of it: the end must not be overtaken by the reset.
        #expect(server.write().map(\.type) == [4, 1, 0])
        _ = server.receive(data(1, [1, 2, 3]) + windowUpdate(1, 100))
        let rest = server.write()
        #expect(rest.map(\.type) == [0, 3] && rest[0].flags == 1 && rest[1].code == 0)
        #expect(server.withSession { $0.activeStreams } == 0 && server.withSession { $0.nextDeadline } == .never)
        #expect(server.receive(data(1, [4]) + headers(3, request())).count == 1)
        #expect(server.withSession { $0.failure } == nil)
    }

    @Test func `an answer that was written before it is released is followed by a reset with no error`() {
        let server = Endpoint.openServer()
        server.isObliging = false
        _ = server.receive(open)
        #expect(server.respond(1, "HTTP/1.1 413 Content Too Large\r\n\r\n"))
        #expect(server.write().map(\.type) == [1])
        server.release(1)
        #expect(server.write().map(\.code) == [0])
        #expect(server.glitches == 1)  // the first SETTINGS
    }

    @Test func `an answer to a whole request is not followed by a reset`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request()))
        #expect(server.respond(1, "HTTP/1.1 204 No Content\r\n\r\n"))
        server.release(1)
        #expect(server.write().map(\.type) == [1])
        #expect(server.withSession { $0.activeStreams } == 0)
    }

    @Test func `who goes on sending what nobody reads has the connection's window back and not the stream's`() {
        let server = Endpoint.openServer(window: 65_536)
        server.isObliging = false
        _ = server.receive(settings([(4, 0)]) + open)
        #expect(server.respond(1, "HTTP/1.1 413 Content Too Large\r\n\r\n", end: false))
        #expect(server.send(1, [1]))
        #expect(server.end(1))
        server.release(1)
        _ = server.write()
        var given: [Int32: UInt32] = [:]
        for _ in 0..<3 {
            for _ in 0..<40 { _ = server.receive(data(1, [UInt8](repeating: 1, count: 16_384))) }
            for frame in server.write() where frame.type == 8 { given[frame.stream, default: 0] += number(frame.payload[0..<4]) }
        }
        #expect(given[1] == nil)
        #expect(server.withSession { $0.failure } == nil)
        #expect((given[0] ?? 0) >= 32_768)
    }

    @Test func `a client that has cancelled a stream may open the next at once`() {
        let client = Endpoint.openClient(HTTP2ClientPolicy(maxConcurrentStreams: 1))
        #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 1)
        _ = client.write()
        _ = client.with(1) { $0.reset($1, .cancel) }
        client.release(1)
        #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 3)
        #expect(client.write().map(\.type) == [3, 1])
    }

    @Test func `responses that nobody reads leave one that is read its windows, however long it is`() {
        let client = Endpoint(.client(HTTP2ClientPolicy(maxConcurrentStreams: 3)))
        client.isObliging = false
        // What the backend may send: on the connection, and on each stream.
        var room = [Int32(0): 65_535, 1: 65_536, 3: 65_536, 5: 65_536]
        func update() {
            for frame in client.write() where frame.type == 8 {
                room[frame.stream, default: 0] += Int(number(frame.payload[0..<4]))
            }
        }
        update()
        _ = client.receive(settings() + settingsAcknowledgement)
        for stream in [Int32(1), 3, 5] {
            #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == stream)
            update()
            _ = client.receive(headers(stream, [(":status", "200")], end: false))
        }
        let piece = 16_384
        func send(_ stream: Int32) -> Bool {
            guard room[stream, default: 0] >= piece, room[0, default: 0] >= piece else { return false }
            room[stream, default: 0] -= piece
            room[0, default: 0] -= piece
            _ = client.receive(data(stream, [UInt8](repeating: 1, count: piece)))
            return true
        }
        func read(_ stream: Int32) {
            _ = client.with(stream) { $0.consume($1, piece) }
            update()
        }
        // Two begin to read, and stop with as much unread as they may have.
        for stream in [Int32(1), 3] {
            for _ in 0..<7 {
                #expect(send(stream))
                read(stream)
            }
            while send(stream) {}
        }
        for _ in 0..<1000 {
            guard send(5) else {
                Issue.record("no room: \(room)")
                return
            }
            read(5)
        }
        #expect(client.withSession { $0.failure } == nil)
    }

    @Test func `a response that is read has the larger window, and one that is not holds the small one`() {
        let client = Endpoint(.client(HTTP2ClientPolicy(initialWindowBytes: 65_536, streamWindowBytes: 262_144)))
        client.isObliging = false
        let frames = client.write()
        #expect(frames.first?.payload.starts(with: [0, 2] + big(0) + [0, 4] + big(65_536)) == true)
        #expect(frames.last?.payload == big(52_428_800 - 65_535))
        _ = client.receive(settings() + settingsAcknowledgement)
        #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 1)
        _ = client.write()
        _ = client.receive(headers(1, [(":status", "200")], end: false))
        for _ in 0..<4 { _ = client.receive(data(1, [UInt8](repeating: 1, count: 16_384))) }
        #expect(client.write().isEmpty)
        // What has gone on may still wait for its reader: 64 KiB that came in one piece, and 16 KiB before it.
        var given = 0
        for piece in 1...7 {
            _ = client.with(1) { $0.consume($1, 16_384) }
            given += client.write().filter { $0.stream == 1 }.reduce(0) { $0 + Int(number($1.payload[0..<4])) }
            if piece < 7 { #expect(given <= piece * 16_384) } else { #expect(given >= 6 * 16_384 + 262_144 - 65_536) }
            if piece >= 2, piece < 5 { _ = client.receive(data(1, [UInt8](repeating: 1, count: 16_384))) }
        }
        #expect(given <= 7 * 16_384 + 262_144 - 65_536)
        for _ in 0..<10 { _ = client.receive(data(1, [UInt8](repeating: 1, count: 16_384))) }
        #expect(client.withSession { $0.failure } == nil)
        // Ten streams that nobody reads take nothing from the eleventh.
        for i in 1...10 {
            let stream = Int32(1 + 2 * i)
            #expect(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == stream)
            _ = client.write()
            _ = client.receive(headers(stream, [(":status", "200")], end: false))
            for _ in 0..<4 { _ = client.receive(data(stream, [UInt8](repeating: 1, count: 16_384))) }
        }
        #expect(client.withSession { $0.failure } == nil && client.write().isEmpty)
    }
}
