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
            "", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        ),
        (
            "abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            String(repeating: "a", count: 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ])
    func `a message has the digests of the standard`(_ message: String, _ sha1: String, _ sha256: String) {
        let bytes = Array(message.utf8)
        #expect(SHA1Digest(of: bytes.span.bytes).map { hex($0.bytes.span.bytes) } == sha1)
        #expect(SHA256Digest(of: bytes.span.bytes).map { hex($0.bytes.span.bytes) } == sha256)
    }
}
