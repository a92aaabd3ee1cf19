import CScan

/// The scans of CScan, for code that walks over borrowed bytes by pointer. Each reads `count` bytes from `start` at most, which
/// the caller vouches for, and returns an offset from `start`, `count` when it found nothing.
public enum Scan {
    /// The first control byte other than HTAB, or DEL: the end of a field value, or what spoils it (RFC 9110 §5.5).
    @inlinable @inline(__always)
    public static func control(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int { cscan_control(start, count) }

    /// The first byte that is no tchar (RFC 9110 §5.6.2).
    @inlinable @inline(__always)
    public static func token(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int { cscan_token(start, count) }

    /// The first byte that may not stand in a request target: outside 0x21 to 0x7E, or `#`.
    @inlinable @inline(__always)
    public static func target(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int { cscan_target(start, count) }

    /// What a text has that must be looked at before it is written to a log.
    @inlinable @inline(__always)
    public static func log(_ text: RawSpan) -> LogBytes {
        text.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return LogBytes(bits: 0) }
            return LogBytes(bits: cscan_log(start.assumingMemoryBound(to: UInt8.self), bytes.count))
        }
    }

    /// Writes `name: value` CRLF to `to`, which has room for four bytes more than both and overlaps neither. Says whether the name
    /// is a token and the value has no control byte.
    @inlinable @inline(__always)
    public static func writeLine(
        _ to: UnsafeMutablePointer<UInt8>, name: UnsafePointer<UInt8>, _ nameCount: Int, value: UnsafePointer<UInt8>,
        _ valueCount: Int
    ) -> Bool {
        cscan_write_line(to, name, nameCount, value, valueCount) != 0
    }

    /// Reads field lines up to the empty line, a fault, the last byte or the last place in `lines`; see `cscan_lines`.
    @inlinable @inline(__always)
    public static func lines(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ section: inout ScannedSection,
        into lines: UnsafeMutableBufferPointer<ScannedLine>
    ) -> Int {
        guard let first = lines.baseAddress else { return 0 }
        return cscan_lines(start, count, &section, first, lines.count)
    }
}

/// Kinds of bytes that a text has.
public struct LogBytes: Sendable {
    @usableFromInline let bits: UInt32

    @inlinable
    init(bits: UInt32) { self.bits = bits }

    /// None that cannot stand in a JSON string as they are.
    @inlinable
    public var isPlain: Bool { bits & 1 == 0 }
    /// None of `=`, `:` and `%`, and not the beginning of a `Basic` or `Bearer`: the text announces no secret.
    @inlinable
    public var isSilent: Bool { bits & 6 == 0 }
    /// The beginning of a `Basic` or `Bearer`, perhaps.
    @inlinable
    public var hasScheme: Bool { bits & 4 != 0 }
}

/// One field line: where its name and value stand, and whether the name has a `_`.
public typealias ScannedLine = cscan_line

/// Where a walk over field lines stands, how far it may go, and why it stopped.
public typealias ScannedSection = cscan_section

extension ScannedSection {
    public enum Stop {
        case full, end, partial, name, value, lineEnd, longLine, longSection, manyLines
    }

    @inlinable
    public init(from position: Int, sectionEnd: Int, lineBytes: Int, lines: Int) {
        self.init(
            position: position, section_end: sectionEnd, line_bytes: lineBytes, lines_left: lines, stop: CSCAN_STOP_PARTIAL,
            at_line_start: 0)
    }

    @inlinable
    public var reason: Stop {
        switch stop {
        case CSCAN_STOP_FULL: .full
        case CSCAN_STOP_END: .end
        case CSCAN_STOP_PARTIAL: .partial
        case CSCAN_STOP_NAME: .name
        case CSCAN_STOP_VALUE: .value
        case CSCAN_STOP_LINE_END: .lineEnd
        case CSCAN_STOP_LONG_LINE: .longLine
        case CSCAN_STOP_LONG_SECTION: .longSection
        default: .manyLines
        }
    }
}
