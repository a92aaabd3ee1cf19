import HTTP1
import HTTPMessages
import Primitives
import Testing

@Suite struct RequestParserTests {
    @Test func `every malformed request of the table is refused with its fault`() {
        for entry in refusedRequests {
            #expect(parseRequest(entry.text) == .refused(entry.fault), "\(entry.name)")
        }
    }

    @Test func `every sound request of the table is accepted whole`() {
        for entry in acceptedRequests {
            guard let request = accepted(entry.text) else {
                Issue.record("\(entry.name) was not accepted: \(parseRequest(entry.text))")
                continue
            }
            #expect(entry.text.contains(request.target), "\(entry.name)")
        }
    }

    @Test func `a request is taken apart exactly`() {
        let text = "\r\nPOST /a?b HTTP/1.1\r\nHost: h:80\r\nA:  b c \r\ncontent-length: 12\r\nX-y:\r\n\r\nrest"
        let expected = RequestText(
            method: .post, methodText: "POST", target: "/a?b", version: .http11,
            fields: [
                FieldText(name: "Host", value: "h:80", id: .host), FieldText(name: "A", value: "b c"),
                FieldText(name: "content-length", value: "12", id: .contentLength), FieldText(name: "X-y", value: ""),
            ], framing: .length(12), keepAlive: true, expectsContinue: false, acceptsTrailers: false, hostIndex: 0,
            hasConnectionOptions: false, wantsUpgrade: false, head: String(text.dropFirst(1).dropLast(4)))
        #expect(parseRequest(text) == .request(expected, consumed: text.utf8.count - 4))
    }

    @Test func `a head is used again without a trace of the request before it`() {
        var head = RequestHead()
        let first = bytes(
            request("Expect: 100-continue", "Content-Length: 3", "Connection: close, X, upgrade", "Upgrade: a", "TE: trailers"))
        let second = bytes("GET / HTTP/1.0\r\n\r\n")
        #expect(RequestParser.parse(first.span.bytes, limits: Limits(), into: &head) == .head(consumed: first.count))
        #expect(RequestParser.parse(second.span.bytes, limits: Limits(), into: &head) == .head(consumed: second.count))
        let fieldCount = head.headers.count
        let length = head.headers.storage.count
        let host = head.hostIndex
        let flags = [
            head.expectsContinue, head.acceptsTrailers, head.hasConnectionOptions, head.wantsUpgrade, head.wantsKeepAlive,
        ]
        let framing = head.framing
        #expect(fieldCount == 0 && length == second.count && host == nil && framing == .none)
        #expect(flags == [false, false, false, false, false])
    }

    @Test func `a refused request leaves its method and target for the log, and no fields`() {
        var head = RequestHead()
        let text = bytes("\r\nPUT /x HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n")
        #expect(RequestParser.parse(text.span.bytes, limits: Limits(), into: &head) == .refused(.fields(.spaceBeforeColon)))
        let method = latin1(head.bytes(head.methodRange))
        let target = latin1(head.bytes(head.targetRange))
        let count = head.headers.count
        #expect(method == "PUT" && target == "/x" && count == 0)
    }

    @Test func `an incomplete head leaves nothing behind`() {
        var head = RequestHead()
        let text = bytes("PUT /x HTTP/1.1\r\nHost: a\r\n")
        #expect(RequestParser.parse(text.span.bytes, limits: Limits(), into: &head) == .needMore)
        let count = head.headers.count
        let stored = head.headers.storage.count
        let target = head.targetRange
        #expect(count == 0 && stored == 0 && target.isEmpty)
    }

    @Test func `known methods are recognised by case and all others are kept as tokens`() {  // 20
        for method in Method.allCases where method != .other {
            #expect(accepted("\(method.name) / HTTP/1.1\r\nHost: a\r\n\r\n")?.method == method)
        }
        #expect(accepted("get / HTTP/1.1\r\nHost: a\r\n\r\n")?.method == .other)
        #expect(accepted("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n")?.methodText == "PROPFIND")
    }

    @Test func `a length is accepted exactly when it is 1 to 19 digits below 2 to the 63`() {  // 3, 4
        for length: UInt64 in [0, 5, 1 << 31, 1 << 32, 1 << 53, 1 << 63 - 1] {
            #expect(accepted(request("Content-Length: \(length)"))?.framing == .length(length))
        }
        var random = RandomSource(seed: 3)
        let alphabet = Array("0123456789+-_ xeA.,")
        for _ in 0..<20_000 {
            let text = String(
                (0..<random.below(22)).map { _ in random.below(8) > 0 ? alphabet[random.below(10)] : random.pick(alphabet) })
            let trimmed = text.trimmingSpaces()
            let isDigits = !trimmed.isEmpty && trimmed.count <= 19 && trimmed.utf8.allSatisfy(ASCII.isDigit)
            let expected = isDigits ? UInt64(trimmed).flatMap { $0 < 1 << 63 ? BodyFraming.length($0) : nil } : nil
            #expect(accepted(request("Content-Length: \(text)"))?.framing == expected, "'\(text)'")
        }
    }

    @Test func `keep-alive is the default in 1_1 and asked for in 1_0`() {
        let cases: [(String, [String], Bool)] = [
            ("1.1", [], true), ("1.1", ["close"], false), ("1.1", ["Close"], false), ("1.1", ["keep-alive"], true),
            ("1.1", ["keep-alive, close"], false), ("1.1", ["x", "CLOSE"], false), ("1.1", ["closed"], true),
            ("1.0", [], false), ("1.0", ["keep-alive"], true), ("1.0", ["Keep-Alive"], true),
            ("1.0", ["keep-alive, close"], false),
            ("1.0", ["close", "keep-alive"], false), ("1.0", [" , keep-alive,"], true),
        ]
        for (version, options, expected) in cases {
            let text = "GET / HTTP/\(version)\r\nHost: a\r\n" + options.map { "Connection: \($0)\r\n" }.joined() + "\r\n"
            #expect(accepted(text)?.keepAlive == expected, "\(version) \(options)")
        }
    }

    @Test func `options of Connection other than the four known ones are reported`() {  // 67
        #expect(accepted(request("Connection: keep-alive, TE,Upgrade ,close"))?.hasConnectionOptions == false)
        #expect(accepted(request("Connection: close, X-Forwarded-For"))?.hasConnectionOptions == true)
        #expect(accepted(request("Connection: \"close\""))?.hasConnectionOptions == true)
        #expect(accepted(request("Connection:"))?.hasConnectionOptions == false)
    }

    @Test func `an upgrade is wanted only in 1_1 with both fields`() {  // 105
        #expect(accepted(request("Connection: Upgrade", "Upgrade: websocket"))?.wantsUpgrade == true)
        #expect(accepted(request("Upgrade: websocket"))?.wantsUpgrade == false)
        #expect(accepted(request("Connection: upgrade"))?.wantsUpgrade == false)
        #expect(accepted(request("Connection: Upgrade", "Upgrade: websocket", version: "1.0"))?.wantsUpgrade == false)
    }

    @Test func `an expectation counts only in 1_1 and with a body`() {  // 30
        #expect(accepted(request("Expect: 100-continue", "Content-Length: 1"))?.expectsContinue == true)
        #expect(accepted(request("Transfer-Encoding: chunked", "Expect: 100-CONTINUE"))?.expectsContinue == true)
        #expect(accepted(request("Expect: 100-continue"))?.expectsContinue == false)
        #expect(accepted(request("Expect: 100-continue", "Content-Length: 0"))?.expectsContinue == false)
        #expect(accepted(request("Expect: 100-continue", "Content-Length: 1", version: "1.0"))?.expectsContinue == false)
        #expect(accepted(request("Expect: other", version: "1.0")) != nil)
    }

    @Test func `trailers are accepted when TE lists them`() {
        #expect(accepted(request("TE: trailers"))?.acceptsTrailers == true)
        #expect(accepted(request("TE: deflate;q=0.5, Trailers"))?.acceptsTrailers == true)
        #expect(accepted(request("TE: trailersx"))?.acceptsTrailers == false)
    }

    @Test func `a name with underscores is refused exactly when its twin with dashes decides something`() {  // 70
        for id in FieldID.allCases where id != .other && "\(id.name)".contains("-") {
            let twin = "\(id.name)".uppercased().replacing("-", with: "_")
            #expect(fault(request("\(twin): x")) == (id.isDecisive ? .underscoreTwin : nil), "\(twin)")
        }
        #expect(fault(request("X_Custom_Field: x", "_: x", "user_agent: x")) == nil)
    }

    @Test func `a first byte that starts no request is refused before a line is complete`() {  // 32
        for byte in UInt8.min...UInt8.max {
            let verdict = parseRequest([byte])
            switch byte {
            case ASCII.cr: #expect(verdict == .incomplete)
            case ASCII.lf: #expect(verdict == .refused(.fields(.bareLineFeed)))
            default: #expect(verdict == (ASCII.isToken(byte) ? .incomplete : .refused(.notARequest)), "\(byte)")
            }
        }
    }

    @Test func `each of the 256 bytes is judged in a name, in a value and in a target`() {  // 18, 19
        for byte in UInt8.min...UInt8.max {
            let prefix = bytes("GET / HTTP/1.1\r\nHost: a\r\n")
            let name = parseRequest(prefix + bytes("ab") + [byte] + bytes("cd: v\r\n\r\n"))
            let value = parseRequest(prefix + bytes("ab: 01234567890123456789") + [byte] + bytes("cd\r\n\r\n"))
            let lastInValue = parseRequest(prefix + bytes("ab: x") + [byte] + bytes("\r\n\r\n"))
            let target = parseRequest(bytes("GET /0123456789abcdef") + [byte] + bytes("x HTTP/1.1\r\nHost: a\r\n\r\n"))
            let isText = byte >= 0x20 && byte != 0x7f || byte == 0x09
            #expect(isAccepted(name) == (ASCII.isToken(byte) || byte == ASCII.colon), "name \(byte)")
            #expect(isAccepted(value) == isText, "value \(byte)")
            #expect(isAccepted(lastInValue) == isText, "value's end \(byte)")
            #expect(isAccepted(target) == (byte > 0x20 && byte < 0x7f && byte != 0x23), "target \(byte)")
        }
    }

    private func isAccepted(_ verdict: RequestVerdict) -> Bool {
        switch verdict {
        case .request: true
        case .incomplete, .refused: false
        }
    }
}

extension String {
    func trimmingSpaces() -> String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
