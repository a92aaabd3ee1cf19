/// The elements of a comma-separated list without quoted strings, trimmed, empty ones skipped (RFC 9110 §5.6.1).
public struct ListElements: ~Escapable {
    @usableFromInline let value: RawSpan
    @usableFromInline var position = 0

    @inlinable
    @_lifetime(copy value)
    public init(_ value: RawSpan) { self.value = value }

    /// Where the next element stands in the value; nil at the end.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func next() -> Range<Int>? {
        while position < value.byteCount {
            var start = position
            var end = start
            while end < value.byteCount, value[end] != ASCII.comma { end += 1 }
            position = end + 1
            while start < end, value[start] == ASCII.space || value[start] == ASCII.tab { start += 1 }
            while end > start, value[end - 1] == ASCII.space || value[end - 1] == ASCII.tab { end -= 1 }
            if start < end { return start..<end }
        }
        return nil
    }
}
