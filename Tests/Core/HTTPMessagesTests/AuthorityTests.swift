import HTTPMessages
import Primitives
import Testing

@Suite struct AuthorityTests {
    private func read(_ text: String) -> Authority? { Authority(Array(text.utf8).span.bytes) }

    @Test func `an authority is a host and a port`() {
        #expect(read("a.example")?.host == 0..<9)
        #expect(read("a.example")?.port == 0)
        #expect(read("a:8080")?.host == 0..<1)
        #expect(read("a:8080")?.port == 8080)
        #expect(read("a:")?.port == 0)
        #expect(read("[::1]:443")?.host == 0..<5)
        #expect(read("[::1]:443")?.port == 443)
        #expect(read("a:65535")?.port == 65_535)
        #expect(read(String(repeating: "a", count: 255)) != nil)
    }

    @Test func `what is no authority is none`() {
        for text in [
            "", ":80", "a:65536", "a:0", "a:99999", "a:+1", "a:1x", "a:000001", "u@a", "a b", "a,b", "a/b", "[::1", "::1", "[]",
            "[::1]8",
            "[1.2.3.4]", "[v1.x]", "a%20", String(repeating: "a", count: 256), "[" + String(repeating: "0", count: 60) + "]",
        ] { #expect(read(text) == nil, "\(text)") }
        for byte in UInt8.min...UInt8.max {
            let isGood = ASCII.isLetter(byte) || ASCII.isDigit(byte) || [0x2d, 0x2e, 0x5f, 0x7e].contains(byte)
            for length in [0, 7, 20] {
                let text =
                    Array(repeating: UInt8(ascii: "a"), count: length) + [byte]
                    + Array(repeating: UInt8(ascii: "a"), count: length)
                #expect((Authority(text.span.bytes) != nil) == isGood, "\(byte) at \(length)")
            }
        }
    }
}
