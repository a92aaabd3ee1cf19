/// Why a request was refused before anything else saw it. The connection is closed after the answer: nothing behind the fault
/// can be told apart from an attack.
public enum RequestFault: Equatable, Sendable {
    /// The first byte can start no method: a TLS handshake on a plain port, or no HTTP at all.
    case notARequest
    /// More than two empty lines before the request line (RFC 9112 §2.2 asks for one to be ignored).
    case emptyLinesBeforeRequest
    /// Not 1 to 32 tchars followed by a space.
    case invalidMethod
    /// A part is missing, or more than one space stands between two, or something follows the version (RFC 9112 §3).
    case malformedRequestLine
    /// A byte outside 0x21 to 0x7E, or `#`, in the target.
    case invalidTarget
    case targetTooLong
    /// `HTTP/` and digits, but neither 1.1 nor 1.0.
    case unsupportedVersion
    case fields(FieldFault)
    case framing(FramingFault)
    /// HTTP/1.1 without `Host` (RFC 9112 §3.2).
    case missingHost
    case duplicateHost
    /// `Authorization`, `X-API-Key` or `Origin` twice: the gateway and the backend might each believe another one.
    case duplicateField
    /// A name that becomes one the gateway depends on when `_` is read as `-`.
    case underscoreTwin
    /// `Expect` with anything but `100-continue` (RFC 9110 §10.1.1).
    case unknownExpectation

    public var status: UInt16 {
        switch self {
        case .notARequest, .emptyLinesBeforeRequest, .invalidMethod, .malformedRequestLine, .invalidTarget, .framing,
            .missingHost,
            .duplicateHost, .duplicateField, .underscoreTwin:
            400
        case .targetTooLong: 414
        case .unsupportedVersion: 505
        case .fields(let fault): fault.isTooLarge ? 431 : 400
        case .unknownExpectation: 417
        }
    }

    /// The word for metrics and logs; a bounded set.
    public var reason: StaticString {
        switch self {
        case .notARequest: "not_a_request"
        case .emptyLinesBeforeRequest: "empty_lines_before_request"
        case .invalidMethod: "invalid_method"
        case .malformedRequestLine: "malformed_request_line"
        case .invalidTarget: "invalid_target"
        case .targetTooLong: "target_too_long"
        case .unsupportedVersion: "unsupported_version"
        case .fields(let fault): fault.reason
        case .framing(let fault): fault.reason
        case .missingHost: "missing_host"
        case .duplicateHost: "duplicate_host"
        case .duplicateField: "duplicate_field"
        case .underscoreTwin: "underscore_twin"
        case .unknownExpectation: "unknown_expectation"
        }
    }

    /// A sentence for the client.
    public var message: StaticString {
        switch self {
        case .notARequest: "This is not an HTTP request."
        case .emptyLinesBeforeRequest: "There are too many empty lines before the request."
        case .invalidMethod: "The method is not a token of 1 to 32 characters."
        case .malformedRequestLine: "The request line is not 'METHOD target HTTP/1.1'."
        case .invalidTarget: "The request target has a byte that is not allowed in it."
        case .targetTooLong: "The request target is too long."
        case .unsupportedVersion: "Only HTTP/1.1 and HTTP/1.0 are spoken here."
        case .fields(let fault): fault.message
        case .framing(let fault): fault.message
        case .missingHost: "The Host field is missing."
        case .duplicateHost: "There is more than one Host field."
        case .duplicateField: "A field that may occur only once occurs twice."
        case .underscoreTwin: "A field name has underscores where a known one has dashes."
        case .unknownExpectation: "The only expectation that can be met is 100-continue."
        }
    }
}
