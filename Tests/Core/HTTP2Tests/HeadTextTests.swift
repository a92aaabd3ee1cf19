import HTTP1
import HTTP2
import HTTPMessages
import Primitives
import Testing

/// RFC 9113 §8.1 to §8.5 on the way in: which header blocks become which text, and which become a stream error.
@Suite struct HeadTextTests {
    /// Whether the stream is reset with PROTOCOL_ERROR, nothing is announced of it, and the connection goes on.
    private func isMalformed(_ fields: Fields, _ server: Endpoint = .openServer()) -> Bool {
        let seen = server.receive(headers(1, fields))
        let frames = server.write()
        let rest = server.events()
        guard seen.isEmpty, rest.isEmpty, frames.map(\.type) == [3], frames[0].code == 1 else { return false }
        return server.receive(headers(3, request())) == [.head(3, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ends: true)]
    }

    private func text(_ fields: Fields, _ server: Endpoint = .openServer()) -> String? {
        guard case .head(1, let text, _) = server.receive(headers(1, fields)).first else { return nil }
        return text
    }

    @Test func `malformed requests of the table are stream errors, and the connection goes on`() {
        let table: [(String, Fields)] = [
            ("no method", [(":scheme", "http"), (":authority", "a"), (":path", "/")]),
            ("no scheme", [(":method", "GET"), (":authority", "a"), (":path", "/")]),
            ("no path", [(":method", "GET"), (":scheme", "http"), (":authority", "a")]),
            ("no authority and no host", [(":method", "GET"), (":scheme", "http"), (":path", "/")]),
            ("an empty path", request("GET", "")),
            ("a path without a slash", request("GET", "noslash")),
            ("a path with a fragment", request("GET", "/a#b")),
            ("a path with a space", request("GET", "/a b")),
            ("an asterisk for another method than OPTIONS", request("GET", "*")),
            ("an absolute path", request("GET", "http://a/")),
            ("a scheme that is not the transport's", request(scheme: "https")),
            ("an unknown scheme", request(scheme: "ftp")),
            ("a method that is no token", request("GE T")),
            ("a method with a line end", request("GET / HTTP/1.1\r\nX: y")),
            ("an endless method", request(String(repeating: "M", count: 33))),
            ("userinfo", request(authority: "u@a")),
            ("two authorities in one", request(authority: "a,b")),
            ("an authority with a space", request(authority: "a b")),
            ("host that differs", request(authority: "a", [("host", "b")])),
            ("userinfo in host", [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "u@a")]),
            ("two hosts", [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "a"), ("host", "a")]),
            ("a pseudo-field twice", request() + [(":path", "/b")]),
            ("a pseudo-field behind a field", [(":method", "GET"), (":scheme", "http"), ("x", "y"), (":path", "/")]),
            ("an unknown pseudo-field", request([(":foo", "bar")])),
            ("a response's pseudo-field", request([(":status", "200")])),
            ("an upper-case name", request([("X-Upper", "y")])),
            ("connection", request([("connection", "close")])),
            ("keep-alive", request([("keep-alive", "1")])),
            ("proxy-connection", request([("proxy-connection", "close")])),
            ("transfer-encoding", request([("transfer-encoding", "chunked")])),
            ("upgrade", request([("upgrade", "websocket")])),
            ("te with anything but trailers", request([("te", "gzip")])),
            ("a value with white space around it", request([("x", " y")])),
            ("an empty name", request([("", "y")])),
            ("content-length without a body", request("POST", "/", [("content-length", "10")])),
            ("content-length that is no number", request([("content-length", "1x")])),
            ("two content-lengths", request([("content-length", "0"), ("content-length", "0")])),
            ("protocol without extended CONNECT", request("CONNECT", "/", [(":protocol", "websocket")])),
            ("a plain CONNECT with a path", request("CONNECT", "/")),
        ]
        for entry in table { #expect(isMalformed(entry.1), "\(entry.0)") }
    }

    @Test func `sound requests of the table become exactly this text`() {
        let table: [(Fields, String)] = [
            (request(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                [(":path", "/x"), (":authority", "a:8"), (":scheme", "http"), (":method", "PUT")],
                "PUT /x HTTP/1.1\r\nHost: a:8\r\n\r\n"
            ),
            (request("OPTIONS", "*"), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("x", ""), ("host", "h")],
                "GET / HTTP/1.1\r\nx: \r\nhost: h\r\n\r\n"
            ),
            (
                request(authority: "A.b", [("host", "a.B"), ("te", "trailers")]),
                "GET / HTTP/1.1\r\nHost: A.b\r\nte: trailers\r\n\r\n"
            ),
            ([(":method", "CONNECT"), (":authority", "a:443")], "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
            (request([("x", "\u{1f600}")]), "GET / HTTP/1.1\r\nHost: a\r\nx: \u{f0}\u{9f}\u{98}\u{80}\r\n\r\n"),
        ]
        for entry in table { #expect(text(entry.0) == entry.1) }
    }

    @Test func `the text of a request is one head for the parser of HTTP 1`() {
        let server = Endpoint.openServer()
        let fields = request("POST", "/p?q", [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("content-length", "3")])
        guard case .head(_, let text, ends: false) = server.receive(headers(1, fields, end: false)).first else {
            Issue.record("no head")
            return
        }
        var head = RequestHead()
        let input = bytes(text)
        #expect(RequestParser.parse(input.span.bytes, limits: Limits(), into: &head) == .head(consumed: input.count))
        let framing = head.framing
        #expect(framing == .length(3))
    }

    @Test func `cookie crumbs become one field wherever they stand`() {
        #expect(
            text(request([("cookie", "a=1"), ("cookie", "b=2")])) == "GET / HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2\r\n\r\n")
        #expect(
            text(request([("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("z", ""), ("cookie", "c")]))
                == "GET / HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2; c\r\nx: y\r\nz: \r\n\r\n")
        let many = request((0..<50).flatMap { [("cookie", "n\($0)=\($0)"), ("x-\($0)", "v")] })
        let joined = (0..<50).map { "n\($0)=\($0)" }.joined(separator: "; ")
        #expect(text(many)?.contains("\r\ncookie: \(joined)\r\n") == true)
        #expect(text(many)?.components("cookie") == 1)
    }

    @Test func `every byte in a name or a value is passed on as it is or refused`() {
        for byte in UInt8.min...UInt8.max {
            for isName in [true, false] {
                let server = Endpoint.openServer()
                let field =
                    isName ? (name: [UInt8(ascii: "x"), byte], value: bytes("y")) : (name: bytes("x"), value: [97, byte, 98])
                let pseudo = request().map { (name: bytes($0.0), value: bytes($0.1)) }
                let seen = server.receive(frame(1, 5, 1, block(pseudo + [field])))
                let isLower = ASCII.isToken(byte) && !ASCII.isUpper(byte)
                let isSound = isName ? isLower : byte == 9 || (byte >= 0x20 && byte != 0x7f)
                guard isSound else {
                    #expect(seen.isEmpty, "byte \(byte) in a \(isName ? "name" : "value")")
                    #expect(server.write().map(\.type) == [3])
                    continue
                }
                let line = field.name + bytes(": ") + field.value
                guard case .head(1, let text, _) = seen.first else {
                    Issue.record("byte \(byte) in a \(isName ? "name" : "value") was refused")
                    continue
                }
                let expected = line.withUnsafeBytes { latin1($0) }
                #expect(text == "GET / HTTP/1.1\r\nHost: a\r\n\(expected)\r\n\r\n")
            }
        }
    }

    @Test func `every byte in a pseudo-field is passed on as it is or refused`() {
        let isTarget = { (byte: UInt8) in byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "#") }
        for byte in UInt8.min...UInt8.max {
            for index in 0..<4 {
                let server = Endpoint.openServer()
                var fields = request().map { (name: bytes($0.0), value: bytes($0.1)) }
                fields[index].value.append(byte)
                let seen = server.receive(frame(1, 5, 1, block(fields)))
                let isSound =
                    switch index {
                    case 0: ASCII.isToken(byte)
                    case 1: false
                    case 2: true
                    default: isTarget(byte)
                    }
                guard case .head(1, let text, _) = seen.first else {
                    if index != 2 { #expect(!isSound, "byte \(byte) in \(fields[index].name) was refused") }
                    continue
                }
                #expect(isSound, "byte \(byte)")
                #expect(index != 2 || (isTarget(byte) && !"@,/".utf8.contains(byte)), "byte \(byte) in the authority")
                #expect(text.components("\r\n") == 3)
            }
        }
    }

    @Test func `the scheme must be the transport's`() {
        #expect(text(request(scheme: "https"), .openServer(.https)) != nil)
        #expect(isMalformedOverTLS(request(scheme: "http")))
    }

    private func isMalformedOverTLS(_ fields: Fields) -> Bool {
        let server = Endpoint.openServer(.https)
        return server.receive(headers(1, fields)).isEmpty && server.write().map(\.type) == [3]
    }

    @Test func `trailers become lines and an empty line`() {
        let server = Endpoint.openServer()
        _ = server.receive(headers(1, request("POST"), end: false) + data(1, [1, 2]))
        #expect(server.receive(headers(1, [("grpc-status", "0"), ("x", "")])) == [.trailers(1, "grpc-status: 0\r\nx: \r\n\r\n")])
    }

    @Test func `trailers with a pseudo-field, without END_STREAM or with a bad byte are stream errors`() {
        for (fields, ends) in [([(":path", "/")], true), ([("x", "y")], false), ([("x", "a\rb")], true)] as [(Fields, Bool)] {
            let server = Endpoint.openServer()
            _ = server.receive(headers(1, request("POST"), end: false))
            #expect(server.receive(headers(1, fields, end: ends)).isEmpty)
            #expect(server.write().map(\.type) == [3])
            #expect(server.events() == [.reset(1, 1, retry: false), .closed(1)])
        }
    }

    @Test func `a body that is not as long as it was announced is a stream error`() {
        let heads = headers(1, request("POST", "/", [("content-length", "10")]), end: false)
        let endings: [[UInt8]] = [
            data(1, [1, 2, 3], end: true), data(1, [UInt8](repeating: 0, count: 11)),
            data(1, [1, 2, 3, 4, 5]) + headers(1, [("x", "y")]),
        ]
        for ending in endings {
            let server = Endpoint.openServer()
            let seen = server.receive(heads + ending)
            #expect(!seen.contains(.end(1)))
            #expect(server.write().contains { $0.type == 3 && $0.code == 1 })
            #expect(server.events() == [.reset(1, 1, retry: false), .closed(1)])
        }
    }

    @Test func `a WebSocket handshake by extended CONNECT becomes one by GET`() {
        let server = Endpoint.openServer(extended: true)
        let fields = request(
            "CONNECT", "/chat", [(":protocol", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "x")])
        guard case .head(1, let text, ends: false) = server.receive(headers(1, fields, end: false)).first else {
            Issue.record("no head")
            return
        }
        let start = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
        #expect(text.hasPrefix(start))
        #expect(text.hasSuffix("==\r\nsec-websocket-version: 13\r\n\r\n"))
        #expect(text.utf8.count == start.utf8.count + 24 + "\r\nsec-websocket-version: 13\r\n\r\n".utf8.count)
        var head = RequestHead()
        let input = bytes(text)
        #expect(RequestParser.parse(input.span.bytes, limits: Limits(), into: &head) == .head(consumed: input.count))
        let wantsUpgrade = head.wantsUpgrade
        #expect(wantsUpgrade)
        #expect(server.with(1) { $0.isExtendedConnect($1) } == true)
        // 101 is said with 200, and the proof of the key is left out.
        #expect(
            server.respond(
                1,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: z\r\nSec-WebSocket-Protocol: p\r\n\r\n",
                end: false))
        _ = server.write()
        #expect(server.reader.blocks.last?.fields == [":status: 200", "sec-websocket-protocol: p"])
        #expect(server.send(1, [1, 2]))
        #expect(server.write().map(\.payload) == [[1, 2]])
    }

    @Test func `extended CONNECT for another protocol is handed on as CONNECT, to be refused`() {
        let server = Endpoint.openServer(extended: true)
        let fields = request("CONNECT", "/x", authority: "a:1", [(":protocol", "connect-udp")])
        #expect(text(fields, server) == "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        #expect(server.with(1) { $0.isExtendedConnect($1) } == false)
    }

    @Test func `extended CONNECT is offered only where it is allowed`() {
        let entry: [UInt8] = [0, 8, 0, 0, 0, 1]
        #expect(Endpoint.server(extended: true).write().first?.payload.contains(slice: entry) == true)
        #expect(Endpoint.server().write().first?.payload.contains(slice: entry) == false)
    }
}

extension String {
    /// How often `part` occurs.
    func components(_ part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.firstRange(of: part) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}

extension Array where Element == UInt8 {
    func contains(slice: [UInt8]) -> Bool {
        guard count >= slice.count else { return false }
        return (0...(count - slice.count)).contains { Array(self[$0..<($0 + slice.count)]) == slice }
    }
}
