import Primitives
import Telemetry

/// Lines on their way from the writer's buffer to its sink, with how much each matters.
struct LineBatch {
    /// Consecutive lines of one severity.
    struct Run {
        /// The offset behind the last of them.
        var end: Int
        let severity: LogLevel
    }

    /// A batch that has been larger gives its memory back.
    private static let capacityKept = 2 << 20

    /// Whole lines, each with its line feed.
    var bytes: [UInt8] = []
    /// Empty where the sink does not ask for severities.
    var runs: [Run] = []
    /// The first byte that has not been delivered; always the start of a line.
    private(set) var start = 0
    private var run = 0

    var isEmpty: Bool { start == bytes.count }

    /// Lines that have not been delivered.
    var lineCount: Int { Self.lines(bytes[start...]) }

    static func lines(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(into: 0) { $0 += $1 == ASCII.lf ? 1 : 0 } }

    mutating func append(_ lines: UnsafeRawBufferPointer, _ severity: LogLevel?) {
        bytes.append(contentsOf: lines)
        guard let severity else { return }
        if let last = runs.indices.last, runs[last].severity == severity {
            runs[last].end = bytes.count
        } else {
            runs.append(Run(end: bytes.count, severity: severity))
        }
    }

    mutating func clear() {
        if bytes.capacity > Self.capacityKept {
            self = LineBatch()
        } else {
            bytes.removeAll(keepingCapacity: true)
            runs.removeAll(keepingCapacity: true)
            start = 0
            run = 0
        }
    }

    /// Everything before `offset` has been delivered, or given up.
    mutating func advance(to offset: Int) {
        precondition(offset >= start && offset <= bytes.count)
        start = offset
        while run < runs.count, runs[run].end <= offset { run += 1 }
    }

    /// Calls `body` with each line from `start` on, without its line feed, its severity and the offset behind it, until it
    /// returns false.
    func forEachLine(_ body: (_ line: RawSpan, _ severity: LogLevel, _ end: Int) -> Bool) {
        let all = bytes.span.bytes
        var offset = start
        var current = run
        while offset < all.byteCount {
            let rest = all.extracting(offset..<all.byteCount)
            let count = rest.firstIndex(of: ASCII.lf) ?? rest.byteCount
            while current < runs.count, runs[current].end <= offset { current += 1 }
            let severity = current < runs.count ? runs[current].severity : .info
            offset = min(offset + count + 1, all.byteCount)
            if !body(rest.extracting(0..<count), severity, offset) { return }
        }
    }
}
