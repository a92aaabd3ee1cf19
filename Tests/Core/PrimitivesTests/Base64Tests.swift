import Primitives
import Testing

@Suite struct Base64Tests {
    private func encode(_ bytes: [UInt8]) -> String {
        var out = ByteBuffer(capacity: 16)
        out.append(base64: bytes.span.bytes)
        return String(decoding: out.bytes.array(), as: UTF8.self)
    }

    /// What was appended behind a byte that stood there already; nil for a refusal.
    private func decode(_ text: String) -> [UInt8]? {
        var out = ByteBuffer(capacity: 16)
        out.append(UInt8(7))
        let isGood = Base64.decode(Array(text.utf8).span.bytes, into: &out)
        let bytes = out.bytes.array()
        #expect(bytes.first == 7)
        #expect(isGood || bytes.count == 1, "something was appended")
        return isGood ? Array(bytes.dropFirst()) : nil
    }

    /// RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func `the examples of the standard go both ways`(_ plain: String, _ text: String) {
        #expect(encode(Array(plain.utf8)) == text)
        #expect(decode(text) == Array(plain.utf8))
        #expect(Base64.textCount(of: plain.utf8.count) == text.utf8.count)
    }

    @Test func `bytes of any length come back as they were`() {
        var random = RandomSource(seed: 1)
        for count in 0..<300 {
            let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            #expect(decode(encode(bytes)) == bytes)
            #expect(encode(bytes).utf8.count == Base64.textCount(of: count))
        }
        #expect(encode([0xfb, 0xef, 0xff]) == "++//")
    }

    @Test func `a count whose text fits no memory saturates`() { #expect(Base64.textCount(of: .max) == .max) }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zm8", "Z===", "====", "=", "Zg==\n", " Zg==", "Zm9v ", "Zm 9v", "Zm9v\r\n", "Zg==Zg==", "Zg=a", "Z=g=",
        "Zm-_", "Zm9v====", "Zh==", "Zv==", "Zm9=", "Zm\u{0}v", "Zmäv", "Zm8=====",
    ])
    func `a text that is not the one for some bytes is refused`(_ text: String) { #expect(decode(text) == nil) }

    @Test func `each byte outside the alphabet is refused in each place`() {
        let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for byte in UInt8.min...UInt8.max where !alphabet.contains(byte) {
            for place in 0..<4 {
                var text = Array("AAAAAAAA".utf8)
                text[place] = byte
                var out = ByteBuffer(capacity: 16)
                #expect(!Base64.decode(text.span.bytes, into: &out), "\(byte) at \(place)")
            }
        }
        #expect((UInt8.min...UInt8.max).filter { Base64.value(of: $0) != nil }.count == 64)
    }
}
