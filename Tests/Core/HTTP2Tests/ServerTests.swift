import HTTP2
import Primitives
import Testing

@Suite struct ServerTests {
    @Test func `a request becomes the text of HTTP 1 and its response becomes frames`() {
        let server = Endpoint.openServer()
        #expect(
            server.receive(headers(1, request("GET", "/a?b", [("x", "y")])))
                == [.head(1, "GET /a?b HTTP/1.1\r\nHost: a\r\nx: y\r\n\r\n", ends: true)])
        #expect(server.respond(1, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n", end: false))
        #expect(server.send(1, bytes("hello")))
        #expect(server.end(1))
        let frames = server.write()
        #expect(frames.map(\.type) == [1, 0])
        #expect(server.reader.blocks.last?.fields == [":status: 200", "content-type: text/plain"])
        #expect(frames.last?.payload == bytes("hello") && frames.last?.flags == 1)
        #expect(server.events() == [.closed(1)])
        #expect(server.withSession { $0.activeStreams } == 0)
    }
}
