/// Writes text into memory that was reserved before, for lines of many short parts whose greatest length is known.
///
/// It checks its bounds in debug builds only: whoever makes one has reserved enough for the longest text that the parts can
/// become. It is used inside `ByteBuffer.withFreeSpace` and does not outlive that call.
public struct TextCursor: ~Copyable {
    @usableFromInline let start: UnsafeMutablePointer<UInt8>
    @usableFromInline let end: UnsafeMutablePointer<UInt8>
    @usableFromInline var next: UnsafeMutablePointer<UInt8>

    /// The room must not be empty.
    @inlinable
    public init(_ room: UnsafeMutableRawBufferPointer) {
        guard let base = room.baseAddress else { preconditionFailure("no room to write to") }
        start = base.assumingMemoryBound(to: UInt8.self)
        end = start + room.count
        next = start
    }

    /// Bytes written so far.
    @inlinable
    public var count: Int { next - start }

    @inlinable
    @inline(__always)
    public mutating func write(_ byte: UInt8) {
        assert(next < end)
        next.pointee = byte
        next += 1
    }

    @inlinable
    @inline(__always)
    public mutating func write(_ text: StaticString) {
        let n = text.utf8CodeUnitCount
        assert(end - next >= n)
        UnsafeMutableRawPointer(next).copyMemory(from: text.utf8Start, byteCount: n)
        next += n
    }

    @inlinable
    @inline(__always)
    public mutating func write(_ span: RawSpan) {
        let n = span.byteCount
        assert(end - next >= n)
        span.withUnsafeBytes { from in
            if let base = from.baseAddress { UnsafeMutableRawPointer(next).copyMemory(from: base, byteCount: n) }
        }
        next += n
    }

    /// The text with what JSON and a terminal must not see escaped; takes up to `JSONText.growthMax` bytes for each byte.
    @inlinable
    public mutating func write(escaping span: RawSpan) {
        assert(end - next >= span.byteCount * JSONText.growthMax)
        next += JSONText.escape(span, to: next)
    }

    /// Two decimal digits; `number` is below 100.
    @inlinable
    @inline(__always)
    public mutating func write(twoDigits number: UInt32) {
        assert(number < 100 && end - next >= 2)
        let pair = TextCursor.pairs.utf8Start + Int(truncatingIfNeeded: number &* 2)
        UnsafeMutableRawPointer(next).copyMemory(from: pair, byteCount: 2)
        next += 2
    }

    /// `00` to `99`, one behind the other.
    @usableFromInline
    static var pairs: StaticString {
        """
        0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
        5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
        """
    }

    /// Three decimal digits; `number` is below 1000.
    @inlinable
    @inline(__always)
    public mutating func write(threeDigits number: UInt32) {
        assert(number < 1000 && end - next >= 3)
        let hundreds = number / 100
        next[0] = UInt8(truncatingIfNeeded: 48 &+ hundreds)
        next += 1
        write(twoDigits: number &- hundreds &* 100)
    }

    /// A number in decimal digits, up to twenty.
    @inlinable
    public mutating func write(decimal number: UInt64) {
        if number < 10 { return write(UInt8(truncatingIfNeeded: 48 &+ number)) }
        if number < 100 { return write(twoDigits: UInt32(truncatingIfNeeded: number)) }
        let rest = number / 100
        write(decimal: rest)
        write(twoDigits: UInt32(truncatingIfNeeded: number &- rest &* 100))
    }

    /// Nanoseconds as milliseconds with three decimals, cut off: 1234567 is `1.234`.
    @inlinable
    public mutating func write(millisecondsOf nanoseconds: UInt64) {
        let microseconds = nanoseconds / 1000
        let milliseconds = microseconds / 1000
        write(decimal: milliseconds)
        write(UInt8(0x2e))
        write(threeDigits: UInt32(truncatingIfNeeded: microseconds &- milliseconds &* 1000))
    }
}
