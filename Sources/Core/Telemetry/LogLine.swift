import Primitives

/// How much a line matters.
public enum LogLevel: UInt8, Comparable, Sendable, CaseIterable {
    case debug, info, warn, error

    public var name: StaticString {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warn: "warn"
        case .error: "error"
        }
    }

    public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// What stands behind a key of a log line.
public enum LogValue: Sendable, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    case string(String)
    case integer(Int64)
    case boolean(Bool)

    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
}

/// A line of the daemon's own log: one JSON object with `time`, `level`, `type` (`log`), `message`, then what is given.
/// Not for the way of a request: it takes Strings.
public enum LogLine {
    static var messageBytesMax: Int { 2048 }
    static var valueBytesMax: Int { 1024 }

    /// Appends the line with its line end. Keys are snake_case and other than the four above.
    public static func append(
        _ level: LogLevel, at time: Timestamp, _ message: String, _ values: KeyValuePairs<String, LogValue> = [:],
        into buffer: inout ByteBuffer
    ) {
        buffer.append("{\"time\":\"")
        time.appendRFC3339(.microseconds, into: &buffer)
        buffer.append("\",\"level\":\"")
        buffer.append(level.name)
        buffer.append("\",\"type\":\"log\",\"message\":\"")
        JSONText.append(escaping: message, limit: messageBytesMax, into: &buffer)
        buffer.append(ASCII.quote)
        for (key, value) in values {
            buffer.append(",\"")
            JSONText.append(escaping: key, limit: valueBytesMax, into: &buffer)
            buffer.append("\":")
            switch value {
            case .string(let text):
                buffer.append(ASCII.quote)
                JSONText.append(escaping: text, limit: valueBytesMax, into: &buffer)
                buffer.append(ASCII.quote)
            case .integer(let number):
                if number < 0 { buffer.append(ASCII.dash) }
                buffer.append(decimal: number.magnitude)
            case .boolean(let flag):
                buffer.append(flag ? "true" : "false")
            }
        }
        buffer.append("}\n")
    }
}
