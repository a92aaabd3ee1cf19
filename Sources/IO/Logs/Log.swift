import Primitives
import Reactor
import Synchronization
import Telemetry

/// The daemon's own log: one JSON object a line on standard error.
public final class Log: Sendable {
    private let writer: LogWriter
    private let level: Atomic<UInt8>

    public init(_ writer: LogWriter, level: LogLevel) {
        self.writer = writer
        self.level = Atomic(level.rawValue)
    }

    public func setLevel(_ level: LogLevel) { self.level.store(level.rawValue, ordering: .relaxed) }

    public func debug(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.debug, message, values) }
    public func info(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.info, message, values) }
    public func warn(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.warn, message, values) }
    public func error(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { write(.error, message, values) }

    /// Waits for what was logged to be written, for a second at most.
    public func finish() { writer.finish(milliseconds: 1000) }

    private func write(_ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue>) {
        guard level.rawValue >= self.level.load(ordering: .relaxed) else { return }
        var line = ByteBuffer(capacity: 512)
        LogLine.append(level, at: Timestamp(nanoseconds: Int64(clamping: Clock.realtime)), message, values, into: &line)
        writer.append(line.bytes)
    }
}
