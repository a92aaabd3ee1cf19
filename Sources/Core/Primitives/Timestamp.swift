/// A point on the wall clock: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted. Reaches from 1677 to 2262.
///
/// For dates in logs and header fields only; spans are measured with `Instant`.
public struct Timestamp: Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Saturates at the ends of the range.
    public init(seconds: Int64) {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        nanoseconds = overflow ? (seconds < 0 ? .min : .max) : product
    }

    @inlinable
    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Whole seconds, rounded towards the past.
    public var seconds: Int64 {
        let quotient = nanoseconds / 1_000_000_000
        return nanoseconds % 1_000_000_000 < 0 ? quotient - 1 : quotient
    }

    public enum Precision: Sendable { case seconds, milliseconds, microseconds }

    /// Appends `2026-07-01T12:34:56.789012Z` (RFC 3339, UTC).
    public func appendRFC3339(_ precision: Precision, into buffer: inout ByteBuffer) {
        buffer.withFreeSpace(Timestamp.textBytes) { room in
            var cursor = TextCursor(room)
            cursor.write(rfc3339: self, precision)
            return cursor.count
        }
    }

    /// Appends `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110 §5.6.7), the form of `Date`.
    public func appendIMFFixdate(into buffer: inout ByteBuffer) {
        buffer.withFreeSpace(Timestamp.textBytes) { room in
            var cursor = TextCursor(room)
            let civil = CivilTime(self)
            cursor.write(weekday: civil.weekday)
            cursor.write(", ")
            cursor.write(twoDigits: civil.day)
            cursor.write(ASCII.space)
            cursor.write(month: civil.month)
            cursor.write(ASCII.space)
            cursor.write(year: civil.year)
            cursor.write(ASCII.space)
            cursor.write(timeOf: civil)
            cursor.write(" GMT")
            return cursor.count
        }
    }

    /// Room for any of the forms.
    public static var textBytes: Int { 32 }
}

/// Date and time of day in UTC, in the proleptic Gregorian calendar.
public struct CivilTime: Equatable, Sendable {
    public var year: UInt32
    /// 1 to 12.
    public var month: UInt32
    public var day: UInt32
    /// 0 is Sunday.
    public var weekday: UInt32
    public var hour: UInt32
    public var minute: UInt32
    public var second: UInt32
    /// Within the second.
    public var nanosecond: UInt32

    /// Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is the last day of one, and months have
    /// lengths that one multiplication gives.
    public init(_ time: Timestamp) {
        let seconds = time.seconds
        nanosecond = UInt32(truncatingIfNeeded: time.nanoseconds &- seconds &* 1_000_000_000)
        // Days since 0000-03-01, which is 719468 days before 1970-01-01: positive for the whole range.
        let shifted = UInt64(truncatingIfNeeded: seconds &+ 719_468 * 86_400)
        let days = shifted / 86_400
        let secondOfDay = UInt32(truncatingIfNeeded: shifted &- days &* 86_400)
        let era = days / 146_097
        let dayOfEra = UInt32(truncatingIfNeeded: days &- era &* 146_097)
        let yearOfEra = (dayOfEra &- dayOfEra / 1_460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let shiftedMonth = (5 &* dayOfYear &+ 2) / 153
        day = dayOfYear &- (153 &* shiftedMonth &+ 2) / 5 &+ 1
        month = shiftedMonth < 10 ? shiftedMonth &+ 3 : shiftedMonth &- 9
        year = yearOfEra &+ UInt32(truncatingIfNeeded: era) &* 400 &+ (month <= 2 ? 1 : 0)
        // 0000-03-01 was a Wednesday.
        weekday = UInt32(truncatingIfNeeded: (days &+ 3) % 7)
        hour = secondOfDay / 3_600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60
    }
}

extension TextCursor {
    @inline(__always)
    mutating func write(year: UInt32) {
        write(twoDigits: year / 100)
        write(twoDigits: year % 100)
    }

    @inline(__always)
    mutating func write(timeOf civil: CivilTime) {
        write(twoDigits: civil.hour)
        write(ASCII.colon)
        write(twoDigits: civil.minute)
        write(ASCII.colon)
        write(twoDigits: civil.second)
    }

    mutating func write(month: UInt32) {
        switch month {
        case 1: write("Jan")
        case 2: write("Feb")
        case 3: write("Mar")
        case 4: write("Apr")
        case 5: write("May")
        case 6: write("Jun")
        case 7: write("Jul")
        case 8: write("Aug")
        case 9: write("Sep")
        case 10: write("Oct")
        case 11: write("Nov")
        default: write("Dec")
        }
    }

    mutating func write(weekday: UInt32) {
        switch weekday {
        case 0: write("Sun")
        case 1: write("Mon")
        case 2: write("Tue")
        case 3: write("Wed")
        case 4: write("Thu")
        case 5: write("Fri")
        default: write("Sat")
        }
    }

    /// `2026-07-01T12:34:56.789012Z`; up to `Timestamp.textBytes`.
    public mutating func write(rfc3339 time: Timestamp, _ precision: Timestamp.Precision) {
        let civil = CivilTime(time)
        write(year: civil.year)
        write(ASCII.dash)
        write(twoDigits: civil.month)
        write(ASCII.dash)
        write(twoDigits: civil.day)
        write(UInt8(0x54))
        write(timeOf: civil)
        switch precision {
        case .seconds: break
        case .milliseconds:
            write(ASCII.dot)
            write(threeDigits: civil.nanosecond / 1_000_000)
        case .microseconds:
            write(ASCII.dot)
            let microsecond = civil.nanosecond / 1_000
            write(threeDigits: microsecond / 1_000)
            write(threeDigits: microsecond % 1_000)
        }
        write(UInt8(0x5a))
    }

    /// `10/Oct/2000:13:55:36 +0000`, the form of the combined log; up to `Timestamp.textBytes`.
    public mutating func write(combined time: Timestamp) {
        let civil = CivilTime(time)
        write(twoDigits: civil.day)
        write(ASCII.slash)
        write(month: civil.month)
        write(ASCII.slash)
        write(year: civil.year)
        write(ASCII.colon)
        write(timeOf: civil)
        write(" +0000")
    }
}
