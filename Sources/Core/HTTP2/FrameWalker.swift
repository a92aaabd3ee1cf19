/// The header of a frame (RFC 9113 §4.1).
struct FrameHeader {
    var length: Int
    var type: UInt8
    var flags: UInt8
    var stream: Int32
}

/// The types that a session tells apart by itself.
enum FrameType {
    static var data: UInt8 { 0x0 }
    static var headers: UInt8 { 0x1 }
    static var priority: UInt8 { 0x2 }
    static var reset: UInt8 { 0x3 }
    static var settings: UInt8 { 0x4 }
    static var pushPromise: UInt8 { 0x5 }
    static var ping: UInt8 { 0x6 }
    static var goAway: UInt8 { 0x7 }
    static var windowUpdate: UInt8 { 0x8 }
    static var continuation: UInt8 { 0x9 }
}

enum FrameFlag {
    static var endStream: UInt8 { 0x1 }
    static var acknowledgement: UInt8 { 0x1 }
    static var endHeaders: UInt8 { 0x4 }
}

/// Steps from frame to frame through the bytes of a connection and reads nothing but the headers.
///
/// nghttp2 says nothing of the frames that it ignores (unknown types, frames on streams that are gone), and tells of the others
/// once it has done their work. The budgets want to see each frame, and before that.
struct FrameWalker {
    /// Bytes of the payload under way, or of the preface, that have not come yet.
    private(set) var remaining: Int
    private(set) var type: UInt8 = 0xff
    private var partial: UInt64 = 0
    private var partialCount = 0

    /// - Parameter preface: bytes before the first frame.
    init(preface: Int) { remaining = preface }

    /// Whether the last frame has come as a whole. Bytes of the next one's header may be there.
    var isBetweenFrames: Bool { remaining == 0 }

    /// The next header that is complete, or nil when the bytes are at their end; `position` is moved on.
    ///
    /// `base` points to `count` readable bytes.
    @inline(__always)
    mutating func next(_ base: UnsafePointer<UInt8>, _ position: inout Int, _ count: Int) -> FrameHeader? {
        if remaining > 0 {
            let skipped = min(remaining, count - position)
            remaining -= skipped
            position += skipped
            if remaining > 0 { return nil }
        }
        if partialCount == 0, count - position >= 9 {
            let raw = UnsafeRawPointer(base + position)
            let first = UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self))
            position += 9
            return header(first, base[position - 1])
        }
        return slowNext(base, &position, count)
    }

    /// A header that comes in pieces, byte by byte.
    @inline(never)
    private mutating func slowNext(_ base: UnsafePointer<UInt8>, _ position: inout Int, _ count: Int) -> FrameHeader? {
        while position < count {
            let byte = base[position]
            position += 1
            if partialCount == 8 {
                partialCount = 0
                return header(partial, byte)
            }
            partial = partial << 8 | UInt64(byte)
            partialCount += 1
        }
        return nil
    }

    /// - Parameters:
    ///   - first: length (24 bits), type, flags, and the upper 24 bits of the stream.
    ///   - last: the stream's lowest byte.
    @inline(__always)
    private mutating func header(_ first: UInt64, _ last: UInt8) -> FrameHeader {
        let length = Int(first >> 40)
        type = UInt8(truncatingIfNeeded: first >> 32)
        remaining = length
        let stream = (UInt32(truncatingIfNeeded: first) << 8 | UInt32(last)) & 0x7fff_ffff
        return FrameHeader(
            length: length, type: type, flags: UInt8(truncatingIfNeeded: first >> 24), stream: Int32(bitPattern: stream))
    }
}
