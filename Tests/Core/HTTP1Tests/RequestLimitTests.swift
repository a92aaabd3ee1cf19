import HTTP1
import HTTPMessages
import Primitives
import Testing

@Suite struct RequestLimitTests {  // 24
    private func x(_ count: Int) -> String { String(repeating: "x", count: count) }

    @Test func `a target at its limit is accepted and one byte more is 414`() {
        for length in [8191, 8192] { #expect(accepted("GET /\(x(length - 1)) HTTP/1.1\r\nHost: a\r\n\r\n") != nil) }
        let over = "GET /\(x(8192)) HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(fault(over) == .targetTooLong)
        #expect(fault(over)?.status == 414)
        #expect(fault("GET /\(x(8192))") == .targetTooLong, "without waiting for the end")
        #expect(parseRequest("GET /\(x(8191))") == .incomplete)
    }

    @Test func `a field line at its limit is accepted and one byte more is 431`() {
        #expect(accepted(request("A: \(x(16_381))")) != nil)
        let over = request("A: \(x(16_382))")
        #expect(fault(over) == .fields(.fieldTooLarge))
        #expect(fault(over)?.status == 431)
        #expect(fault(request("A: \(String(repeating: " ", count: 16_382))")) == .fields(.fieldTooLarge), "white space counts")
        #expect(fault(request("\(x(16_384)): v")) == .fields(.fieldTooLarge))
    }

    @Test func `a header section at its limit is accepted and one byte more is 431`() {
        // "Host: a\r\n" has 9 bytes and "A: …\r\n" five more than its value.
        let lines = (0..<4).map { _ in "A: \(x(16_000))" }
        let last = 65_536 - 9 - 4 * 16_005 - 5
        #expect(accepted(request((lines + ["A: \(x(last))"]).joined(separator: "\r\n"))) != nil)
        for over in [["A: \(x(last + 1))"], ["A: \(x(last))", "B:"]] {
            let text = request((lines + over).joined(separator: "\r\n"))
            #expect(fault(text) == .fields(.headersTooLarge))
            #expect(fault(text)?.status == 431)
        }
    }

    @Test func `100 fields are accepted and 101 are 431`() {
        func withFields(_ count: Int) -> String { request((2...count).map { "F\($0): v" }.joined(separator: "\r\n")) }
        #expect(accepted(withFields(99))?.fields.count == 99)
        #expect(accepted(withFields(100))?.fields.count == 100)
        #expect(fault(withFields(101)) == .fields(.tooManyFields))
        #expect(fault(withFields(101))?.status == 431)
    }

    @Test func `more fields than one round of the scanner holds keep their order`() {
        let limits = Limits(fieldCount: 1000)
        for count in [63, 64, 65, 127, 128, 129, 1000] {
            let text = request((2...count).map { "F\($0): v\($0)" }.joined(separator: "\r\n"))
            let fields = accepted(text, limits: limits)?.fields
            #expect(fields?.count == count)
            #expect(fields?.last == FieldText(name: "F\(count)", value: "v\(count)"))
        }
        #expect(
            fault(request((2...200).map { "F\($0): v" }.joined(separator: "\r\n") + "\r\nHost: b"), limits: limits)
                == .duplicateHost)
    }

    @Test func `the parser never asks for more bytes than its limits allow`() {
        let limits = Limits(requestTargetBytes: 20, fieldBytes: 30, headerBytes: 100, fieldCount: 5)
        var random = RandomSource(seed: 24)
        for _ in 0..<5_000 {
            var text = "\r\n\r\nGET /" + x(random.below(20)) + " HTTP/1.1\r\n"
            for _ in 0..<random.below(6) { text += "A: " + x(random.below(32)) + "\r\n" }
            text += x(200)
            #expect(parseRequest(text, limits: limits) != .incomplete)
            #expect(parseRequest(Array(bytes(text).prefix(limits.requestHeadBytesMax)), limits: limits) != .incomplete)
        }
    }

    @Test func `absurd limits are clamped to what a field can address`() {
        let limits = Limits(requestTargetBytes: .max, fieldBytes: .max, headerBytes: .max, fieldCount: .max)
        #expect(limits.fieldBytes == 65_535)
        #expect(fault(request("A: \(x(65_533))"), limits: limits) == .fields(.fieldTooLarge))
        #expect(accepted(request("A: \(x(65_532))"), limits: limits)?.fields[1].value.count == 65_532)
        #expect(Limits(requestTargetBytes: 0, fieldBytes: -1, headerBytes: .min, fieldCount: 0).fieldCount == 1)
    }

    @Test func `parsing again is worth it after a line feed or at a multiple of 4 KiB`() {
        func worth(_ text: String, after seen: Int) -> Bool {
            RequestParser.worthParsing(bytes(text).span.bytes, alreadySeen: seen)
        }
        #expect(worth("G", after: 0))
        #expect(!worth("GE", after: 1))
        #expect(!worth("GET / HTTP/1.1\r\nHost", after: 16))
        #expect(worth("GET / HTTP/1.1\r\nHost: a\r\n", after: 16))
        #expect(!worth(x(4095), after: 5))
        #expect(worth(x(4096), after: 5))
        #expect(!worth(x(8191), after: 4096))
        #expect(worth(x(8192), after: 8191), "also when each of many small pieces was asked about")
        #expect(!worth("GET", after: 3))
    }
}
