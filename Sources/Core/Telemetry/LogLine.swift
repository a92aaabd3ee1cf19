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
/// Not for the way of a request: it takes Strings. What looks like a secret in a text is shown as `***` (`MaskedText`).
public enum LogLine {
    static var messageBytesMax: Int { 2048 }
    static var valueBytesMax: Int { 1024 }

    /// Appends the line with its line end. Keys are snake_case and other than the four above, and `repeated`.
    public static func append(
        _ level: LogLevel, at time: Timestamp, _ message: String, _ values: KeyValuePairs<String, LogValue> = [:],
        into buffer: inout ByteBuffer
    ) {
        appendTime(time, into: &buffer)
        appendBody(level, message, values, into: &buffer)
        buffer.append("}\n")
    }

    /// The line but for its time: what two lines that say the same have in common.
    public static func body(_ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue>) -> [UInt8] {
        var buffer = ByteBuffer(capacity: 512)
        appendBody(level, message, values, into: &buffer)
        return buffer.bytes.array()
    }

    /// The line of a body, with its line end.
    /// - Parameter repeated: how many more times it was logged; 0 is not shown.
    public static func bytes(_ body: [UInt8], at time: Timestamp, repeated: UInt64 = 0) -> [UInt8] {
        var buffer = ByteBuffer(capacity: body.count + 80)
        appendTime(time, into: &buffer)
        buffer.append(body)
        if repeated > 0 {
            buffer.append(",\"repeated\":")
            buffer.append(decimal: repeated)
        }
        buffer.append("}\n")
        return buffer.bytes.array()
    }

    private static func appendTime(_ time: Timestamp, into buffer: inout ByteBuffer) {
        buffer.append("{\"time\":\"")
        time.appendRFC3339(.microseconds, into: &buffer)
        buffer.append(ASCII.quote)
    }

    private static func appendBody(
        _ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue>, into buffer: inout ByteBuffer
    ) {
        buffer.append(",\"level\":\"")
        buffer.append(level.name)
        buffer.append("\",\"type\":\"log\",\"message\":\"")
        MaskedText.append(message, limit: messageBytesMax, into: &buffer)
        buffer.append(ASCII.quote)
        for (key, value) in values {
            buffer.append(",\"")
            JSONText.append(escaping: key, limit: valueBytesMax, into: &buffer)
            buffer.append("\":")
            switch value {
            case .string(let text):
                buffer.append(ASCII.quote)
                if SecretNames.isWhole(key) {
                    buffer.append("***")
                } else {
                    MaskedText.append(text, limit: valueBytesMax, into: &buffer)
                }
                buffer.append(ASCII.quote)
            case .integer(let number):
                if number < 0 { buffer.append(ASCII.dash) }
                buffer.append(decimal: number.magnitude)
            case .boolean(let flag):
                buffer.append(flag ? "true" : "false")
            }
        }
    }
}
