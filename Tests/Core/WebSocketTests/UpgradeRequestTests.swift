import HTTPMessages
import Primitives
import Testing
import WebSocket

/// Hardening 102, 104, 105, 106; RFC 9110 §7.8, RFC 6455 §4.2.1, RFC 8441.
@Suite struct UpgradeRequestTests {
    private func judge(
        upgrade: [String] = ["websocket"], connection: String = "Upgrade", method: String = "GET", version: String = "HTTP/1.1",
        versions: [String] = ["13"], keys: [String] = [exampleKey], more: [String] = [], listed: [String] = ["websocket"]
    ) -> UpgradeVerdict {
        let head = request(
            ["\(method) /live \(version)", "Host: api.example.com", "Connection: \(connection)"]
                + upgrade.map { "Upgrade: \($0)" } + versions.map { "Sec-WebSocket-Version: \($0)" }
                + keys.map { "Sec-WebSocket-Key: \($0)" } + more)
        let verdict = UpgradeRequest.judge(head, tokens: UpgradeTokens(listed))
        if case .webSocket(let index) = verdict { #expect(text(head.headers.value(index)) == keys[0]) }
        return verdict
    }

    private func isWebSocket(_ verdict: UpgradeVerdict) -> Bool {
        if case .webSocket = verdict { true } else { false }
    }

    @Test func `a handshake as the RFC wants it opens a WebSocket`() {
        #expect(isWebSocket(judge()))
        #expect(isWebSocket(judge(upgrade: ["WebSocket"], connection: "keep-alive, UPGRADE")))
        #expect(isWebSocket(judge(more: ["Content-Length: 0"])))
        #expect(isWebSocket(judge(listed: ["WEBSOCKET"])))
    }

    @Test func `what does not ask for a protocol that the route lists goes on as an ordinary request`() {
        #expect(judge(listed: []) == .ordinary)
        #expect(judge(upgrade: ["foo"]) == .ordinary)
        #expect(judge(upgrade: ["websocket2"]) == .ordinary)
        #expect(judge(upgrade: ["web socket"]) == .ordinary)
        #expect(judge(upgrade: ["websocket/13"]) == .ordinary)
        #expect(judge(upgrade: []) == .ordinary)
        #expect(judge(connection: "keep-alive") == .ordinary)
        #expect(judge(listed: ["foo"]) == .ordinary)
    }

    @Test func `h2c is never granted, whoever lists it`() {
        #expect(judge(upgrade: ["h2c"]) == .ordinary)
        #expect(judge(upgrade: ["h2c"], listed: ["h2c"]) == .ordinary)
        #expect(judge(upgrade: ["H2C"], listed: ["H2c", "websocket"]) == .ordinary)
        #expect(judge(upgrade: ["h2c"], method: "POST", more: ["Content-Length: 3"], listed: ["h2c", "websocket"]) == .ordinary)
        #expect(UpgradeTokens(["h2c"]).isEmpty)
    }

    @Test func `the client's first protocol that the route lists is taken`() {
        #expect(isWebSocket(judge(upgrade: ["h2c, websocket"])))
        #expect(isWebSocket(judge(upgrade: ["websocket, h2c"])))
        #expect(isWebSocket(judge(upgrade: ["h2c", "websocket"])))
        #expect(judge(upgrade: ["x, Foo/2 ,websocket"], listed: ["websocket", "foo/2"]) == .other(token: 1))
        #expect(UpgradeTokens(["websocket", "Foo/2"]).name(1) == bytes("foo/2"))
        #expect(UpgradeTokens(["websocket"]).name(1) == nil)
    }

    @Test func `a client of HTTP 1.0 cannot change the protocol`() {
        #expect(judge(connection: "upgrade, keep-alive", version: "HTTP/1.0") == .ordinary)
        var head = request(["GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket"])
        head.version = .http10
        #expect(UpgradeRequest.judge(head, tokens: UpgradeTokens(["websocket"])) == .ordinary)
    }

    @Test func `a body beside Upgrade is refused and costs the connection`() {
        #expect(judge(more: ["Content-Length: 1"]) == .refused(.body))
        #expect(judge(more: ["Transfer-Encoding: chunked"]) == .refused(.body))
        #expect(judge(upgrade: ["foo"], more: ["Content-Length: 1"], listed: ["foo"]) == .refused(.body))
        #expect(judge(upgrade: ["foo"], more: ["Content-Length: 1"]) == .ordinary)
        #expect(UpgradeFault.body.refusal.status == 400)
        #expect(UpgradeFault.body.refusal.closes)
    }

    @Test(arguments: ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "FOO"])
    func `a WebSocket by another method than GET is refused with 400`(_ method: String) {
        #expect(judge(method: method) == .refused(.method))
        #expect(UpgradeFault.method.refusal.status == 400)
    }

    @Test(arguments: [["8"], ["12"], ["013"], ["13, 8"], [""], [], ["13", "13"], ["8", "13"], ["+13"]])
    func `another version than 13 is refused with 426, which names 13`(_ versions: [String]) {
        #expect(judge(versions: versions) == .refused(.version))
    }

    @Test func `a 426 names the version, and over HTTP 1.1 the protocol`() {
        #expect(UpgradeFault.version.refusal.status == 426)
        for (isHTTP2, wanted) in [
            (false, ["Sec-WebSocket-Version: 13", "upgrade: websocket", "connection: Upgrade"]),
            (true, ["Sec-WebSocket-Version: 13"]),
        ] {
            var head = ResponseHead()
            UpgradeFault.version.addFields(to: &head, isHTTP2: isHTTP2)
            let lines = (0..<head.headers.count).map { text(head.headers.name($0)) + ": " + text(head.headers.value($0)) }
            #expect(lines == wanted)
        }
        for fault in [UpgradeFault.body, .method, .key, .notListed] {
            var head = ResponseHead()
            fault.addFields(to: &head, isHTTP2: false)
            #expect(head.headers.count == 0)
        }
    }

    @Test(arguments: [
        [], [""], ["dGhlIHNhbXBsZSBub25jZQ="], ["dGhlIHNhbXBsZSBub25jZQ==="], ["dGhlIHNhbXBsZSBub25jZQ"],
        ["dGhlIHNhbXBsZSBub25jZQAA"], ["dGhlIHNhbXBsZSBub25jZ==="], ["SGVsbG8sIHdvcmxkIQ=="], ["dGhlIHNhbXBsZSBub25jZ\"=="],
        ["dGhlIHNhbXBsZSBub25j-_=="], ["dGhl IHNhbXBsZSBub25jZ=="], [exampleKey, exampleKey],
        [exampleKey, "AQIDBAUGBwgJCgsMDQ4PEC=="], ["\(exampleKey), \(exampleKey)"],
    ])
    func `a key that is not sixteen bytes, or is there twice, is refused with 400`(_ keys: [String]) {
        #expect(judge(keys: keys) == .refused(.key))
        #expect(UpgradeFault.key.refusal.status == 400)
    }

    /// RFC 6455 §4.1 has a key whose last letter is not the one that an encoder would write.
    @Test func `the example key of the RFC is good`() { #expect(isWebSocket(judge(keys: ["AQIDBAUGBwgJCgsMDQ4PEC=="]))) }

    @Test(arguments: [["Upgrade: websocket"], ["Upgrade: foo"], []])
    func `an extended CONNECT for what the route does not list is refused with 405 and does not go on as a request`(
        _ more: [String]
    ) {
        var head = request(
            [
                "GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: \(exampleKey)",
            ] + more)
        head.version = .http2
        #expect(UpgradeRequest.judge(head, tokens: UpgradeTokens([])) == .refused(.notListed))
        #expect(UpgradeRequest.judge(head, tokens: UpgradeTokens(["irc"])) == .refused(.notListed))
        #expect(isWebSocket(UpgradeRequest.judge(head, tokens: UpgradeTokens(["websocket"]))))
        #expect(UpgradeFault.notListed.refusal.status == 405)
    }

    @Test func `Upgrade is read also where it has been removed from what is forwarded`() {
        var head = request([
            "GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: \(exampleKey)",
        ])
        head.headers.removeAll(.upgrade)
        #expect(isWebSocket(UpgradeRequest.judge(head, tokens: UpgradeTokens(["websocket"]))) == true)
    }
}
