import Crypto
import Primitives
import Testing

@Suite struct DigestTests {
    private func hex(_ bytes: RawSpan) -> String {
        bytes.array().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// FIPS 180-4's own examples, nothing at all, and a message of many blocks.
    @Test(arguments: [
        (
            "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        ),
        (
            "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        (
            String(repeating: "a", count: 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"
        ),
    ])
    func `a message has the digest of the standard`(_ message: String, _ sha1: String) {
        let bytes = Array(message.utf8)
        #expect(SHA1Digest(of: bytes.span.bytes).map { hex($0.bytes.span.bytes) } == sha1)
    }
}
