/// What a service's `retry_on` names.
public struct RetryConditions: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// No connection: refused, unreachable, timed out, no address.
    public static var connectFailure: RetryConditions { .init(rawValue: 1) }
    /// The backend proved that it did not process the request (RFC 9113 §8.7).
    public static var refusedStream: RetryConditions { .init(rawValue: 2) }
    /// A kept connection that was closed while the request was on its way.
    public static var staleConnection: RetryConditions { .init(rawValue: 4) }
    /// Any status from 500, and whatever would become one.
    public static var serverError: RetryConditions { .init(rawValue: 8) }
    /// 502, 503, 504, and a connection that broke or spoke wrongly.
    public static var gatewayError: RetryConditions { .init(rawValue: 16) }
    /// No answer in time.
    public static var timeout: RetryConditions { .init(rawValue: 32) }
    /// 429.
    public static var tooManyRequests: RetryConditions { .init(rawValue: 64) }

    public static var usual: RetryConditions { [.connectFailure, .refusedStream, .staleConnection] }

    /// The condition of that name in the configuration.
    public init?(name: String) {
        switch name {
        case "connect_failure": self = .connectFailure
        case "refused_stream": self = .refusedStream
        case "stale_connection": self = .staleConnection
        case "5xx": self = .serverError
        case "gateway_error": self = .gatewayError
        case "timeout": self = .timeout
        case "429": self = .tooManyRequests
        default: return nil
        }
    }
}
