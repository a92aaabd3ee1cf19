import Primitives
import Testing

@Suite struct JSONTextTests {
    private func escaped(_ bytes: [UInt8], limit: Int = .max) -> String {
        var buffer = ByteBuffer(capacity: 16)
        JSONText.append(escaping: bytes.span.bytes, limit: limit, into: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    private func escaped(_ text: String, limit: Int = .max) -> String { escaped(Array(text.utf8), limit: limit) }

    @Test func `plain text is copied as it is`() {
        #expect(escaped("") == "")
        #expect(escaped("/api/v1/users/42 ~!#[]{}") == "/api/v1/users/42 ~!#[]{}")
        #expect(escaped("grün 日本 🙂") == "grün 日本 🙂")
    }

    @Test func `what would end or spoil a line is escaped`() {
        #expect(escaped("a\"b\\c\r\n\td") == #"a\"b\\c\r\n\td"#)
        #expect(escaped("\u{0}\u{8}\u{c}\u{1b}[31m\u{7f}") == #"\u0000\u0008\u000c\u001b[31m\u007f"#)
        #expect(escaped("\u{85}\u{9b}\u{a0}") == "\\u0085\\u009b\u{a0}")
        #expect(escaped("\u{2027}\u{2028}\u{2029}\u{202e}\u{2066}\u{206a}") == "\u{2027}\\u2028\\u2029\\u202e\\u2066\u{206a}")
    }

    @Test(
        arguments: [
            ([0xff], #"\\xff"#), ([0x80], #"\\x80"#), ([0xc3], #"\\xc3"#), ([0xc3, 0x28], #"\\xc3("#),
            ([0xc0, 0xaf], #"\\xc0\\xaf"#), ([0xe0, 0x80, 0xaf], #"\\xe0\\x80\\xaf"#), ([0xed, 0xa0, 0x80], #"\\xed\\xa0\\x80"#),
            ([0xf4, 0x90, 0x80, 0x80], #"\\xf4\\x90\\x80\\x80"#), ([0xf0, 0x9f, 0x99], #"\\xf0\\x9f\\x99"#), ([0xf5], #"\\xf5"#),
        ] as [([UInt8], String)])
    func `bytes that are no UTF-8 are shown as hexadecimal text`(bytes: [UInt8], expected: String) {
        #expect(escaped(bytes) == expected)
    }

    @Test func `text is cut to its limit, and never inside a character`() {
        #expect(escaped("abcdef", limit: 4) == "abcd")
        #expect(escaped("abü", limit: 3) == "ab")
        #expect(escaped("ab🙂", limit: 5) == "ab")
        #expect(escaped("ab🙂c", limit: 6) == "ab🙂")
        #expect(escaped("日", limit: 2) == "")
        #expect(escaped("abc", limit: 0) == "")
        #expect(escaped([0x80, 0x80, 0x80, 0x80, 0x80, 0x80], limit: 5) == #"\\x80\\x80\\x80\\x80\\x80"#)
    }

    @Test func `each byte at each place of a word is told plain or not`() {
        for length in [1, 7, 8, 9, 15, 16, 17, 31, 32, 40] {
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var bytes = [UInt8](repeating: 0x7e, count: length)
                    bytes[place] = byte
                    let expected = (0x20...0x7e).contains(byte) && byte != 0x22 && byte != 0x5c
                    if JSONText.isPlain(bytes.span.bytes) != expected { Issue.record("byte \(byte) at \(place) of \(length)") }
                }
            }
        }
    }

    @Test func `any bytes become the inside of a JSON string`() throws {
        var random = RandomSource(seed: 8259)
        let hostile: [UInt8] = [0x22, 0x5c, 0xe2, 0x80, 0xa8, 0x41, 0xf0, 0x9f]
        for round in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<60, using: &random)).map { _ in
                round % 2 == 0
                    ? UInt8.random(in: 0...255, using: &random) : hostile[Int.random(in: 0..<hostile.count, using: &random)]
            }
            let text = escaped(bytes)
            #expect(text.utf8.count <= bytes.count * JSONText.growthMax)
            let node = try StrictJSON.parse("\"\(text)\"")
            if let valid = String(validating: bytes, as: UTF8.self) { #expect(node.text == valid) }
        }
    }
}
