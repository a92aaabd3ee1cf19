import Primitives
import Testing

@testable import Telemetry

@Suite struct RepeatedLinesTests {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    /// Drives the table: each step is a time in milliseconds and a message, or nil for a tick.
    private func written(_ steps: [(UInt64, String?)]) -> [String] {
        var table = RepeatedLines()
        var lines: [RepeatedLines.Line] = []
        for (time, message) in steps {
            if let message {
                let body = LogLine.body(.warn, message, [:])
                lines += table.add(.warn, body, at: at(time), time: Timestamp(nanoseconds: Int64(time) * 1_000_000))
            } else {
                lines += table.tick(at: at(time))
            }
        }
        lines += table.finish()
        return lines.map { short($0.bytes) }
    }

    /// `seconds message` or `seconds message xN`.
    private func short(_ line: [UInt8]) -> String {
        do {
            let node = try StrictJSON.parse(line)
            let time = try #require(node["time"]?.text)
            let message = try #require(node["message"]?.text)
            guard case .number(let count)? = node["repeated"] else { return "\(time.dropFirst(17).prefix(6)) \(message)" }
            return "\(time.dropFirst(17).prefix(6)) \(message) x\(count)"
        } catch {
            return "\(error)"
        }
    }

    @Test func `the first of a window is written at once, the others as a number with the time of the last`() {
        #expect(written([(0, "a"), (100, "a"), (9_999, "a"), (10_000, nil)]) == ["00.000 a", "09.999 a x2"])
        #expect(written([(0, "a"), (10_000, nil)]) == ["00.000 a"])
        #expect(written([(0, "a"), (500, "a")]) == ["00.000 a", "00.500 a x1"])
    }

    @Test func `a repeat behind its window begins a new one, and the count of the old comes before it`() {
        #expect(
            written([(0, "a"), (1_000, "a"), (10_000, "a"), (10_500, "a")])
                == ["00.000 a", "01.000 a x1", "10.000 a", "10.500 a x1"])
    }

    @Test func `messages that alternate collapse both`() {
        let steps = (UInt64(0)..<20).map { ($0 * 100, $0 % 2 == 0 ? "a" : "b") as (UInt64, String?) }
        #expect(written(steps + [(10_000, nil), (10_100, nil)]) == ["00.000 a", "00.100 b", "01.800 a x9", "01.900 b x9"])
    }

    @Test func `a message with another level or other values is another message`() {
        var table = RepeatedLines()
        let now = Timestamp(seconds: 0)
        #expect(table.add(.warn, LogLine.body(.warn, "a", ["n": 1]), at: at(0), time: now).count == 1)
        #expect(table.add(.error, LogLine.body(.error, "a", ["n": 1]), at: at(0), time: now).count == 1)
        #expect(table.add(.warn, LogLine.body(.warn, "a", ["n": 2]), at: at(0), time: now).count == 1)
        #expect(table.add(.warn, LogLine.body(.warn, "a", ["n": 1]), at: at(0), time: now).isEmpty)
        #expect(table.finish().map(\.level) == [.warn])
        #expect(table.finish().isEmpty)
    }

    /// Hardening 191.
    @Test func `a flood of different messages is written whole, in bounded memory, and no count is lost`() {
        var table = RepeatedLines()
        var random = RandomSource(seed: 191)
        var logged: [String: UInt64] = [:]
        var counted: [String: UInt64] = [:]
        func count(_ lines: [RepeatedLines.Line]) throws {
            for line in lines {
                let node = try StrictJSON.parse(line.bytes)
                let message = try #require(node["message"]?.text)
                if case .number(let repeats)? = node["repeated"] {
                    counted[message, default: 0] += try #require(UInt64(repeats))
                } else {
                    counted[message, default: 0] += 1
                }
            }
        }
        #expect(throws: Never.self) {
            for i in UInt64(0)..<20_000 {
                let message = "m\(Int.random(in: 0..<(i % 3 == 0 ? 500 : 20), using: &random))"
                logged[message, default: 0] += 1
                let isNew = logged[message] == 1
                let lines = table.add(.info, LogLine.body(.info, message, [:]), at: at(i * 7), time: Timestamp(seconds: 1))
                if isNew { #expect(lines.last.map { short($0.bytes) } == "01.000 \(message)") }
                try count(lines)
            }
            try count(table.finish())
        }
        #expect(counted == logged)
        var full = RepeatedLines()
        for i in 0..<RepeatedLines.linesMax {
            #expect(full.add(.info, LogLine.body(.info, "\(i)", [:]), at: at(0), time: Timestamp(seconds: 0)).count == 1)
        }
        #expect(full.add(.info, LogLine.body(.info, "0", [:]), at: at(0), time: Timestamp(seconds: 0)).isEmpty)
        // The oldest makes room, and its count is written.
        let lines = full.add(.info, LogLine.body(.info, "more", [:]), at: at(1), time: Timestamp(seconds: 0))
        #expect(lines.map { short($0.bytes) } == ["00.000 0 x1", "00.000 more"])
    }

    @Test func `a line that is too long to be remembered is written each time`() {
        var table = RepeatedLines()
        let body = [UInt8](repeating: 0x20, count: RepeatedLines.lineBytesMax + 1)
        for _ in 0..<3 { #expect(table.add(.info, body, at: at(0), time: Timestamp(seconds: 0)).count == 1) }
    }
}
