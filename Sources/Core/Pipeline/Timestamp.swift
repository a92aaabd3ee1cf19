import Primitives

/// A point on the wall clock, as calendars and fields write it. UTC; leap seconds do not exist, as in POSIX.
struct Timestamp {
    let year: UInt64
    /// 1 to 12.
    let month: UInt64
    /// 1 to 31.
    let day: UInt64
    let secondOfDay: UInt64
    let milliseconds: UInt64
    /// Days since 1970-01-01, a Thursday.
    private let days: UInt64

    init(unixNanoseconds: UInt64) {
        let seconds = unixNanoseconds / 1_000_000_000
        milliseconds = unixNanoseconds / 1_000_000 % 1000
        secondOfDay = seconds % 86_400
        days = seconds / 86_400
        // Days to date in the proleptic Gregorian calendar, counted from 0000-03-01 in eras of 400 years (Hinnant 2013).
        let shifted = days + 719_468
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + shifted / 146_097 * 400 + (month <= 2 ? 1 : 0)
    }

    /// `2026-01-31T23:59:59.123Z` (RFC 3339).
    func appendRFC3339(to out: inout ByteBuffer) {
        Timestamp.append(year, digits: 4, to: &out)
        out.append(ASCII.dash)
        Timestamp.append(month, digits: 2, to: &out)
        out.append(ASCII.dash)
        Timestamp.append(day, digits: 2, to: &out)
        out.append(UInt8(ascii: "T"))
        appendClock(to: &out)
        out.append(ASCII.dot)
        Timestamp.append(milliseconds, digits: 3, to: &out)
        out.append(UInt8(ascii: "Z"))
    }

    /// `Sat, 31 Jan 2026 23:59:59 GMT` (RFC 9110 §5.6.7).
    func appendHTTPDate(to out: inout ByteBuffer) {
        out.append(dayName)
        out.append(", ")
        Timestamp.append(day, digits: 2, to: &out)
        out.append(ASCII.space)
        out.append(monthName)
        out.append(ASCII.space)
        Timestamp.append(year, digits: 4, to: &out)
        out.append(ASCII.space)
        appendClock(to: &out)
        out.append(" GMT")
    }

    private func appendClock(to out: inout ByteBuffer) {
        Timestamp.append(secondOfDay / 3600, digits: 2, to: &out)
        out.append(ASCII.colon)
        Timestamp.append(secondOfDay / 60 % 60, digits: 2, to: &out)
        out.append(ASCII.colon)
        Timestamp.append(secondOfDay % 60, digits: 2, to: &out)
    }

    private static func append(_ number: UInt64, digits: Int, to out: inout ByteBuffer) {
        var unit: UInt64 = digits == 4 ? 1000 : digits == 3 ? 100 : 10
        while unit > 0 {
            out.append(UInt8(truncatingIfNeeded: 48 + number / unit % 10))
            unit /= 10
        }
    }

    private var dayName: StaticString {
        switch days % 7 {
        case 0: "Thu"
        case 1: "Fri"
        case 2: "Sat"
        case 3: "Sun"
        case 4: "Mon"
        case 5: "Tue"
        default: "Wed"
        }
    }

    private var monthName: StaticString {
        switch month {
        case 1: "Jan"
        case 2: "Feb"
        case 3: "Mar"
        case 4: "Apr"
        case 5: "May"
        case 6: "Jun"
        case 7: "Jul"
        case 8: "Aug"
        case 9: "Sep"
        case 10: "Oct"
        case 11: "Nov"
        default: "Dec"
        }
    }
}
