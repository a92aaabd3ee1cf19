import HTTP1
import HTTPMessages
import Primitives
import Testing

@Suite struct HeadSerialiserTests {
    /// What `write` adds behind a byte that is there already; nil when it said no, and then it must have added nothing.
    private func written(_ write: (inout ByteBuffer) -> Bool) -> String? {
        var buffer = ByteBuffer(capacity: 16)
        buffer.append(UInt8(ascii: "|"))
        let isGood = write(&buffer)
        let text = latin1(buffer.bytes)
        if !isGood { #expect(text == "|") }
        return isGood ? String(text.dropFirst()) : nil
    }

    private func startRequest(_ method: String, _ path: String, _ query: String?) -> String? {
        written { buffer in
            let method = bytes(method), path = bytes(path)
            guard let query else {
                return HeadSerialiser.startRequest(method: method.span.bytes, path: path.span.bytes, query: nil, into: &buffer)
            }
            let bytes = bytes(query)
            return HeadSerialiser.startRequest(
                method: method.span.bytes, path: path.span.bytes, query: bytes.span.bytes, into: &buffer)
        }
    }

    private func field(_ name: String, _ value: String) -> String? {
        written { HeadSerialiser.field(bytes(name).span.bytes, value: bytes(value).span.bytes, into: &$0) }
    }

    @Test func `a request line is written from its parts`() {
        #expect(startRequest("GET", "/a/b", nil) == "GET /a/b HTTP/1.1\r\n")
        #expect(startRequest("GET", "/a", "") == "GET /a? HTTP/1.1\r\n")
        #expect(startRequest("PROPFIND", "/a", "b=c?d") == "PROPFIND /a?b=c?d HTTP/1.1\r\n")
        #expect(startRequest("OPTIONS", "*", nil) == "OPTIONS * HTTP/1.1\r\n")
    }

    @Test func `a request line with an impossible part is not written`() {  // 49
        #expect(startRequest("", "/", nil) == nil)
        #expect(startRequest("GE T", "/", nil) == nil)
        #expect(startRequest("GET", "", nil) == nil)
        #expect(startRequest("GET", "/?b", nil) == nil, "a query that nobody has seen")
        for byte in UInt8.min...UInt8.max {
            let text = "/0123456789abcdef\(Unicode.Scalar(byte))"
            let isGood = byte > 0x20 && byte < 0x7f && byte != 0x23
            #expect((startRequest("GET", text, nil) != nil) == (isGood && byte != 0x3f), "path \(byte)")
            #expect((startRequest("GET", "/", text) != nil) == isGood, "query \(byte)")
            #expect((startRequest("G\(Unicode.Scalar(byte))", "/", nil) != nil) == ASCII.isToken(byte), "method \(byte)")
        }
    }

    @Test func `a status line has the given reason or the standard one`() {
        func status(_ status: UInt16, _ reason: String) -> String? {
            written { HeadSerialiser.startResponse(status: status, reason: bytes(reason).span.bytes, into: &$0) }
        }
        func standard(_ status: UInt16) -> String? { written { HeadSerialiser.startResponse(status: status, into: &$0) } }
        #expect(status(200, "All \u{e9} good") == "HTTP/1.1 200 All \u{e9} good\r\n")
        #expect(status(599, "") == "HTTP/1.1 599 \r\n")
        #expect(status(99, "x") == nil && status(1000, "x") == nil)
        #expect(status(200, "OK\r\nX: y") == nil)
        for code: UInt16 in 100...599 { #expect(standard(code) == "HTTP/1.1 \(code) \(StatusPhrase.text(of: code))\r\n") }
        #expect(standard(404) == "HTTP/1.1 404 Not Found\r\n")
    }

    @Test func `each of the 256 bytes is judged in names and values of every length`() {  // 49
        for byte in UInt8.min...UInt8.max {
            let scalar = Unicode.Scalar(byte)
            let isText = byte >= 0x20 && byte != 0x7f || byte == 0x09
            for length in [0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 50] {
                let filler = String(repeating: "x", count: length)
                for at in Set([0, length / 2, length]) {
                    let text = filler.prefix(at) + "\(scalar)" + filler.suffix(length - at)
                    #expect((field(String(text), "v") != nil) == ASCII.isToken(byte), "name \(byte) of \(length)")
                    #expect((field("n", String(text)) != nil) == isText, "value \(byte) of \(length)")
                }
            }
        }
        #expect(field("", "v") == nil)
        #expect(field("Name", "") == "Name: \r\n")
        #expect(written { HeadSerialiser.field("Date", value: bytes("now").span.bytes, into: &$0) } == "Date: now\r\n")
    }

    @Test func `a block is written in its order, without what was removed, and with one form of white space`() {
        let text = bytes("GET / HTTP/1.1\r\nHost:a\r\nx-A:  b \r\nDrop: c\r\nEmpty:\r\n\r\n")
        var head = RequestHead()
        #expect(RequestParser.parse(text.span.bytes, limits: Limits(), into: &head) == .head(consumed: text.count))
        head.headers.removeAll(named: bytes("drop").span.bytes)
        head.headers.add(.via, value: bytes("1.1 sluice").span.bytes)
        var buffer = ByteBuffer(capacity: 16)
        #expect(HeadSerialiser.fields(of: head.headers, into: &buffer))
        #expect(latin1(buffer.bytes) == "Host: a\r\nx-A: b\r\nEmpty: \r\nvia: 1.1 sluice\r\n")
    }

    @Test func `a block with one bad field writes nothing at all`() {  // 49
        var block = HeaderBlock()
        block.add(.other, name: bytes("good").span.bytes, value: bytes("v").span.bytes)
        block.add(.location, value: bytes("/a\r\nSet-Cookie: x=y").span.bytes)
        #expect(written { HeadSerialiser.fields(of: block, into: &$0) } == nil)
        #expect(written { ChunkSerialiser.lastChunk(trailers: block, into: &$0) } == nil)
        block.removeAll(.location)
        #expect(written { HeadSerialiser.fields(of: block, into: &$0) } == "good: v\r\n")
        block.add(.other, name: bytes("b d").span.bytes, value: bytes("v").span.bytes)
        #expect(written { HeadSerialiser.fields(of: block, into: &$0) } == nil)
        block.removeAll(named: bytes("b d").span.bytes)
        block.add(.other, name: bytes("").span.bytes, value: bytes("v").span.bytes)
        #expect(written { HeadSerialiser.fields(of: block, into: &$0) } == nil)
    }

    @Test func `an empty block writes nothing and is good`() {
        let block = HeaderBlock()
        #expect(written { HeadSerialiser.fields(of: block, into: &$0) } == "")
    }

    @Test func `framing is one field or none`() {
        func framing(_ framing: BodyFraming) -> String? {
            written {
                HeadSerialiser.framing(framing, into: &$0)
                return true
            }
        }
        #expect(framing(.none) == "" && framing(.untilClose) == "")
        #expect(framing(.length(UInt64(Int64.max))) == "Content-Length: 9223372036854775807\r\n")
        #expect(framing(.chunked) == "Transfer-Encoding: chunked\r\n")
    }

    @Test func `what was written is parsed as what was parsed`() {
        for entry in acceptedRequests {
            guard let first = accepted(entry.text) else { continue }
            var head = RequestHead()
            let input = bytes(entry.text)
            _ = RequestParser.parse(input.span.bytes, limits: Limits(), into: &head)
            var buffer = ByteBuffer(capacity: 64)
            let target = bytes(first.target)
            let question = target.firstIndex(of: ASCII.question)
            let path = Array(target[..<(question ?? target.count)])
            if let question {
                let query = Array(target[(question + 1)...])
                #expect(
                    HeadSerialiser.startRequest(
                        method: head.bytes(head.methodRange), path: path.span.bytes, query: query.span.bytes, into: &buffer))
            } else {
                #expect(
                    HeadSerialiser.startRequest(
                        method: head.bytes(head.methodRange), path: path.span.bytes, query: nil, into: &buffer))
            }
            #expect(HeadSerialiser.fields(of: head.headers, into: &buffer))
            HeadSerialiser.endOfHead(into: &buffer)
            let output = buffer.bytes.array()
            if first.version == .http11 {
                var expected = first
                expected.head = latin1(output.span.bytes)
                #expect(parseRequest(output) == .request(expected, consumed: output.count), "\(entry.name)")
            }
        }
    }

    @Test func `what was written for a response is parsed as what was parsed`() {
        for text in responseCorpus {
            guard let first = response(text), first.version == .http11 else { continue }
            var head = ResponseHead()
            _ = ResponseParser.parse(bytes(text).span.bytes, limits: .response, requestMethod: .get, into: &head)
            var buffer = ByteBuffer(capacity: 64)
            #expect(HeadSerialiser.startResponse(status: head.status, reason: head.bytes(head.reason), into: &buffer))
            #expect(HeadSerialiser.fields(of: head.headers, into: &buffer))
            HeadSerialiser.endOfHead(into: &buffer)
            #expect(response(latin1(buffer.bytes)) == first)
        }
    }

    @Test func `chunks that were written are read back`() {
        var random = RandomSource(seed: 9)
        var buffer = ByteBuffer(capacity: 64)
        var data = [UInt8]()
        for size in [1, 9, 10, 15, 16, 17, 255, 256, 4096] {
            let chunk = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let before = buffer.count
            ChunkSerialiser.chunkHeader(size: size, into: &buffer)
            buffer.append(chunk)
            ChunkSerialiser.chunkEnd(into: &buffer)
            #expect(buffer.count - before - size <= ChunkSerialiser.overheadBytesMax)
            data += chunk
        }
        var plain = buffer.bytes.array()
        var last = ByteBuffer(capacity: 16)
        ChunkSerialiser.lastChunk(into: &last)
        plain += last.bytes.array()
        #expect(readBody(.chunked, plain) == BodyVerdict(data: data, end: plain.count))

        var trailers = HeaderBlock()
        trailers.add(.other, name: bytes("grpc-status").span.bytes, value: bytes("0").span.bytes)
        #expect(ChunkSerialiser.lastChunk(trailers: trailers, into: &buffer))
        let all = buffer.bytes.array()
        #expect(readBody(.chunked, all) == BodyVerdict(data: data, trailers: bytes("grpc-status: 0\r\n"), end: all.count))
    }
}
