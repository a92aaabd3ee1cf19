import Primitives
import Telemetry
import Testing

@testable import Logs

@Suite struct LineBatchTests {
    private func add(_ text: String, _ severity: LogLevel?, to batch: inout LineBatch) {
        Array(text.utf8).withUnsafeBytes { batch.append($0, severity) }
    }

    private func lines(_ batch: LineBatch) -> [String] {
        var found: [String] = []
        batch.forEachLine { line, severity, end in
            found.append("\(severity) \(String(decoding: line.array(), as: UTF8.self)) \(end)")
            return true
        }
        return found
    }

    @Test func `each line keeps its severity, also behind those that were delivered`() {
        var batch = LineBatch()
        add("a\nbb\n", .info, to: &batch)
        add("c\n", .info, to: &batch)
        add("d\n", .error, to: &batch)
        add("e\n", .info, to: &batch)
        let all = ["info a 2", "info bb 5", "info c 7", "error d 9", "info e 11"]
        #expect(batch.runs.count == 3)
        #expect(lines(batch) == all)
        for (i, offset) in [2, 5, 7, 9, 11].enumerated() {
            batch.advance(to: offset)
            #expect(lines(batch) == Array(all[(i + 1)...]))
            #expect(batch.lineCount == 4 - i)
        }
        #expect(batch.isEmpty)
    }

    @Test func `a batch that was large gives its memory back`() {
        var batch = LineBatch()
        add(String(repeating: "x", count: 4 << 20), nil, to: &batch)
        batch.advance(to: batch.bytes.count)
        batch.clear()
        #expect(batch.bytes.capacity == 0)
        add("a\n", nil, to: &batch)
        batch.advance(to: 2)
        batch.clear()
        #expect(batch.bytes.capacity > 0)
        #expect(batch.isEmpty && batch.start == 0)
    }
}
