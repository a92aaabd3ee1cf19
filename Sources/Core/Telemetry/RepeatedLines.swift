import Primitives

/// Collapses repeats in the daemon's log: a line that comes again within ten seconds is written once, and then once more with
/// `"repeated": N`, the number of times that were not written, and the time of the last of them.
///
/// The first of each window is always written at once. Windows are per line (level, message and values), so that lines that
/// alternate collapse as well. At most `linesMax` lines are remembered: another one ends the oldest window, whose count is
/// written then.
public struct RepeatedLines {
    /// A line to be written.
    public struct Line {
        public let level: LogLevel
        public let bytes: [UInt8]
    }

    static var window: TimeAmount { .seconds(10) }
    static var linesMax: Int { 64 }
    /// A longer line is written each time.
    static var lineBytesMax: Int { 8192 }

    private struct Window {
        let level: LogLevel
        let body: [UInt8]
        let ends: Instant
        /// Since the first, which was written.
        var repeats: UInt64 = 0
        var last: Timestamp
    }

    /// The oldest first.
    private var windows: [Window] = []

    public init() {}

    /// A line is logged.
    /// - Parameters:
    ///   - body: what `LogLine.body` made.
    ///   - now: never earlier than before.
    /// - Returns: what is to be written, in this order.
    public mutating func add(_ level: LogLevel, _ body: [UInt8], at now: Instant, time: Timestamp) -> [Line] {
        var lines = tick(at: now)
        if let i = windows.firstIndex(where: { $0.level == level && $0.body == body }) {
            windows[i].repeats += 1
            windows[i].last = max(windows[i].last, time)
            return lines
        }
        if body.count <= Self.lineBytesMax {
            if windows.count >= Self.linesMax { end(windows.removeFirst(), into: &lines) }
            windows.append(Window(level: level, body: body, ends: now + Self.window, last: time))
        }
        lines.append(Line(level: level, bytes: LogLine.bytes(body, at: time)))
        return lines
    }

    /// Ends the windows that are over; to be called about once a second.
    public mutating func tick(at now: Instant) -> [Line] {
        var lines: [Line] = []
        while let first = windows.first, first.ends <= now { end(windows.removeFirst(), into: &lines) }
        return lines
    }

    /// Ends all windows.
    public mutating func finish() -> [Line] {
        var lines: [Line] = []
        for window in windows { end(window, into: &lines) }
        windows = []
        return lines
    }

    private func end(_ window: Window, into lines: inout [Line]) {
        guard window.repeats > 0 else { return }
        lines.append(Line(level: window.level, bytes: LogLine.bytes(window.body, at: window.last, repeated: window.repeats)))
    }
}
