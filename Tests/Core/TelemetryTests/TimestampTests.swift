import Primitives
import Testing

@Suite struct TimestampTests {
    private func text(_ write: (inout ByteBuffer) -> Void) -> String {
        var buffer = ByteBuffer(capacity: 16)
        write(&buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    private func rfc3339(_ time: Timestamp, _ precision: Timestamp.Precision = .seconds) -> String {
        text { time.appendRFC3339(precision, into: &$0) }
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 GMT"),
            (784_111_777, "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "2000-02-28T23:59:59Z", "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_164_800, "2024-02-29T00:00:00Z", "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_709_251_200, "2024-03-01T00:00:00Z", "Fri, 01 Mar 2024 00:00:00 GMT"),
            (1_735_689_599, "2024-12-31T23:59:59Z", "Tue, 31 Dec 2024 23:59:59 GMT"),
            (2_147_483_648, "2038-01-19T03:14:08Z", "Tue, 19 Jan 2038 03:14:08 GMT"),
            (4_107_542_399, "2100-02-28T23:59:59Z", "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
            (-2_203_891_200, "1900-03-01T00:00:00Z", "Thu, 01 Mar 1900 00:00:00 GMT"),
        ] as [(Int64, String, String)])
    func `a time has its date, also around leap days`(seconds: Int64, expected: String, field: String) {
        #expect(rfc3339(Timestamp(seconds: seconds)) == expected)
        #expect(text { Timestamp(seconds: seconds).appendIMFFixdate(into: &$0) } == field)
    }

    @Test func `each day of 400 years follows the one before`() {
        let lengths: [UInt32] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var day: Int64 = -(365 * 200 + 49) * 86_400
        var civil = CivilTime(Timestamp(seconds: day))
        for _ in 0..<146_097 {
            day += 86_400
            let next = CivilTime(Timestamp(seconds: day))
            let isLeap = civil.year % 4 == 0 && (civil.year % 100 != 0 || civil.year % 400 == 0)
            let last = civil.month == 2 && isLeap ? 29 : lengths[Int(civil.month) - 1]
            var expected = civil
            expected.weekday = (civil.weekday + 1) % 7
            expected.day += 1
            if civil.day == last {
                expected.day = 1
                expected.month = civil.month % 12 + 1
                if expected.month == 1 { expected.year += 1 }
            }
            if next != expected { Issue.record("\(next) is not the day after \(civil)") }
            civil = next
        }
    }

    @Test func `fractions are cut off, before 1970 as well`() {
        #expect(rfc3339(Timestamp(nanoseconds: 1_999_999_999), .microseconds) == "1970-01-01T00:00:01.999999Z")
        #expect(rfc3339(Timestamp(nanoseconds: 1_999_999_999), .milliseconds) == "1970-01-01T00:00:01.999Z")
        #expect(rfc3339(Timestamp(nanoseconds: 1_000_001_000), .microseconds) == "1970-01-01T00:00:01.000001Z")
        #expect(rfc3339(Timestamp(nanoseconds: -1), .microseconds) == "1969-12-31T23:59:59.999999Z")
    }

    @Test func `the ends of the range have dates`() {
        #expect(rfc3339(Timestamp(nanoseconds: .min)) == "1677-09-21T00:12:43Z")
        #expect(rfc3339(Timestamp(nanoseconds: .max)) == "2262-04-11T23:47:16Z")
        #expect(Timestamp(seconds: .max).nanoseconds == .max)
        #expect(Timestamp(seconds: .min).nanoseconds == .min)
    }

    @Test func `a kept second gives what the calendar gives, in whatever order times come`() {
        var random = RandomSource(seed: 60)
        var clock = SecondText()
        for round in 0..<2000 {
            let second = round % 3 == 0 ? Int64(random.next() % 8_000_000_000) - 4_000_000_000 : Int64(random.next() % 3)
            let time = Timestamp(nanoseconds: second * 1_000_000_000 + Int64(random.next() % 1_000_000_000))
            let line = text { buffer in
                buffer.withFreeSpace(Timestamp.textBytes) { room in
                    var cursor = TextCursor(room)
                    cursor.write(microseconds: time, &clock)
                    return cursor.count
                }
            }
            #expect(line == rfc3339(time, .microseconds))
        }
        let earliest = Timestamp(nanoseconds: .min)
        let line = text { buffer in
            buffer.withFreeSpace(Timestamp.textBytes) { room in
                var cursor = TextCursor(room)
                cursor.write(microseconds: earliest, &clock)
                return cursor.count
            }
        }
        #expect(line == rfc3339(earliest, .microseconds))
    }

    @Test func `the combined form has the month as a word`() {
        let line = text { buffer in
            buffer.withFreeSpace(Timestamp.textBytes) { room in
                var cursor = TextCursor(room)
                cursor.write(combined: Timestamp(seconds: 971_211_336))
                return cursor.count
            }
        }
        #expect(line == "10/Oct/2000:20:55:36 +0000")
    }
}
