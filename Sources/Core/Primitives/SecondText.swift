/// The date and time of the last second that was written, for whoever writes many times a second: most lines then need no
/// calendar.
public struct SecondText: Sendable {
    private var second = Int64.min
    /// `2026-07-01T12:34:56.`
    private var text = InlineArray<20, UInt8>(repeating: 0)

    public init() {}

    fileprivate mutating func bytes(of second: Int64) -> InlineArray<20, UInt8> {
        if second != self.second { replace(second) }
        return text
    }

    @inline(never)
    private mutating func replace(_ second: Int64) {
        var bytes = text.mutableSpan
        bytes.withUnsafeMutableBytes { room in
            // The form without a fraction ends in `Z`, where the point goes.
            var cursor = TextCursor(room)
            cursor.write(rfc3339: Timestamp(seconds: second), .seconds)
        }
        text[19] = ASCII.dot
        self.second = second
    }
}

extension TextCursor {
    /// As `write(rfc3339:_:)` with microseconds.
    public mutating func write(microseconds time: Timestamp, _ clock: inout SecondText) {
        let second = time.seconds
        let text = clock.bytes(of: second)
        write(text.span.bytes)
        let microsecond = UInt32(truncatingIfNeeded: (time.nanoseconds &- second &* 1_000_000_000) / 1_000)
        write(threeDigits: microsecond / 1_000)
        write(threeDigits: microsecond % 1_000)
        write(UInt8(0x5a))
    }
}
