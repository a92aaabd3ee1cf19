import HTTP1
import HTTPMessages
import Primitives
import Testing

@Suite struct ChunkedDecoderTests {
    private func chunked(_ text: String) -> BodyVerdict { readBody(.chunked, bytes(text)) }
    private func fault(_ text: String) -> ChunkFault? { chunked(text).fault }

    /// Bodies that are good, and what they hold.
    private let good: [(text: String, data: String, trailers: String)] = [
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("a\r\n0123456789\r\n3\r\nabc\r\n000\r\n\r\n", "0123456789abc", ""),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", ""),
        ("5 ; a = b ; c=\"d \\\" \\\\ \u{e9}\" ;e\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5;a=\"\"\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5\t;\ta\t;b\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5\r\n\r\n\r\n0\r\n0\r\n\r\n", "\r\n\r\n0", ""),
        ("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", "x", "A: b\r\nC:\r\n"),
    ]

    private let bad: [(text: String, fault: ChunkFault)] = [
        // 7
        ("\r\n", .invalidSize), (" 5\r\nhello\r\n", .invalidSize), ("+5\r\nhello\r\n", .invalidSize),
        ("-5\r\nhello\r\n", .invalidSize), ("0x5\r\nhello\r\n", .invalidSize), ("1_0\r\n", .invalidSize), ("Z\r\n", .invalidSize),
        ("5 \r\nhello\r\n", .invalidLineEnd), ("5 x\r\nhello\r\n", .invalidExtension), ("5,\r\n", .invalidSize),
        ("g", .invalidSize),
        ("5h\r\n", .invalidSize), ("\u{b2}\r\n", .invalidSize), (";a\r\n", .invalidSize),
        // 8
        ("FFFFFFFFFFFFFFFF\r\n", .sizeTooLarge), ("8000000000000000\r\n", .sizeTooLarge),
        ("10000000000000000\r\n", .sizeTooLarge), (String(repeating: "0", count: 64) + "5\r\nhello\r\n", .sizeTooLarge),
        // 9
        ("5\nhello\r\n", .invalidLineEnd), ("5\rhello\r\n", .invalidLineEnd), ("5\rX\n", .invalidLineEnd),
        ("5;a\nhello\r\n", .invalidLineEnd), ("5;a\rb\r\n", .invalidLineEnd), ("5;\nhello\r\n", .invalidLineEnd),
        ("5;a=\nhello\r\n", .invalidLineEnd), ("5;a=\"x\ny\"\r\nhello\r\n", .invalidLineEnd),
        ("5;a=\"\r\nhello", .invalidLineEnd),
        ("5;a=\"x\"\nhello", .invalidLineEnd), ("5;a=\"\\\n\"", .invalidLineEnd),
        // 10
        ("5\r\nhelloX\n", .dataNotTerminated), ("5\r\nhello\n", .dataNotTerminated), ("5\r\nhello\rX", .dataNotTerminated),
        ("5\r\nhelloXX\r\n", .dataNotTerminated), ("5\r\nhello\r\n\r\n", .invalidSize),
        ("6\r\nhello\r\n0\r\n\r\n", .dataNotTerminated),
        ("4\r\nhello\r\n0\r\n\r\n", .dataNotTerminated),
        // 11: the grammar
        ("5;\r\nhello\r\n", .invalidLineEnd), ("5;;a\r\n", .invalidExtension), ("5;=b\r\n", .invalidExtension),
        ("5;a=\r\nhello", .invalidLineEnd), ("5;a=b=c\r\n", .invalidExtension), ("5;a(b\r\n", .invalidExtension),
        ("5;a=\"b\"c\r\n", .invalidExtension), ("5;a=\"\u{7f}\"\r\n", .invalidExtension), ("5;a \r\nhello", .invalidLineEnd),
        ("5;a b\r\n", .invalidExtension), ("5;a=b \r\nhello", .invalidLineEnd), ("5;a\0\r\n", .invalidExtension),
        // 13
        ("0\r\nA: b\n\r\n", .invalidTrailer), ("0\r\nA: b\rc\r\n\r\n", .invalidTrailer), ("0\r\nA: \0\r\n\r\n", .invalidTrailer),
        ("0\r\n\n", .invalidTrailer), ("0\r\n\rX", .invalidTrailer), ("0\r\nA\r\n\rX", .invalidTrailer),
    ]

    @Test func `good bodies give their data, their trailers and their end`() {
        for entry in good {
            let all = bytes(entry.text)
            let verdict = readBody(.chunked, all + bytes("NEXT"))
            #expect(
                verdict == BodyVerdict(data: bytes(entry.data), trailers: bytes(entry.trailers), end: all.count), "\(entry.text)")
        }
    }

    @Test func `malformed bodies are refused with their fault`() {
        for entry in bad { #expect(fault(entry.text) == entry.fault, "\(entry.text)") }
    }

    @Test func `every body of the tables ends alike at every split point and byte by byte`() {  // 34
        for text in good.map(\.text) + bad.map(\.text) {
            let all = bytes(text)
            let whole = readBody(.chunked, all)
            for cut in 1..<max(all.count, 2) {
                #expect(readBody(.chunked, all, cuts: [min(cut, all.count)]) == whole, "\(text) at \(cut)")
            }
            #expect(readBody(.chunked, all, cuts: Array(1..<max(all.count, 2)).filter { $0 < all.count }) == whole, "\(text)")
        }
    }

    @Test func `a body that has not ended asks for more`() {
        for text in ["", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\nA: b\r\n", "0\r\n\r"] {
            let verdict = chunked(text)
            #expect(verdict.end == nil && verdict.fault == nil, "\(text)")
        }
    }

    @Test func `a decoder that refused refuses again, and one that ended ends again`() {
        var decoder = ChunkedDecoder()
        #expect(next(&decoder, "x") == .refused(.invalidSize))
        #expect(next(&decoder, "0\r\n\r\n") == .refused(.invalidSize))
        decoder = ChunkedDecoder()
        #expect(next(&decoder, "0\r\n\r\nrest") == .end(consumed: 5))
        #expect(decoder.isComplete)
        #expect(next(&decoder, "rest") == .end(consumed: 0))
        #expect(next(&decoder, "") == .end(consumed: 0))
    }

    @Test func `a chunk's size is known before its data`() {  // 8
        var decoder = ChunkedDecoder()
        #expect(next(&decoder, "7FFFFFFFFFFFFFFF\r\n") == .needMore(consumed: 18))
        #expect(decoder.announcedBytes == UInt64(Int64.max))
        #expect(next(&decoder, "abc") == .data(0..<3))
        #expect(decoder.announcedBytes == UInt64(Int64.max) - 3)
    }

    @Test func `a size line is accepted exactly when it is 1 to 16 hexadecimal digits`() {  // 7
        var random = RandomSource(seed: 7)
        let alphabet = Array("0123456789abcdefABCDEFgx+- _\r\t")
        for _ in 0..<20_000 {
            let line = String(
                (0..<random.below(18)).map { _ in random.below(20) > 0 ? alphabet[random.below(22)] : random.pick(alphabet) })
            let verdict = chunked(line + "\r\n")
            let isSize = (1...16).contains(line.utf8.count) && line.utf8.allSatisfy { ASCII.hexValue($0) != nil }
            let fits = isSize && (UInt64(line, radix: 16).map { $0 < 1 << 63 } ?? false)
            #expect((verdict.fault == nil) == fits, "'\(line)'")
        }
    }

    @Test func `extensions of 256 bytes in a line are accepted and 257 are refused`() {  // 11
        let name = String(repeating: "e", count: 255)
        #expect(chunked("1;\(name)\r\nx\r\n0\r\n\r\n").end != nil)
        #expect(fault("1;\(name)e\r\nx\r\n0\r\n\r\n") == .tooMuchOverhead)
    }

    @Test func `a flood of extensions around tiny chunks is refused`() {  // 11
        let chunk = bytes("1;\(String(repeating: "e", count: 199))\r\nx\r\n")
        var decoder = ChunkedDecoder()
        var chunks = 0
        var result: ChunkFault?
        while result == nil, chunks < 10_000 {
            var position = 0
            while position < chunk.count, result == nil {
                let step = decoder.next(chunk.span.bytes.extracting(position..<chunk.count))
                position += step.consumed
                if case .refused(let fault) = step { result = fault }
            }
            chunks += 1
        }
        #expect(result == .tooMuchOverhead)
        // 200 bytes a chunk, of which 16,384 and a quarter of the data are free.
        #expect(chunks == (16_384 + 82 / 4) / 200 + 1)
    }

    @Test func `leading zeros count as overhead too`() {  // 11
        let body = String(repeating: "0000000000000001\r\nx\r\n", count: 2_000)
        #expect(fault(body) == .tooMuchOverhead)
    }

    @Test func `a long stream of small events without extensions is not overhead`() {  // 11
        let body = String(repeating: "3\r\n:\n\n\r\n", count: 20_000) + "0\r\n\r\n"
        #expect(chunked(body).data.count == 60_000)
    }

    @Test func `large bodies may have extensions within a quarter of their data`() {  // 11
        let body = String(
            repeating: "400;\(String(repeating: "e", count: 200))\r\n\(String(repeating: "x", count: 1024))\r\n", count: 1_000)
        #expect(fault(body) == nil)
    }

    @Test func `16 KiB of trailers are accepted and one byte more is refused`() {  // 13
        let line = "A: " + String(repeating: "x", count: 1019) + "\r\n"
        let section = String(repeating: line, count: 16)
        #expect(section.utf8.count == 16_384)
        #expect(chunked("0\r\n\(section)\r\n").trailers.count == 16_384)
        #expect(fault("0\r\n\(section)B\r\n\r\n") == .trailersTooLarge)
        #expect(fault("0\r\nA: \(String(repeating: "x", count: 20_000))") == .trailersTooLarge)
    }

    @Test func `random bodies decode as a naive decoder does, however they are cut`() {
        var random = RandomSource(seed: 0xc4)
        for round in 0..<30_000 {
            var body = [UInt8]()
            for _ in 0..<random.below(5) {
                let size = 1 + random.below(40)
                body += bytes(
                    String(repeating: "0", count: random.below(3)) + String(size, radix: 16, uppercase: random.below(2) == 0))
                body += bytes(random.pick(["", "", ";a", ";a=b", ";a=\"q\"", " ;x"]))
                body += bytes("\r\n") + (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) } + bytes("\r\n")
            }
            body += bytes("0\r\n" + random.pick(["", "A: b\r\n", "A: b\r\nCc: d e\r\n"]) + "\r\n")
            if random.below(2) == 0 { body[random.below(body.count)] = random.pick(bytes("\r\n0a; x=\"\0\u{80}")) }
            let verdict = readBody(.chunked, body)
            #expect(verdict == naiveChunked(body), "round \(round): \(latin1(body.span.bytes))")
            #expect(readBody(.chunked, body, cuts: random.cuts(body.count)) == verdict, "round \(round), cut")
        }
    }
}

/// The whole body at once, line by line, with nothing shared with the decoder but the words for its faults.
private func naiveChunked(_ input: [UInt8]) -> BodyVerdict {
    var verdict = BodyVerdict()
    var rest = input[...]
    while true {
        let digits = rest.prefix { ASCII.hexValue($0) != nil }
        if digits.isEmpty { return rest.isEmpty ? verdict : failing(verdict, .invalidSize) }
        if digits.count > 16 { return failing(verdict, .sizeTooLarge) }
        guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { return failing(verdict, .sizeTooLarge) }
        rest = rest.dropFirst(digits.count)
        var text = rest
        if let fault = naiveExtensions(&text) { return failing(verdict, fault) }
        guard text.count >= 2 else {
            return text.first.map { $0 == 13 } ?? true ? verdict : failing(verdict, .invalidLineEnd)
        }
        guard text.starts(with: [13, 10]) else { return failing(verdict, .invalidLineEnd) }
        rest = text.dropFirst(2)
        if size == 0 { break }
        verdict.data += rest.prefix(size)
        if rest.count < size { return verdict }
        rest = rest.dropFirst(size)
        for byte: UInt8 in [13, 10] {
            guard let next = rest.first else { return verdict }
            guard next == byte else { return failing(verdict, .dataNotTerminated) }
            rest = rest.dropFirst()
        }
    }
    while true {
        let line = rest.prefix { !($0 < 32 && $0 != 9) && $0 != 127 }
        let behind = rest.dropFirst(line.count)
        verdict.trailers += line
        guard let first = behind.first else { return verdict }
        guard first == 13 else { return failing(verdict, .invalidTrailer) }
        guard let second = behind.dropFirst().first else {
            if !line.isEmpty { verdict.trailers.append(13) }
            return verdict
        }
        guard second == 10 else { return failing(verdict, .invalidTrailer) }
        rest = behind.dropFirst(2)
        if line.isEmpty {
            verdict.end = rest.startIndex
            return verdict
        }
        verdict.trailers += [13, 10]
    }
}

/// Takes chunk extensions off the front of `text`, up to the CR; a fault in the bytes at hand, or nil.
private func naiveExtensions(_ text: inout ArraySlice<UInt8>) -> ChunkFault? {
    func isSpace(_ c: UInt8) -> Bool { c == 32 || c == 9 }
    func bad(_ c: UInt8) -> ChunkFault { c == 13 || c == 10 ? .invalidLineEnd : .invalidExtension }
    var isFirst = true
    while true {
        let spaces = text.prefix(while: isSpace)
        guard let c = text.dropFirst(spaces.count).first else {
            text = []
            return nil
        }
        if c != 59 {
            if spaces.isEmpty, c == 13 { return nil }
            if isFirst, spaces.isEmpty { return c == 10 ? .invalidLineEnd : .invalidSize }
            return bad(c)
        }
        isFirst = false
        text = text.dropFirst(spaces.count + 1).drop(while: isSpace)
        let name = text.prefix(while: ASCII.isToken)
        text = text.dropFirst(name.count)
        guard let behindName = text.first else { return nil }
        if name.isEmpty { return bad(behindName) }
        let afterSpaces = text.drop(while: isSpace)
        guard let equals = afterSpaces.first else {
            text = []
            return nil
        }
        if equals != 61 {
            if isSpace(behindName), equals != 59 { return bad(equals) }
            continue
        }
        text = afterSpaces.dropFirst().drop(while: isSpace)
        guard let start = text.first else { return nil }
        if start == 34 {
            text = text.dropFirst()
            var isEscaped = false
            while true {
                guard let q = text.first else { return nil }
                guard q == 9 || (q >= 32 && q != 127) else { return bad(q) }
                text = text.dropFirst()
                if isEscaped { isEscaped = false } else if q == 92 { isEscaped = true } else if q == 34 { break }
            }
        } else {
            let value = text.prefix(while: ASCII.isToken)
            if value.isEmpty { return bad(start) }
            text = text.dropFirst(value.count)
        }
    }
}

private func failing(_ verdict: BodyVerdict, _ fault: ChunkFault) -> BodyVerdict {
    BodyVerdict(data: verdict.data, fault: fault)
}
