import HTTP1
import HTTPMessages
import Primitives
import Testing

/// Responses to cut and to mutate.
let responseCorpus = [
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 12\r\n\r\nhello, world",
    "HTTP/1.1 200\r\n\r\n",
    "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 100\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
]

@Suite struct ResponseParserTests {
    private func ok(_ lines: String...) -> String { "HTTP/1.1 200 OK\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n" }

    @Test func `a response is taken apart exactly`() {
        let text = "HTTP/1.1 203 Fine \u{e9} sir\r\nContent-Length: 5\r\nconnection: X\r\n\r\nrest"
        let expected = ResponseText(
            status: 203, version: .http11, reason: "Fine \u{e9} sir",
            fields: [
                FieldText(name: "Content-Length", value: "5", id: .contentLength),
                FieldText(name: "connection", value: "X", id: .connection),
            ], framing: .length(5), allowsReuse: true, hasConnectionOptions: true, declaredLength: 5)
        #expect(parseResponse(bytes(text)) == .response(expected, consumed: text.unicodeScalars.count - 4))
    }

    @Test func `a status line may lack its reason and the space before it`() {
        #expect(response("HTTP/1.1 200\r\n\r\n")?.status == 200)
        #expect(response("HTTP/1.1 200 \r\n\r\n")?.reason == "")
        #expect(response("HTTP/1.0 599 x\r\n\r\n")?.version == .http10)
        #expect(response("HTTP/1.1 200 a\tb  c\r\n\r\n")?.reason == "a\tb  c")
    }

    @Test func `a status line that is not exact is refused`() {  // 35
        let table: [(String, ResponseFault)] = [
            ("HTTP/1.1 99 x\r\n\r\n", .invalidStatus), ("HTTP/1.1 099 x\r\n\r\n", .invalidStatus),
            ("HTTP/1.1 600 x\r\n\r\n", .invalidStatus), ("HTTP/1.1 999 x\r\n\r\n", .invalidStatus),
            ("HTTP/1.1 2000 x\r\n\r\n", .malformedStatusLine), ("HTTP/1.1 20 x\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 2x0 x\r\n\r\n", .malformedStatusLine), ("HTTP/1.1 -20 x\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n", .malformedStatusLine), ("HTTP/1.1\t200 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 200\tOK\r\n\r\n", .malformedStatusLine), ("HTTP/1.1\r\n\r\n", .malformedStatusLine),
            ("HTTP/2 200 OK\r\n\r\n", .unsupportedVersion), ("HTTP/1.2 200 OK\r\n\r\n", .unsupportedVersion),
            ("HTTP/1.11 200 OK\r\n\r\n", .unsupportedVersion), ("http/1.1 200 OK\r\n\r\n", .malformedStatusLine),
            ("ICY 200 OK\r\n\r\n", .malformedStatusLine), ("\r\nHTTP/1.1 200 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 200 OK\n\r\n", .fields(.bareLineFeed)), ("HTTP/1.1 200\n\r\n", .fields(.bareLineFeed)),
            ("HTTP/1.1 200 O\rK\r\n\r\n", .fields(.bareCarriageReturn)), ("HTTP/1.1 200 O\0K\r\n\r\n", .malformedStatusLine),
            ("<html>", .malformedStatusLine), ("\u{15}\u{3}", .malformedStatusLine),
            ("HTTP/1.1 200 " + String(repeating: "x", count: 8192), .statusLineTooLong),
        ]
        for (text, fault) in table { #expect(parseResponse(bytes(text)) == .refused(fault), "\(text.prefix(40))") }
    }

    @Test func `a response with framing that can be read two ways is refused`() {  // 35
        let table: [(String, ResponseFault)] = [
            (ok("Content-Length: 5", "Transfer-Encoding: chunked"), .framing(.conflictingLength)),
            (ok("Transfer-Encoding: chunked", "Content-Length: 5"), .framing(.conflictingLength)),
            (ok("Content-Length: 5", "Content-Length: 5"), .framing(.duplicateContentLength)),
            (ok("Content-Length: 5, 5"), .framing(.invalidContentLength)),
            (ok("Content-Length:"), .framing(.invalidContentLength)),
            (ok("Transfer-Encoding: gzip"), .framing(.unsupportedTransferEncoding)),
            (ok("Transfer-Encoding: gzip, chunked"), .framing(.unsupportedTransferEncoding)),
            (ok("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), .framing(.duplicateTransferEncoding)),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .framing(.transferEncodingInHTTP10)),
            (ok("A: b", " c"), .fields(.obsoleteFolding)), (ok("A : b"), .fields(.spaceBeforeColon)),
            (ok(": b"), .fields(.emptyName)), (ok("A: b\0"), .fields(.controlByte)), (ok("A"), .fields(.missingColon)),
            (ok("A: b\rX: y"), .fields(.bareCarriageReturn)), (ok("A: b\nX: y"), .fields(.bareLineFeed)),
        ]
        for (text, fault) in table { #expect(parseResponse(bytes(text)) == .refused(fault), "\(text)") }
    }

    @Test func `the framing follows the list of RFC 9112 6_3`() {  // 41
        #expect(response(ok("Content-Length: 5"))?.framing == .length(5))
        #expect(response(ok("Transfer-Encoding: chunked"))?.framing == .chunked)
        #expect(response(ok())?.framing == .untilClose)
        #expect(response(ok("Content-Length: 5"), to: .head)?.framing == BodyFraming.none)
        #expect(response(ok("Content-Length: 5"), to: .head)?.declaredLength == 5)
        #expect(response(ok("Transfer-Encoding: chunked"), to: .head)?.framing == BodyFraming.none)
        #expect(response(ok(), to: .head)?.framing == BodyFraming.none)
        #expect(response(ok(), to: .connect)?.framing == BodyFraming.none)
        for status in [100, 101, 103, 199, 204, 304] {
            #expect(response("HTTP/1.1 \(status) x\r\nContent-Length: 5\r\n\r\n")?.framing == BodyFraming.none, "\(status)")
            #expect(
                response("HTTP/1.1 \(status) x\r\nTransfer-Encoding: chunked\r\n\r\n")?.framing == BodyFraming.none, "\(status)")
        }
        #expect(response("HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n")?.framing == .length(0))
    }

    @Test func `a connection may be used again only after a 1_1 response with a definite end and no close`() {  // 37
        let table: [(String, Bool)] = [
            (ok("Content-Length: 5"), true), (ok("Transfer-Encoding: chunked"), true), (ok(), false),
            (ok("Content-Length: 5", "Connection: close"), false), (ok("Content-Length: 5", "Connection: X, Close"), false),
            (ok("Content-Length: 5", "Connection: keep-alive"), true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", true), ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
        ]
        for (text, expected) in table { #expect(response(text)?.allowsReuse == expected, "\(text)") }
    }

    @Test func `a response head over its limits is refused as too large`() {  // 47
        let many = "HTTP/1.1 200 OK\r\n" + (1...201).map { "F\($0): v\r\n" }.joined() + "\r\n"
        #expect(responseFault(many) == .fields(.tooManyFields))
        #expect(responseFault(many)?.isTooLarge == true)
        let large =
            "HTTP/1.1 200 OK\r\n" + (1...5).map { "F\($0): \(String(repeating: "x", count: 14_000))\r\n" }.joined() + "\r\n"
        #expect(responseFault(large) == .fields(.headersTooLarge))
        let fits = "HTTP/1.1 200 OK\r\n" + (1...200).map { "F\($0): v\r\n" }.joined() + "\r\n"
        #expect(response(fits)?.fields.count == 200)
        #expect(
            response("HTTP/1.1 200 OK\r\nA: \(String(repeating: "x", count: 40_000))\r\n\r\n") != nil, "one long field may be")
        #expect(ResponseFault.invalidStatus.isTooLarge == false)
        let endless = Array(bytes("HTTP/1.1 200 OK\r\n" + String(repeating: "F: v\r\n", count: 100_000)))
        #expect(parseResponse(Array(endless.prefix(Limits.response.responseHeadBytesMax))) == .refused(.fields(.tooManyFields)))
        let roomy = Limits(fieldBytes: 65_535, fieldCount: 10_000)
        #expect(
            parseResponse(
                bytes("HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: roomy.responseHeadBytesMax)), limits: roomy)
                == .refused(.fields(.headersTooLarge)))
    }

    @Test func `every response of the corpus ends alike at every split point`() {  // 34
        for text in responseCorpus {
            let all = bytes(text)
            let whole = parseResponse(all)
            for cut in 1..<all.count {
                let part = parseResponse(Array(all[..<cut]))
                #expect(part == .incomplete || part == whole, "\(text) at \(cut)")
            }
        }
    }

    @Test func `a head is used again without a trace of the response before it`() {
        var head = ResponseHead()
        let first = bytes(ok("Connection: close, X", "Content-Length: 5"))
        let second = bytes("HTTP/1.1 204\r\n\r\n")
        #expect(
            ResponseParser.parse(first.span.bytes, limits: .response, requestMethod: .get, into: &head)
                == .head(consumed: first.count))
        #expect(
            ResponseParser.parse(second.span.bytes, limits: .response, requestMethod: .get, into: &head)
                == .head(consumed: second.count))
        let count = head.headers.count
        let declared = head.declaredLength
        let options = head.hasConnectionOptions
        let reuse = head.allowsReuse
        #expect(count == 0 && declared == nil && !options && reuse)
    }
}
