import Primitives
import Telemetry

/// A line in journald's native protocol: fields `NAME=value`, one a line; a value with line feeds has its length before it
/// instead (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
enum JournalEntry {
    static func append(_ severity: LogLevel, _ line: RawSpan, into buffer: inout ByteBuffer) {
        if line.firstIndex(of: ASCII.lf) == nil {
            buffer.append("MESSAGE=")
        } else {
            buffer.append("MESSAGE\n")
            var count = UInt64(line.byteCount)
            for _ in 0..<8 {
                buffer.append(UInt8(truncatingIfNeeded: count))
                count >>= 8
            }
        }
        buffer.append(line)
        buffer.append("\nPRIORITY=")
        buffer.append(decimal: UInt64(severity.syslogNumber))
        buffer.append("\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=sluice\n")
    }
}
