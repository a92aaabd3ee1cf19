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
    private static func rest(_ bytes: RawSpan, _ offset: Int, _ end: Int, _ hash: UInt64, _ first: UInt64) -> Segment {
        var segment = Segment(hash: hash, head: (first, 0), end: offset &+ 8)
        var count = 8
        while count == 8, segment.end < end {
            let next = word(bytes, segment.end, end)
            if segment.end &- offset == 8 { segment.head.1 = next.bytes }
            if next.count > 0 { segment.hash = mix(segment.hash, next.bytes) }
            segment.end &+= next.count
            count = next.count
        }
        return segment
    }

    /// The bytes from `offset` to the next slash, to `end`, or eight, with zeros behind them.
    @inline(__always)
    private static func word(_ bytes: RawSpan, _ offset: Int, _ end: Int) -> (bytes: UInt64, count: Int) {
        let word = load(bytes, offset, end)
        // The lowest top bit set marks the first slash (the zero-byte test of Lamport, 1975), or the end.
        let difference = word ^ slashes
        var found = (difference &- ones) & ~difference & tops
        let left = end &- offset
        if left < 8 { found |= 0x80 &<< UInt64(truncatingIfNeeded: left &<< 3) }
        guard found != 0 else { return (word, 8) }
        let bits = UInt64(truncatingIfNeeded: found.trailingZeroBitCount) & 0x38
        return (word & ((1 &<< bits) &- 1), Int(truncatingIfNeeded: bits &>> 3))
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
