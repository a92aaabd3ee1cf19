import HTTPMessages
import Pipeline
import Primitives
import Testing

/// What a middleware can read and write in a few words.
@Suite struct MiddlewareTextTests {
    @Test func `the request line is there as strings`() {
        let head = request("PURGE /a%20b/c?x=1&y HTTP/1.1", "Host: example.com:8080")
        #expect(head.methodText == "PURGE")
        #expect(head.pathText == "/a%20b/c")
        #expect(head.queryText == "x=1&y")
        #expect(head.hostText == "example.com")
        #expect(request("GET / HTTP/1.1", "Host: a").queryText == nil)
    }

    @Test(arguments: [
        ("a", "1"), ("b", ""), ("c", ""), ("d e", "f&g"), ("plus", "1+1"), ("pct", "100%"), ("half", "%4"), ("none", nil),
        ("A", nil),
        ("bad", nil),
    ]) func `a parameter of the query is found by its decoded name, and the first one counts`(name: String, value: String?) {
        let head = request(
            "GET /?a=1&a=2&b=&c&&d%20e=f%26g&plus=1+1&pct=100%&half=%4&bad=%ff HTTP/1.1", "Host: a")
        #expect(head.queryValue(name) == value)
    }

    @Test func `fields are read by name in any case, one or all of them`() {
        let head = request("GET / HTTP/1.1", "Host: a", "X-Tag: one", "x-tag: two", "X-Bad: \u{fffd}")
        #expect(head.headers.text("X-TAG") == "one")
        #expect(head.headers.texts("x-tag") == ["one", "two"])
        #expect(head.headers.has("x-Tag") && !head.headers.has("x-other"))
        #expect(head.headers.texts("x-other").isEmpty)
    }

    @Test func `a removed field is gone for every reader`() {
        var head = request("GET / HTTP/1.1", "Host: a", "X-Tag: one", "x-tag: two", "X-Other: 3")
        head.headers.remove("X-TAG")
        #expect(!head.headers.has("x-tag") && head.headers.texts("x-tag").isEmpty && head.headers.text("x-other") == "3")
    }

    @Test func `client and request id are there as text`() {
        var tcp = context(peer: "198.51.100.7")
        tcp.makeRequestID()
        #expect(tcp.clientText == "198.51.100.7")
        #expect(!tcp.requestIDText.isEmpty && tcp.requestIDText.utf8.count == tcp.requestID.byteCount)
        let unix = context(unixSocket: true)
        #expect(unix.clientText == nil)
    }

    @Test func `answers of text and of JSON say what they are`() {
        var head = ResponseHead()
        Answer.text("no", status: 403, fields: [("X-Why", "because")]).fill(&head)
        #expect(head.status == 403 && head.headers.text("content-type") == "text/plain; charset=utf-8")
        #expect(head.headers.text("x-why") == "because")
        let answer = Answer.json(.object([("a", .number(1))]))
        answer.fill(&head)
        #expect(head.status == 200 && head.headers.text("content-type") == "application/json; charset=utf-8")
        guard case .bytes(let body, _) = answer.content else { return #expect(Bool(false)) }
        #expect(String(decoding: body, as: UTF8.self) == "{\"a\": 1}\n")
    }
}
