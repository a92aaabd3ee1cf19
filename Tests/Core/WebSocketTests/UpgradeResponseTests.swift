import HTTPMessages
import Primitives
import Testing
import WebSocket

/// Hardening 103, 106; RFC 6455 §4.1, §4.2.2.
@Suite struct UpgradeResponseTests {
    private func judge(
        status: String = "HTTP/1.1 101 Switching Protocols", upgrade: [String] = ["websocket"],
        connection: [String] = ["Upgrade"], accept: [String] = [exampleAccept], more: [String] = [], offered: [String] = []
    ) -> UpgradeResponseFault? {
        let request = request(["GET / HTTP/1.1", "Host: a"] + offered)
        let response = response(
            [status] + upgrade.map { "Upgrade: \($0)" } + connection.map { "Connection: \($0)" }
                + accept.map { "Sec-WebSocket-Accept: \($0)" } + more)
        return UpgradeResponse.judgeWebSocket(response, key: bytes(exampleKey).span.bytes, request: request.headers)
    }

    @Test func `the answer to a key is the one of the RFC`() {
        var out = ByteBuffer(capacity: 16)
        #expect(HandshakeKey.appendAccept(for: bytes(exampleKey).span.bytes, to: &out) == true)
        #expect(text(out.bytes) == exampleAccept)
    }

    @Test func `a 101 that answers the offer begins the tunnel`() {
        #expect(judge() == nil)
        #expect(judge(upgrade: ["WebSocket"], connection: ["keep-alive, upgrade"]) == nil)
        #expect(judge(connection: ["keep-alive", "UPGRADE"]) == nil)
    }

    @Test func `a 101 for another protocol, or for none, is refused`() {
        for upgrade in [[], [""], ["h2c"], ["websocket, h2c"], ["websocket", "websocket"], ["websocket/13"]] {
            #expect(judge(upgrade: upgrade) == .upgrade, "\(upgrade)")
        }
        for connection in [[], ["keep-alive"], ["upgraded"]] {
            #expect(judge(connection: connection) == .connection, "\(connection)")
        }
        #expect(judge(status: "HTTP/1.1 200 OK") == .status)
        #expect(judge(status: "HTTP/1.0 101 Switching Protocols") == .status)
    }

    @Test func `a wrong Sec-WebSocket-Accept is refused`() {
        let wrong = [
            [], [""], [exampleKey], ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo"], ["S3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
            [exampleAccept, exampleAccept], ["s3pPLMBiTxaQ9kYGzzhZRbK+xOp="],
        ]
        for accept in wrong { #expect(judge(accept: accept) == .accept, "\(accept)") }
    }

    @Test func `an extension that was not offered is refused`() {
        let offer = [
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-a", "sec-websocket-extensions: x-b",
        ]
        let deflate = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"
        #expect(judge(more: [deflate], offered: offer) == nil)
        #expect(judge(more: ["Sec-WebSocket-Extensions: x-b, permessage-deflate"], offered: offer) == nil)
        #expect(judge(more: [deflate]) == .unknownExtension)
        #expect(judge(more: ["Sec-WebSocket-Extensions: x-a, x-c"], offered: offer) == .unknownExtension)
        #expect(judge(more: [deflate, "Sec-WebSocket-Extensions: x-c"], offered: offer) == .unknownExtension)
        #expect(judge(more: ["Sec-WebSocket-Extensions: client_max_window_bits"], offered: offer) == .unknownExtension)
    }

    /// Hardening 110: what the gateway has taken out was not offered.
    @Test func `an extension whose offer was removed is refused`() {
        var request = request(["GET / HTTP/1.1", "Host: a", "Sec-WebSocket-Extensions: permessage-deflate"])
        request.headers.removeAll(named: bytes("sec-websocket-extensions").span.bytes)
        let response = response(["HTTP/1.1 101 OK", "Sec-WebSocket-Extensions: permessage-deflate"])
        #expect(UpgradeResponse.judgeOffers(in: response.headers, request: request.headers) == .unknownExtension)
    }

    @Test func `a subprotocol that was not offered is refused`() {
        let offer = ["Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Protocol: third"]
        #expect(judge(offered: offer) == nil)
        #expect(judge(more: ["Sec-WebSocket-Protocol: superchat"], offered: offer) == nil)
        #expect(judge(more: ["Sec-WebSocket-Protocol: third"], offered: offer) == nil)
        for chosen in ["Chat", "", "chat, superchat", "other"] {
            #expect(judge(more: ["Sec-WebSocket-Protocol: \(chosen)"], offered: offer) == .unknownSubprotocol, "\(chosen)")
        }
        #expect(judge(more: ["Sec-WebSocket-Protocol: chat"]) == .unknownSubprotocol)
        #expect(
            judge(more: ["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"], offered: offer) == .unknownSubprotocol)
    }

    @Test func `another protocol's 101 is judged by Upgrade and Connection alone`() {
        let good = response(["HTTP/1.1 101 OK", "Upgrade: Foo/2", "Connection: upgrade"])
        #expect(UpgradeResponse.judge(good, token: bytes("foo/2").span.bytes) == nil)
        #expect(UpgradeResponse.judge(good, token: bytes("foo").span.bytes) == .upgrade)
    }
}
