import Primitives
import Testing

@testable import Admin

struct ExplainRequestTests {
    private func error(_ body: String) -> ExplainRequestError? {
        do {
            _ = try ask(body)
            return nil
        } catch {
            return error as? ExplainRequestError
        }
    }

    @Test func `a URL becomes the target and the Host field`() throws {
        for (url, target, host) in [
            ("http://api.example.com:8000/x?y", "/x?y", "api.example.com:8000"), ("HTTPS://a", "/", "a"),
            ("http://a?q=1", "/?q=1", "a"),
            ("http://[::1]:80/a//b", "/a//b", "[::1]:80"), ("http://a/p?u=http://b/", "/p?u=http://b/", "a"),
        ] {
            let request = try ask(#"{"method": "GET", "url": "\#(url)"}"#)
            #expect(
                request.target == target && request.headers.map(\.name) == ["Host"] && request.headers[0].value == host, "\(url)")
        }
    }

    @Test func `a Host field that is given stands in place of the URL's, and a path needs one`() throws {
        let request = try ask(#"{"method": "GET", "url": "http://a/x", "headers": {"host": "b"}}"#)
        #expect(request.headers.count == 1 && request.headers[0].value == "b")
        #expect(try ask(#"{"method": "OPTIONS", "url": "*", "headers": {"Host": "b"}}"#).target == "*")
    }

    @Test func `fields, client and listener are read, also from YAML`() throws {
        let request = try ask(
            """
            method: POST
            url: http://a/
            headers: {X-A: ["1", "2"], Content-Length: "5", Accept: text/plain}
            client: 2001:db8::1
            listener: web
            """)
        #expect(
            request.headers.map { "\($0.name)=\($0.value)" } == [
                "Host=a", "X-A=1", "X-A=2", "Content-Length=5", "Accept=text/plain",
            ])
        #expect(request.client == IPAddress("2001:db8::1") && request.listener == "web" && request.method == "POST")
    }

    /// Each wrong body, its status and the exact sentence.
    static let wrong: [(body: String, status: UInt16, message: String)] = [
        (
            #"{"method": "GET", "url": "http://a/""#, 400,
            "body:2:1: did not find expected ',' or '}' (while parsing a flow mapping that began in line 1)"
        ),
        ("", 400, #"the body is empty; the body must be an object such as {"method": "GET", "url": "http://…"}"#),
        (
            #"{"method": "GET", "method": "PUT", "url": "http://a/"}"#, 400,
            #"body:1:19: the key "method" stands twice, first in line 1"#
        ),
        ("[]", 422, #"the body must be an object such as {"method": "GET", "url": "http://…"}"#),
        ("7", 422, #"the body must be an object such as {"method": "GET", "url": "http://…"}"#),
        (#"{"url": "http://a/"}"#, 422, #"method: missing; say which, such as "GET""#),
        (#"{"method": "GET"}"#, 422, #"url: missing; say which, such as "http://api.example.com/users""#),
        (#"{"method": "GET", "uri": "/"}"#, 422, "uri: unknown key; the keys are method, url, headers, client and listener"),
        (#"{"method": 7, "url": "http://a/"}"#, 422, #"method: is the number 7; write "7" if that is meant as text"#),
        (
            #"{"method": "G T", "url": "http://a/"}"#, 422,
            #"method: "G T" is no method; one is a word such as GET, in upper case"#
        ),
        (#"{"method": "", "url": "http://a/"}"#, 422, #"method: "" is no method; one is a word such as GET, in upper case"#),
        (
            #"{"method": "GET\r\nX: y", "url": "http://a/"}"#, 422,
            #"method: "GET\u{d}\u{a}X: y" is no method; one is a word such as GET, in upper case"#
        ),
        (#"{"method": null, "url": "http://a/"}"#, 422, #"method: is nothing; it must be a method such as "GET""#),
        (
            #"{"method": "GET", "url": ["http://a/"]}"#, 422,
            #"url: is a list; it must be a URL such as "http://api.example.com/users""#
        ),
        (#"{"method": "GET", "url": {}}"#, 422, #"url: is an object; it must be a URL such as "http://api.example.com/users""#),
        (#"{"method": "GET", "url": ""}"#, 422, "url: is empty; give a URL or a path"),
        (
            #"{"method": "GET", "url": "/a"}"#, 422,
            #"url: a path alone names no host; write http://HOST/PATH, or give "headers": {"Host": …}"#
        ),
        (
            #"{"method": "GET", "url": "ftp://a/"}"#, 422,
            #"url: "ftp://a/" is neither http://HOST/PATH nor a path that begins with /"#
        ),
        (
            #"{"method": "GET", "url": "api.example.com/x"}"#, 422,
            #"url: "api.example.com/x" is neither http://HOST/PATH nor a path that begins with /"#
        ),
        (#"{"method": "GET", "url": "http:///x"}"#, 422, "url: names no host; write http://HOST/PATH"),
        (
            #"{"method": "GET", "url": "http://u:p@a/"}"#, 422,
            #"url: holds user information, which clients send as a field; give "headers": {"Authorization": …}"#
        ),
        (
            #"{"method": "GET", "url": "http://a/#x"}"#, 422,
            "url: holds a fragment, which no client sends; leave out # and what follows"
        ),
        (
            #"{"method": "GET", "url": "http://a/ü"}"#, 422,
            "url: holds a character that is not ASCII; escape it as clients do, such as %20"
        ),
        (#"{"method": "GET", "url": "http://a/b c"}"#, 422, "url: holds a space; escape it as clients do, such as %20"),
        (
            #"{"method": "GET", "url": "http://a/\r\nHost: b"}"#, 422,
            "url: holds a control character; escape it as clients do, such as %20"
        ),
        (
            #"{"method": "GET", "url": "http://a/", "headers": ["X: y"]}"#, 422,
            #"headers: must be an object of names and values, such as {"Accept": "text/plain"}"#
        ),
        (
            #"{"method": "GET", "url": "http://a/", "headers": {"X Y": "z"}}"#, 422,
            "headers.X Y: is no field name; one has letters, digits and - only"
        ),
        (
            #"{"method": "GET", "url": "http://a/", "headers": {"": "z"}}"#, 422,
            "headers.: is no field name; one has letters, digits and - only"
        ),
        (
            #"{"method": "GET", "url": "http://a/", "headers": {"X": "a\r\nY: b"}}"#, 422,
            "headers.X: holds a control character, which no field can carry; take it out"
        ),
        (
            #"{"method": "GET", "url": "http://a/", "headers": {"X": ["a", true]}}"#, 422,
            #"headers.X[1]: is true; write "true" if that is meant as text"#
        ),
        (
            #"{"method": "GET", "url": "http://a/", "headers": {"X": 1.5}}"#, 422,
            #"headers.X: is the number 1.5; write "1.5" if that is meant as text"#
        ),
        (
            #"{"method": "GET", "url": "http://a/", "headers": {"X": {"a": "b"}}}"#, 422,
            "headers.X: is an object; it must be text or a list of texts"
        ),
        (
            #"{"method": "GET", "url": "http://a/", "client": "localhost"}"#, 422,
            #"client: "localhost" is no IP address; write 192.0.2.1 or 2001:db8::1, without a port"#
        ),
        (
            #"{"method": "GET", "url": "http://a/", "client": "192.0.2.1:80"}"#, 422,
            #"client: "192.0.2.1:80" is no IP address; write 192.0.2.1 or 2001:db8::1, without a port"#
        ),
        (
            #"{"method": "GET", "url": "http://a/", "listener": 8000}"#, 422,
            #"listener: is the number 8000; write "8000" if that is meant as text"#
        ),
    ]

    @Test(arguments: wrong.indices) func `a wrong body is refused with what is wrong and what would be right`(index: Int) {
        let (body, status, message) = Self.wrong[index]
        let found = error(body)
        #expect(found?.status == status, "\(body)")
        #expect(found.map { "\($0)" } == message, "\(body)")
    }

    @Test func `a body above 64 KiB is refused with 413 unread, and one of 64 KiB is read`() {
        let frame = #"{"method": "GET", "url": "http://a/", "headers": {"X": ""}}"#
        let room = ExplainRequest.bytesMax - frame.utf8.count
        func body(_ count: Int) -> String { frame.replacing(#""X": ""#, with: #""X": ""# + String(repeating: "a", count: count)) }
        #expect(error(body(room)) == nil)
        let found = error(body(room + 1))
        #expect(found?.status == 413 && found.map { "\($0)" } == "the body is longer than 64 KiB")
    }

    @Test func `a body that nests or repeats itself without end is refused`() {
        #expect(error(String(repeating: "[", count: 30_000))?.status == 400)
        #expect(error("{method: &a [*a], url: b}")?.status == 400)
        let bomb =
            "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]"
        #expect(error(bomb)?.status == 400)
    }
}
