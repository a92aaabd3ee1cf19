import HTTP2
import Primitives
import Testing

/// However the bytes are cut into reads, the same happens.
@Suite struct SplitTests {
    private func merged(_ events: [Seen]) -> [Seen] {
        var result = [Seen]()
        for event in events {
            if case .data(let stream, let bytes) = event, case .data(stream, let before) = result.last {
                result[result.count - 1] = .data(stream, before + bytes)
            } else {
                result.append(event)
            }
        }
        return result
    }

    private let conversation: [UInt8] =
        preface + settings([(4, 1000)]) + settingsAcknowledgement
        + headers(1, request("POST", "/a", [("cookie", "a=1"), ("cookie", "b=2"), ("content-length", "5")]), end: false)
        + headers(3, request("GET", "/b"), endHeaders: false) + frame(9, 0, 3, block([("x", "y")])) + frame(9, 4, 3)
        + data(1, [1, 2]) + frame(0, 8, 1, [2, 3, 4, 0, 0]) + ping() + windowUpdate(0, 100) + frame(0xbe, 1, 2, [1, 2, 3])
        + headers(5, request("GET", "noslash")) + data(1, [5]) + headers(1, [("t", "u")]) + headers(7, request())
        + reset(7, 8) + goAway(0, 0)

    @Test func `every cut of a conversation gives the same events`() {
        let whole = Endpoint.server()
        let expected = merged(whole.receive(conversation))
        let frames = whole.write().count
        #expect(expected.count == 9)
        for cut in 1..<conversation.count {
            let server = Endpoint.server()
            let seen = server.receive(Array(conversation[..<cut])) + server.receive(Array(conversation[cut...]))
            #expect(merged(seen) == expected, "cut at \(cut)")
            #expect(server.write().count == frames)
        }
    }

    @Test func `single bytes give the same events`() {
        let whole = Endpoint.server()
        let expected = merged(whole.receive(conversation))
        let server = Endpoint.server()
        var seen = [Seen]()
        for byte in conversation { seen += server.receive([byte]) }
        #expect(merged(seen) == expected)
        #expect(server.withSession { $0.takeStreamFaults() } == whole.withSession { $0.takeStreamFaults() })
    }
}
