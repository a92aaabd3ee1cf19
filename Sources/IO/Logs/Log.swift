import Primitives
import Reactor
import Synchronization
import Telemetry

/// The daemon's own log: one JSON object a line. What is said again and again is collapsed (`RepeatedLines`).
public final class Log: Sendable {
    private let writer: Mutex<LogWriter>
    private let threshold: Atomic<UInt8>
    private let lostBefore = Atomic<UInt64>(0)
    private let repeats = Mutex(RepeatedLines())

    public init(_ writer: LogWriter, level: LogLevel) {
        self.writer = Mutex(writer)
        threshold = Atomic(level.rawValue)
    }

    /// The least that is written.
    public var level: LogLevel { LogLevel(rawValue: threshold.load(ordering: .relaxed)) ?? .info }

    public func setLevel(_ level: LogLevel) { threshold.store(level.rawValue, ordering: .relaxed) }

    public func debug(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.debug, message, values) }
    public func info(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.info, message, values) }
    public func warn(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.warn, message, values) }
    public func error(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.error, message, values) }

    /// Writes the counts of repeats whose time is up; to be called about once a second.
    public func tick(at now: Instant = Clock.monotonic) { repeats.withLock { write($0.tick(at: now)) } }

    /// Writes the counts of repeats, and waits for what was logged to be written, for a second at most.
    public func finish() {
        repeats.withLock { write($0.finish()) }
        writer.withLock { $0 }.finish(milliseconds: 1000)
    }

    /// Something that is news each time, as the verdict on a reload: it is not collapsed with the one before.
    public func event(_ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) {
        guard level >= self.level else { return }
        var line = ByteBuffer(capacity: 512)
        LogLine.append(level, at: Timestamp(nanoseconds: Int64(clamping: Clock.realtime)), message, values, into: &line)
        repeats.withLock { _ in writer.withLock { $0 }.append(line.bytes, severity: level) }
    }

    /// Lines that were lost since the start, by this writer and those before it.
    public var droppedLines: UInt64 { lostBefore.load(ordering: .relaxed) &+ writer.withLock { $0 }.droppedLines }

    /// Opens the file again, or connects again, for log rotation.
    public func reopen() { writer.withLock { $0 }.reopen() }

    /// Writes elsewhere from now on; the old writer ends behind what it has.
    public func move(to new: LogWriter) {
        let old = writer.withLock { writer in
            defer { writer = new }
            return writer
        }
        old.stop(afterMilliseconds: 2000)
        lostBefore.add(old.droppedLines, ordering: .relaxed)
    }

    private func write(_ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue>) {
        write(level, message, values, at: Clock.monotonic, time: Timestamp(nanoseconds: Int64(clamping: Clock.realtime)))
    }

    func write(
        _ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue>, at now: Instant, time: Timestamp
    ) {
        guard level >= self.level else { return }
        let body = LogLine.body(level, message, values)
        repeats.withLock { write($0.add(level, body, at: now, time: time)) }
    }

    /// Under the lock, so that lines keep their order.
    private func write(_ lines: [RepeatedLines.Line]) {
        let writer = writer.withLock { $0 }
        for line in lines { writer.append(line.bytes.span.bytes, severity: line.level) }
    }
}
