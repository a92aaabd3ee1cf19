import Glibc
import Primitives
import Telemetry

/// What stands before a line in a syslog message (RFC 5424 §6.2): `<30>1 2026-07-01T12:34:56.789012Z host sluice 42 access - `.
struct SyslogHeader {
    /// What a datagram carries at most, header and all: more than receivers must take (RFC 5424 §6.1), and what most of them do.
    static var datagramBytesMax: Int { 8192 }
    /// The priority with its brackets and the version, then the time.
    private static var timeOffset: Int { 6 }
    private static var timeBytes: Int { 27 }

    /// All that is behind the time.
    private let rest: [UInt8]

    init(content: LogWriter.Content) {
        var name = [CChar](repeating: 0, count: 256)
        let isKnown = gethostname(&name, name.count - 1) == 0
        let host = isKnown ? name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) } : []
        self.init(host: host, process: getpid(), content: content)
    }

    /// - Parameter host: shown as `-` unless it is 1 to 255 printable ASCII characters.
    init(host: [UInt8], process: Int32, content: LogWriter.Content) {
        let isShown = (1...255).contains(host.count) && host.allSatisfy { (0x21...0x7e).contains($0) }
        let message =
            switch content {
            case .access: "access"
            case .daemon: "log"
            }
        rest = [ASCII.space] + (isShown ? host : [ASCII.dash]) + Array(" sluice \(process) \(message) - ".utf8)
    }

    var count: Int { Self.timeOffset + Self.timeBytes + rest.count }

    /// - Parameter now: for a line that does not begin with its own time, as those in JSON do.
    func append(_ severity: LogLevel, _ line: RawSpan, now: Timestamp, into buffer: inout ByteBuffer) {
        buffer.append("<")
        // Facility 3: system daemons.
        buffer.append(decimal: UInt64(3 * 8 + severity.syslogNumber))
        buffer.append(">1 ")
        if let time = Self.time(of: line) {
            buffer.append(line.extracting(time))
        } else {
            now.appendRFC3339(.microseconds, into: &buffer)
        }
        buffer.append(rest)
    }

    /// Where the time stands in a line that begins with `{"time":"2026-07-01T12:34:56.789012Z"`.
    private static func time(of line: RawSpan) -> Range<Int>? {
        let key: StaticString = "{\"time\":\""
        let start = key.utf8CodeUnitCount
        let end = start + timeBytes
        guard line.byteCount > end, line.extracting(0..<start).equals(key), line[end] == ASCII.quote else { return nil }
        let shape: StaticString = "0000-00-00T00:00:00.000000Z"
        for i in 0..<timeBytes {
            let expected = shape.utf8Start[i]
            guard expected == ASCII.zero ? ASCII.isDigit(line[start + i]) : line[start + i] == expected else { return nil }
        }
        return start..<end
    }
}

extension LogLevel {
    /// RFC 5424 §6.2.1; journald has the same numbers.
    var syslogNumber: Int {
        switch self {
        case .error: 3
        case .warn: 4
        case .info: 6
        case .debug: 7
        }
    }
}
