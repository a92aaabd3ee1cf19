import HTTP2
import Primitives
import Testing

/// A client and a server that share a worker's memory.
@Suite struct PairTests {
    @Test func `ten thousand requests with bodies and trailers go through, and the memory does not grow`() {
        guard let memory = HTTP2Memory() else {
            Issue.record("no memory")
            return
        }
        let server = Endpoint(.server(HTTP2ServerPolicy(scheme: .http)), memory: memory)
        let client = Endpoint(.client(HTTP2ClientPolicy(requestsPerConnection: 20_000)), memory: memory)
        let body = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var done = 0
        var opened = 0
        var received: [Int32: [UInt8]] = [:]
        var idle = 0
        while done < 10_000 {
            // In batches, between which nothing is under way.
            while opened < done / 500 * 500 + 500,
                let stream = client.request("POST /\(opened) HTTP/1.1\r\nHost: a\r\n\r\n", end: false)
            {
                #expect(
                    client.send(stream, Array(body[..<(opened * 7919 % 5000)]))
                        && client.end(stream, trailers: "n: \(opened)\r\n\r\n"))
                opened += 1
            }
            for event in server.receive(client.writeBytes(limit: 20_000)) {
                switch event {
                case .head(let stream, _, _): received[stream] = []
                case .data(let stream, let bytes): received[stream, default: []] += bytes
                case .trailers(let stream, let text):
                    #expect(server.respond(stream, "HTTP/1.1 200 OK\r\nX-Request-ID: \(stream)\r\n\r\n", end: false))
                    #expect(server.send(stream, received.removeValue(forKey: stream) ?? []) && server.end(stream, trailers: text))
                default: break
                }
            }
            let answer = server.writeBytes(limit: 20_000)
            _ = server.events()
            for event in client.receive(answer) {
                switch event {
                case .head(let stream, let text, let ends):
                    #expect(text == "HTTP/1.1 200 \r\nx-request-id: \(stream)\r\n\r\n" && !ends)
                    received[-stream] = []
                case .data(let stream, let bytes): received[-stream, default: []] += bytes
                case .trailers(let stream, let text):
                    let index = Int(stream - 1) / 2
                    #expect(text == "n: \(index)\r\n\r\n")
                    #expect(received.removeValue(forKey: -stream) ?? [] == Array(body[..<(index * 7919 % 5000)]))
                    done += 1
                default: break
                }
            }
            if done == 1000, idle == 0 { idle = memory.idleBytes }
            guard client.isOpen, server.isOpen else {
                Issue.record("closed: \(String(describing: server.withSession { $0.failure }))")
                return
            }
        }
        #expect(memory.idleBytes <= idle + 16_384)
        #expect(client.withSession { $0.activeStreams } == 0)
        #expect(server.withSession { $0.activeStreams } <= 100)
    }
}
