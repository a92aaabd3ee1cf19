/// The class of a refusal, `code` in its body: what a program branches on. The `Reason` beside it says which situation it was.
public enum ErrorCode: UInt8, Sendable, CaseIterable {
    case invalidRequest
    case authError
    case notFound
    case methodNotAllowed
    case requestTimeout
    case httpsRequired
    case rateLimit
    case internalError
    case upstreamError
    case serviceUnavailable
    case circuitOpen
    case upstreamTimeout
    case loopDetected

    public var name: StaticString {
        switch self {
        case .invalidRequest: "INVALID_REQUEST"
        case .authError: "AUTH_ERROR"
        case .notFound: "NOT_FOUND"
        case .methodNotAllowed: "METHOD_NOT_ALLOWED"
        case .requestTimeout: "REQUEST_TIMEOUT"
        case .httpsRequired: "HTTPS_REQUIRED"
        case .rateLimit: "RATE_LIMIT"
        case .internalError: "INTERNAL_ERROR"
        case .upstreamError: "UPSTREAM_ERROR"
        case .serviceUnavailable: "SERVICE_UNAVAILABLE"
        case .circuitOpen: "CIRCUIT_OPEN"
        case .upstreamTimeout: "UPSTREAM_TIMEOUT"
        case .loopDetected: "LOOP_DETECTED"
        }
    }
}
