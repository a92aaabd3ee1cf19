import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

@Suite struct SeriesTableTests {
    private func value(_ rows: SeriesRows, _ key: UInt64, _ cell: Int = 0) -> UInt64? {
        rows.keys.firstIndex(of: key).map { rows.cells[($0 + 1) * rows.width + cell] }
    }

    @Test func `a table counts as a dictionary does`() {
        var random = RandomSource(seed: 11)
        var table = SeriesTable(width: 2, seriesMax: 500)
        var expected: [UInt64: UInt64] = [:]
        for _ in 0..<50_000 {
            let key = random.next() % 400 &* 0x1_0000_0001
            table.add(3, to: table.cell(of: key) + 1)
            expected[key, default: 0] += 3
        }
        let rows = table.rows()
        #expect(rows.keys.count == expected.count)
        for (key, count) in expected {
            #expect(value(rows, key, 1) == count)
            #expect(value(rows, key, 0) == 0)
        }
        #expect(rows.overflowed == 0)
        #expect(!rows.hasOverflow)
    }

    @Test func `what goes over the limit is folded, and nothing is lost`() {
        var table = SeriesTable(width: 1, seriesMax: 10)
        for round in 1...3 {
            for key in UInt64(0)..<1000 { table.add(1, to: table.cell(of: key)) }
            let rows = table.rows()
            #expect(rows.keys == Array(0..<10))
            #expect(rows.overflowed == UInt64(round * 990))
            #expect(rows.cells.reduce(0, +) == UInt64(round * 1000))
            #expect(rows.hasOverflow)
        }
    }

    @Test func `room that a dropped series leaves goes to new keys, never to folded ones`() {
        var table = SeriesTable(width: 1, seriesMax: 4)
        for key in UInt64(0)..<6 { table.add(key + 1, to: table.cell(of: key)) }
        table.retain { $0 != 1 && $0 != 4 }
        #expect(table.rows().keys == [0, 2, 3])
        table.add(100, to: table.cell(of: 5))
        #expect(table.rows().cells[0] == 5 + 6 + 100)
        table.add(7, to: table.cell(of: 42))
        #expect(table.rows().cells[0] == 111)
        table.add(8, to: table.cell(of: 43))
        let rows = table.rows()
        #expect(rows.cells == [119, 1, 3, 4, 7])
        #expect(rows.keys == [0, 2, 3, 42])
        #expect(rows.overflowed == 4)
    }

    @Test func `dropping half of many series keeps the others`() {
        var table = SeriesTable(width: 3)
        for key in UInt64(0)..<3000 { table.add(key, to: table.cell(of: key) + 2) }
        table.retain { $0 % 2 == 0 }
        let rows = table.rows()
        #expect(rows.keys == (0..<1000).map { $0 * 2 })
        for key in rows.keys { #expect(value(rows, key, 2) == key) }
        for key in UInt64(0)..<3000 { table.add(0, to: table.cell(of: key)) }
        #expect(table.rows().keys.count == 2000)
        #expect(!table.rows().keys.contains { $0 % 2 == 0 && $0 >= 2000 }, "a folded key got a row")
    }

    @Test func `tables add up key by key, whatever their order, but for keys that are gone`() {
        var a = SeriesTable(width: 2, seriesMax: 100)
        var b = SeriesTable(width: 2, seriesMax: 100)
        for key in UInt64(0)..<60 { a.add(key, to: a.cell(of: key) + 1) }
        for key in (UInt64(30)..<90).reversed() { b.add(key, to: b.cell(of: key) + 1) }
        a.add(b.rows()) { $0 != 77 }
        let rows = a.rows()
        for key in UInt64(0)..<90 where key != 77 {
            let times: UInt64 = key < 30 || key >= 60 ? 1 : 2
            #expect(value(rows, key, 1) == key * times)
        }
        #expect(value(rows, 77) == nil)
        a.zero()
        #expect(a.rows().keys.count == 89)
        #expect(a.rows().cells.allSatisfy { $0 == 0 })
    }

    @Test func `a packed key gives every label back`() {
        let listener = Label(id: 255, index: 0)
        let route = Label(id: 0xf_ffff, index: 0)
        let service = Label(id: 0xffff, index: 0)
        for method in Method.allCases {
            for reason in Reason.allCases {
                for status: UInt16 in [0, 200, 499, 999] {
                    let key = SeriesKey.request(listener, route, service, method, status, reason)
                    #expect(SeriesKey.requestListener(key) == 255)
                    #expect(SeriesKey.route(key) == 0xf_ffff)
                    #expect(SeriesKey.service(key) == 0xffff)
                    #expect(SeriesKey.method(key) == method.rawValue)
                    #expect(SeriesKey.status(key) == UInt64(status))
                    #expect(SeriesKey.reason(key) == reason.rawValue)
                }
                let duration = SeriesKey.duration(route, service, method, 404)
                #expect(SeriesKey.route(duration) == 0xf_ffff && SeriesKey.service(duration) == 0xffff)
                #expect(SeriesKey.method(duration) == method.rawValue && SeriesKey.durationClass(duration) == 4)
            }
        }
        #expect(Reason.allCases.count <= 64)
        #expect(Method.allCases.count <= 16)
        let upstream = SeriesKey.upstream(service, Label(id: 0xf_ffff, index: 0), 599, .upstreamTruncated)
        #expect(SeriesKey.upstreamService(upstream) == 0xffff && SeriesKey.upstreamInstance(upstream) == 0xf_ffff)
        #expect(SeriesKey.upstreamClass(upstream) == 5 && SeriesKey.reason(upstream) == Reason.upstreamTruncated.rawValue)
        let retry = SeriesKey.retry(service, .upstreamReset, .denied)
        #expect(SeriesKey.upstreamService(retry) == 0xffff)
        #expect(SeriesKey.retryReason(retry) == Reason.upstreamReset.rawValue)
        #expect(SeriesKey.retryResult(retry) == RetryResult.denied.rawValue)
    }
}
