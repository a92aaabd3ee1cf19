import CScan

/// Bytes that grow at the end and are cleared without giving their memory back, so that a buffer in steady use allocates nothing.
///
/// The memory belongs to the buffer alone and lives as long as it does. A `RawSpan` borrowed from it ends before the next
/// change; offsets stay good until `clear()`.
public struct ByteBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutablePointer<UInt8>
    @usableFromInline var capacity: Int
    public private(set) var count: Int

    /// Reserves `capacity` bytes at once.
    public init(capacity: Int) {
        self.capacity = max(capacity, 16)
        base = .allocate(capacity: self.capacity)
        count = 0
    }

    deinit { base.deallocate() }

    public var isEmpty: Bool { count == 0 }

    public var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = RawSpan(_unsafeStart: UnsafeRawPointer(base), byteCount: count)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// The bytes for a system call: good until the buffer's next change.
    public var unsafeBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    @inlinable
    public subscript(offset: Int) -> UInt8 {
        precondition(offset >= 0 && offset < count, "offset outside the buffer")
        return base[offset]
    }

    /// Forgets the bytes and keeps the memory, unless more than `keeping` bytes of it are held.
    public mutating func clear(keeping: Int = .max) {
        count = 0
        if capacity > keeping {
            base.deallocate()
            capacity = max(keeping, 16)
            base = .allocate(capacity: capacity)
        }
    }

    /// Drops everything from `newCount` on.
    public mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }

    @inline(__always)
    public mutating func reserve(_ more: Int) {
        if count + more > capacity { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        var larger = capacity
        while larger < count + more { larger *= 2 }
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        moved.update(from: base, count: count)
        base.deallocate()
        base = moved
        capacity = larger
    }

    public mutating func append(_ byte: UInt8) {
        reserve(1)
        base[count] = byte
        count += 1
    }

    public mutating func append(_ span: RawSpan) {
        let n = span.byteCount
        reserve(n)
        span.withUnsafeBytes { from in
            if let start = from.baseAddress { memcpy(base + count, start, n) }
        }
        count += n
    }

    public mutating func append(_ text: StaticString) {
        let n = text.utf8CodeUnitCount
        reserve(n)
        memcpy(base + count, text.utf8Start, n)
        count += n
    }

    public mutating func append(_ array: [UInt8]) { append(array.span.bytes) }

    /// Appends the UTF-8 of a string; off the hot path. A literal goes to the overload for `StaticString`, which makes no string.
    @_disfavoredOverload
    public mutating func append(_ string: String) {
        var string = string
        string.withUTF8 { append(RawSpan(_unsafeElements: $0)) }
    }

    /// Appends part of what the buffer already holds.
    public mutating func appendCopy(of range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        reserve(range.count)
        memcpy(base + count, base + range.lowerBound, range.count)
        count += range.count
    }

    /// Appends a number in decimal digits.
    public mutating func append(decimal number: UInt64) {
        if number < 10 { return append(UInt8(48 + number)) }
        reserve(20)
        var rest = number
        var length = 1
        while rest >= 10 {
            rest /= 10
            length += 1
        }
        rest = number
        for i in stride(from: length - 1, through: 0, by: -1) {
            base[count + i] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        }
        count += length
    }

    /// Appends a number in lower-case hexadecimal digits, without leading zeros.
    public mutating func append(hexadecimal number: UInt64) {
        let length = max(1, (64 - number.leadingZeroBitCount + 3) / 4)
        reserve(length)
        for i in 0..<length {
            let digit = UInt8(truncatingIfNeeded: (number >> UInt64((length - 1 - i) * 4)) & 15)
            base[count + i] = digit < 10 ? 48 + digit : 87 + digit
        }
        count += length
    }

    /// Appends bytes and says whether they may stand in a field value: no control byte other than HTAB (RFC 9110 §5.5).
    public mutating func append(checkedValue span: RawSpan) -> Bool {
        let n = span.byteCount
        reserve(n)
        let good = span.withUnsafeBytes { from in
            guard let start = from.baseAddress else { return true }
            return cscan_copy_value(base + count, start.assumingMemoryBound(to: UInt8.self), n) != 0
        }
        count += n
        return good
    }

    /// Appends bytes and says whether they are a token (RFC 9110 §5.6.2).
    public mutating func append(checkedToken span: RawSpan) -> Bool {
        let n = span.byteCount
        guard n > 0 else { return false }
        reserve(n)
        let good = span.withUnsafeBytes { from in
            guard let start = from.baseAddress else { return false }
            return cscan_copy_token(base + count, start.assumingMemoryBound(to: UInt8.self), n) != 0
        }
        count += n
        return good
    }

    /// Drops the first `n` bytes and moves the rest to the front.
    public mutating func removeFirst(_ n: Int) {
        precondition(n >= 0 && n <= count)
        memmove(base, base + n, count - n)
        count -= n
    }

    /// Lets `body` write up to `room` bytes behind the last one; it returns how many it wrote.
    public mutating func withFreeSpace(_ room: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) {
        reserve(room)
        let written = body(UnsafeMutableRawBufferPointer(start: base + count, count: room))
        precondition(written >= 0 && written <= room)
        count += written
    }
}
