import Primitives
import Testing

@Suite struct ASCIITests {
    private func span<R>(_ text: String, _ body: (RawSpan) -> R) -> R { body(Array(text.utf8).span.bytes) }

    @Test func `classes of bytes are those of ASCII`() {
        for byte in UInt8.min...UInt8.max {
            let scalar = Unicode.Scalar(byte)
            let isASCII = byte < 128
            #expect(ASCII.isDigit(byte) == (isASCII && ("0"..."9").contains(scalar)))
            #expect(ASCII.isUpper(byte) == (isASCII && ("A"..."Z").contains(scalar)))
            #expect(ASCII.isLetter(byte) == (isASCII && scalar.properties.isAlphabetic))
            #expect(ASCII.lowercased(byte) == (ASCII.isUpper(byte) ? byte + 32 : byte))
            let isHex = isASCII && scalar.properties.isASCIIHexDigit
            #expect(ASCII.hexValue(byte) == (isHex ? UInt8(String(scalar), radix: 16) : nil), "\(byte)")
        }
    }

    @Test func `a token is one tchar or more`() {
        for (text, expected) in [("", false), ("a", true), ("a b", false), ("GET", true), ("a:", false), ("\u{e9}", false)] {
            #expect(span(text) { isToken($0) } == expected, "\(text)")
        }
    }

    @Test func `bytes are compared with and without case`() {
        #expect(span("Close") { $0.equals("Close") })
        #expect(!span("close") { $0.equals("Close") })
        #expect(!span("Clos") { $0.equals("Close") })
        #expect(span("") { $0.equals("") && $0.equals(ignoringCase: "") && $0.equals($0) })
        #expect(span("CLOSE") { $0.equals(ignoringCase: "close") })
        #expect(!span("closer") { $0.equals(ignoringCase: "close") })
        #expect(span("abc") { a in span("abc") { a.equals($0) } })
        #expect(!span("abc") { a in span("abd") { a.equals($0) } })
    }

    @Test func `white space is trimmed from both ends and nothing else is`() {
        for (text, expected) in [("", ""), (" \t ", ""), ("\t a b \t", "a b"), ("a", "a"), ("\na\r", "\na\r")] {
            #expect(span(text) { String(decoding: $0.trimmingWhitespace().array(), as: UTF8.self) } == expected)
        }
    }

    @Test func `offsets are found or nil`() {
        #expect(span("a,b,c") { $0.firstIndex(of: ASCII.comma) } == 1)
        #expect(span("abc") { $0.firstIndex(of: ASCII.comma) } == nil)
        #expect(span("") { $0.firstIndex(of: ASCII.comma) } == nil)
        #expect(span("ab\u{1}cd\u{2}") { $0.firstControl(from: 0) } == 2)
        #expect(span("ab\u{1}cd\u{2}") { $0.firstControl(from: 3) } == 5)
        #expect(span("ab") { $0.firstControl(from: 2) } == 2)
        #expect(span("ab cd") { $0.tokenCount(from: 0) } == 2)
        #expect(span("ab cd") { $0.tokenCount(from: 3) } == 2)
        #expect(span("ab") { $0.tokenCount(from: 9) } == 0)
    }
}
