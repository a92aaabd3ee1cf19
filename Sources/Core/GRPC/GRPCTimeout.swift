import HTTPMessages
import Primitives

/// Why a `grpc-timeout` cannot be read.
public enum GRPCTimeoutFault: Error, Equatable, Sendable {
    case repeated
    /// Not one to eight digits and one of `H M S m u n`.
    case malformed
}

/// `grpc-timeout`: how long the client will wait for the whole call (gRPC over HTTP2, "Requests").
public enum GRPCTimeout {
    /// What the request says; nil when it says nothing. 0 is a call that has run out of time already.
    public static func read(_ headers: borrowing HeaderBlock) throws(GRPCTimeoutFault) -> TimeAmount? {
        switch headers.occurrence(of: "grpc-timeout") {
        case .none: return nil
        case .once(let index): return try parse(headers.value(index))
        case .repeated: throw .repeated
        }
    }

    /// Times that no clock here can tell, from 584 years on, are for ever.
    static func parse(_ value: RawSpan) throws(GRPCTimeoutFault) -> TimeAmount {
        let digits = value.byteCount - 1
        guard digits >= 1, digits <= 8, let unit = Unit(letter: value[digits]) else { throw .malformed }
        var number: UInt64 = 0
        for i in 0..<digits {
            guard ASCII.isDigit(value[i]) else { throw .malformed }
            number = number * 10 + UInt64(value[i] - ASCII.zero)
        }
        let (nanoseconds, isTooLong) = number.multipliedReportingOverflow(by: unit.nanoseconds)
        return isTooLong ? .forever : TimeAmount(nanoseconds: nanoseconds)
    }

    /// Appends the field's value for what is left of a call: as exact as eight digits allow and never more than there is, so that
    /// nobody behind us works for a client that has gone. Never 0: a call without time is not sent.
    public static func appendValue(_ remaining: TimeAmount, to out: inout ByteBuffer) {
        let left = max(1, remaining.nanoseconds)
        let unit: Unit =
            if left <= 99_999_999 {
                .nanosecond
            } else if left <= 99_999_999_999 {
                .microsecond
            } else if left <= 99_999_999_999_999 {
                .millisecond
            } else if left <= 99_999_999_999_999_999 {
                .second
            } else if left <= 5_999_999_999_999_999_999 {
                .minute
            } else {
                .hour
            }
        out.append(decimal: left / unit.nanoseconds)
        out.append(unit.letter)
    }

    /// Appends the field line.
    public static func append(_ remaining: TimeAmount, to out: inout ByteBuffer) {
        out.append("grpc-timeout: ")
        appendValue(remaining, to: &out)
        out.append("\r\n")
    }

    private enum Unit {
        case hour, minute, second, millisecond, microsecond, nanosecond

        init?(letter: UInt8) {
            switch letter {
            case UInt8(ascii: "H"): self = .hour
            case UInt8(ascii: "M"): self = .minute
            case UInt8(ascii: "S"): self = .second
            case UInt8(ascii: "m"): self = .millisecond
            case UInt8(ascii: "u"): self = .microsecond
            case UInt8(ascii: "n"): self = .nanosecond
            default: return nil
            }
        }

        var letter: UInt8 {
            switch self {
            case .hour: UInt8(ascii: "H")
            case .minute: UInt8(ascii: "M")
            case .second: UInt8(ascii: "S")
            case .millisecond: UInt8(ascii: "m")
            case .microsecond: UInt8(ascii: "u")
            case .nanosecond: UInt8(ascii: "n")
            }
        }

        var nanoseconds: UInt64 {
            switch self {
            case .hour: 3_600_000_000_000
            case .minute: 60_000_000_000
            case .second: 1_000_000_000
            case .millisecond: 1_000_000
            case .microsecond: 1000
            case .nanosecond: 1
            }
        }
    }
}
