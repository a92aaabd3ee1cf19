import Primitives

/// Finds the end of a segment and hashes it, eight bytes at a time.
struct SegmentHash: Sendable {
    private let seed: UInt64

    init(seed: UInt64) { self.seed = seed }

    struct Segment {
        var hash: UInt64
        /// The first eight bytes and the next eight, little-endian, with zeros behind them.
        var head: (UInt64, UInt64)
        /// At a slash or at the end.
        var end: Int
    }

    private static var slashes: UInt64 { 0x2f2f_2f2f_2f2f_2f2f }
    private static var ones: UInt64 { 0x0101_0101_0101_0101 }
    private static var tops: UInt64 { 0x8080_8080_8080_8080 }

    /// The segment from `offset` on, seen from `node`. `offset` is at most `end`, and `end` lies inside the bytes.
    @inline(__always)
    func segment(_ bytes: RawSpan, _ offset: Int, _ end: Int, from node: Int32) -> Segment {
        let state = seed ^ (UInt64(UInt32(bitPattern: node)) &* 0x9e37_79b9_7f4a_7c15)
        let first = SegmentHash.word(bytes, offset, end)
        let hash = SegmentHash.mix(state, first.bytes)
        guard first.count == 8 else { return Segment(hash: hash, head: (first.bytes, 0), end: offset &+ first.count) }
        return SegmentHash.rest(bytes, offset, end, hash, first.bytes)
    }

    /// A segment of eight bytes and more. A word of no bytes is not mixed in: the slash may stand right behind a whole word.
    @inline(never)
    private static func rest(_ bytes: RawSpan, _ offset: Int, _ end: Int, _ hash: UInt64, _ first: UInt64) -> Segment {
        var at = offset &+ 8
        guard at < end else { return Segment(hash: hash, head: (first, 0), end: at) }
        let second = word(bytes, at, end)
        at &+= second.count
        var hash = second.count > 0 ? mix(hash, second.bytes) : hash
        var count = second.count
        while count == 8, at < end {
            let next = word(bytes, at, end)
            count = next.count
            if count > 0 { hash = mix(hash, next.bytes) }
            at &+= count
        }
        return Segment(hash: hash, head: (first, second.bytes), end: at)
    }

    /// The bytes from `offset` to the next slash, to `end`, or eight, with zeros behind them.
    @inline(__always)
    private static func word(_ bytes: RawSpan, _ offset: Int, _ end: Int) -> (bytes: UInt64, count: Int) {
        let word = load(bytes, offset, end)
        // The lowest top bit set marks the first slash (the zero-byte test of Lamport, 1975); without one, the count is eight.
        let difference = word ^ slashes
        let found = (difference &- ones) & ~difference & tops
        let count = min(found.trailingZeroBitCount &>> 3, end &- offset)
        guard count < 8 else { return (word, 8) }
        return (word & ((1 &<< UInt64(truncatingIfNeeded: count &<< 3)) &- 1), count)
    }

    /// Eight bytes; near the end of the storage only those up to `end`.
    @inline(__always)
    private static func load(_ bytes: RawSpan, _ offset: Int, _ end: Int) -> UInt64 {
        if offset &+ 8 <= bytes.byteCount {
            return UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
        }
        return loadLast(bytes, offset, end)
    }

    @inline(never)
    private static func loadLast(_ bytes: RawSpan, _ offset: Int, _ end: Int) -> UInt64 {
        var word: UInt64 = 0
        for i in 0..<max(0, min(end - offset, 8)) { word |= UInt64(bytes[offset + i]) &<< UInt64(i &* 8) }
        return word
    }

    @inline(__always)
    private static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
        let product = (state ^ word).multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
        return product.high ^ product.low
    }
}
