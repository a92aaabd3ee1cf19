import Primitives

/// SipHash-2-4 with a tag of 128 bits (Aumasson, Bernstein 2012): a keyed hash for short input.
///
/// Under a secret key it authenticates; under a fixed one it is a hash that spreads any input.
public struct SipHash {
    public struct Key: Hashable, Sendable {
        public var first: UInt64
        public var second: UInt64

        public init(first: UInt64, second: UInt64) {
            self.first = first
            self.second = second
        }
    }

    public struct Tag: Hashable, Sendable {
        public var first: UInt64
        public var second: UInt64
    }

    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    public static func tag(_ bytes: RawSpan, key: Key) -> Tag {
        var state = SipHash(key)
        let count = bytes.byteCount
        var i = 0
        while count - i >= 8 {
            state.absorb(word(bytes, from: i, count: 8))
            i += 8
        }
        state.absorb(word(bytes, from: i, count: count - i) | UInt64(truncatingIfNeeded: count) << 56)
        return state.finish()
    }

    private init(_ key: Key) {
        v0 = 0x736f_6d65_7073_6575 ^ key.first
        v1 = 0x646f_7261_6e64_6f6d ^ key.second ^ 0xee
        v2 = 0x6c79_6765_6e65_7261 ^ key.first
        v3 = 0x7465_6462_7974_6573 ^ key.second
    }

    private static func word(_ bytes: RawSpan, from start: Int, count: Int) -> UInt64 {
        var word: UInt64 = 0
        for i in 0..<count { word |= UInt64(bytes[start + i]) << UInt64(8 * i) }
        return word
    }

    private mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    private mutating func finish() -> Tag {
        v2 ^= 0xee
        for _ in 0..<4 { round() }
        let first = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<4 { round() }
        return Tag(first: first, second: v0 ^ v1 ^ v2 ^ v3)
    }

    private mutating func round() {
        v0 = v0 &+ v1
        v1 = (v1 << 13 | v1 >> 51) ^ v0
        v0 = v0 << 32 | v0 >> 32
        v2 = v2 &+ v3
        v3 = (v3 << 16 | v3 >> 48) ^ v2
        v0 = v0 &+ v3
        v3 = (v3 << 21 | v3 >> 43) ^ v0
        v2 = v2 &+ v1
        v1 = (v1 << 17 | v1 >> 47) ^ v2
        v2 = v2 << 32 | v2 >> 32
    }
}
