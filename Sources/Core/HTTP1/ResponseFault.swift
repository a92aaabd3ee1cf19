/// Why a backend's response was refused. The connection that it came on is closed, and the client gets a 502 if nothing was sent
/// to it yet (RFC 9112 §6.3).
public enum ResponseFault: Equatable, Sendable {
    /// Not `HTTP/1.x SP 3DIGIT`, with an optional phrase (RFC 9112 §4).
    case malformedStatusLine
    case statusLineTooLong
    /// `HTTP/` and digits, but neither 1.1 nor 1.0.
    case unsupportedVersion
    /// Three digits outside 100 to 599.
    case invalidStatus
    case fields(FieldFault)
    case framing(FramingFault)

    /// Whether a size was exceeded: `http_response_header_section_size` in `Proxy-Status` (RFC 9209 §2.3.15).
    public var isTooLarge: Bool {
        switch self {
        case .statusLineTooLong: true
        case .fields(let fault): fault.isTooLarge
        case .malformedStatusLine, .unsupportedVersion, .invalidStatus, .framing: false
        }
    }

    /// The word for metrics and logs; a bounded set.
    public var reason: StaticString {
        switch self {
        case .malformedStatusLine: "malformed_status_line"
        case .statusLineTooLong: "status_line_too_long"
        case .unsupportedVersion: "unsupported_version"
        case .invalidStatus: "invalid_status"
        case .fields(let fault): fault.reason
        case .framing(let fault): fault.reason
        }
    }

    public var message: StaticString {
        switch self {
        case .malformedStatusLine: "The status line is not 'HTTP/1.1 status reason'."
        case .statusLineTooLong: "The status line is too long."
        case .unsupportedVersion: "The backend answers in a version other than HTTP/1.1 and HTTP/1.0."
        case .invalidStatus: "The status is outside 100 to 599."
        case .fields(let fault): fault.message
        case .framing(let fault): fault.message
        }
    }
}
