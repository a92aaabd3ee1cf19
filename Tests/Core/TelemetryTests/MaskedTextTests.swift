import Primitives
import Testing

@testable import Telemetry

@Suite struct MaskedTextTests {
    @Test(arguments: [
        ("cannot connect to redis://:CANARY@10.0.0.1:6379/0", "cannot connect to redis://***@10.0.0.1:6379/0"),
        ("http://u:p@w@h/a@b, then http://x:y@z", "http://***@h/a@b, then http://***@z"),
        ("GET /a?token=CANARY&b=1 HTTP/1.1", "GET /a?token=***&b=1 HTTP/1.1"),
        ("/a;session_id=CANARY?x=1#access_token=CANARY", "/a;session_id=***#access_token=***"),
        ("password='a b CANARY' next", "password='***' next"),
        ("\"api_key\"=\"CANARY\"", "\"api_key\"=\"***\""),
        ("Authorization: Basic CANARY==\r\nHost: x", "Authorization: ***\r\nHost: x"),
        ("cookie:a=CANARY", "cookie:***"), ("sent Bearer CANARY.x to", "sent Bearer *** to"), ("basic  CANARY", "basic  ***"),
        ("for u:p@CANARY@h:1 or //u:CANARY@h", "for ***@h:1 or //***@h"), ("%74oken=CANARY", "%74oken=***"),
    ])
    func `secrets in a text are masked`(text: String, expected: String) {
        #expect(MaskedText.text(text) == expected)
        var buffer = ByteBuffer(capacity: 16)
        LogLine.append(.info, at: Timestamp(seconds: 0), text, ["a": .string(text)], into: &buffer)
        #expect(!String(decoding: buffer.bytes.array(), as: UTF8.self).contains("CANARY"))
    }

    @Test(arguments: [
        "", "sluice.yaml:3:5: error: routes[0]: unknown key \"hots\" (did you mean \"host\"?)", "127.0.0.1:80 [::1]:90",
        "a = b", "token", "token=", "http://example.com/a@b?c=d", "a&b=c", "bot@example.com: hello", "@", "a@",
        "unexpected token: }", "the basics", "Bearer", "==:=",
    ])
    func `other texts stay as they are`(text: String) {
        #expect(MaskedText.text(text) == text)
    }

    @Test func `a secret is found before the text is cut, so that no part of it is shown`() throws {
        for count in 0..<40 {
            let text = String(repeating: "x", count: count) + "https://user:CANARY@host/?token=CANARY"
            var buffer = ByteBuffer(capacity: 16)
            let bytes = Array(text.utf8)
            let left = MaskedText.append(bytes.span.bytes, limit: 24, into: &buffer)
            let shown = String(decoding: buffer.bytes.array(), as: UTF8.self)
            #expect(!shown.contains("C") && !shown.contains("user"))
            #expect(left == 24 - shown.utf8.count || left == 0)
            #expect(shown.utf8.count <= 24)
        }
    }

    @Test func `a text of any length and shape costs no more than its length`() {
        let shapes = ["@", "a@", ":@", "=", "a=", "token=", "'=", "://", "://@", "basic ", "cookie:", "a:", "?&", "x"]
        for shape in shapes {
            let text = Array(String(repeating: shape, count: 300_000 / shape.utf8.count).utf8)
            var buffer = ByteBuffer(capacity: 16)
            let start = ContinuousClock.now
            MaskedText.append(text.span.bytes, into: &buffer)
            #expect(start.duration(to: .now) < .seconds(5), "\(shape)")
        }
    }

    @Test func `a key that is the name of a secret has no value to show`() throws {
        var buffer = ByteBuffer(capacity: 16)
        LogLine.append(.info, at: Timestamp(seconds: 0), "m", ["password": "CANARY", "x-api-key": "CANARY"], into: &buffer)
        let node = try StrictJSON.parse(String(decoding: buffer.bytes.array(), as: UTF8.self))
        #expect(node["password"]?.text == "***" && node["x-api-key"]?.text == "***")
    }
}
