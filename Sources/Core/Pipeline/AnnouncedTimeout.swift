import HTTPMessages
import Primitives

/// `X-Request-Timeout`: how much time whoever sent the request has left for it. Seconds with up to three decimals, as it is
/// written here; `ms` and `s` behind the number are read as well.
public enum AnnouncedTimeout {
    /// What a trusted peer says; nil where it says nothing that can be read. A peer that is not trusted is not asked.
    public static func read(_ head: borrowing RequestHead, _ context: borrowing RequestContext) -> TimeAmount? {
        guard context.isTrustedPeer, context.received.contains(.xRequestTimeout) else { return nil }
        for i in 0..<min(head.headers.count, context.receivedCount) where head.headers.fields[i].id == .xRequestTimeout {
            return read(head.headers.value(i))
        }
        return nil
    }

    /// At most a day: who has more time has no deadline.
    static func read(_ text: RawSpan) -> TimeAmount? {
        var end = text.byteCount
        var unit: UInt64 = 1_000_000_000
        if end > 1, text[end - 1] == UInt8(ascii: "s") {
            end -= 1
            if end > 1, text[end - 1] == UInt8(ascii: "m") {
                end -= 1
                unit = 1_000_000
            }
        }
        var value: UInt64 = 0
        var fraction: UInt64 = 0
        var scale: UInt64 = 1
        var digits = 0
        var isFraction = false
        for i in 0..<end {
            if text[i] == ASCII.dot, !isFraction, digits > 0 {
                isFraction = true
                continue
            }
            guard ASCII.isDigit(text[i]) else { return nil }
            let digit = UInt64(text[i] - ASCII.zero)
            digits += 1
            if !isFraction {
                value = min(value * 10 + digit, 100_000_000)
            } else if scale < 1_000_000 {
                fraction = fraction * 10 + digit
                scale *= 10
            }
        }
        guard digits > 0 else { return nil }
        return min(TimeAmount(nanoseconds: value * unit + fraction * (unit / scale)), .seconds(86_400))
    }

    /// Appends the field line for what is left, to the millisecond and never 0.
    public static func append(_ remaining: TimeAmount, to out: inout ByteBuffer) {
        let milliseconds = max(1, remaining.nanoseconds / 1_000_000)
        out.append("X-Request-Timeout: ")
        out.append(decimal: milliseconds / 1000)
        let rest = milliseconds % 1000
        if rest > 0 {
            out.append(rest < 10 ? ".00" : rest < 100 ? ".0" : ".")
            out.append(decimal: rest)
        }
        out.append("\r\n")
    }
}
