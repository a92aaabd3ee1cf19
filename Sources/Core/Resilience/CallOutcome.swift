/// What one try to a backend says about that backend.
///
/// A circuit breaker and an outlier detector count by it. What the client did, and what the gateway decided, says nothing.
public enum CallOutcome: UInt8, Sendable, Hashable, CaseIterable {
    /// An answer that the backend gave on purpose: 1xx to 4xx, 501, and every 5xx that is not listed below.
    case answered
    /// 500, 502, 503 or 504: it answers, and says that it cannot.
    case serverError
    /// Refused, unreachable, or not connected in time.
    case connectFailed
    /// Connected, and no answer in time.
    case timedOut
    /// Cut off, or not understood, before the answer was whole.
    case broken
    /// A kept connection that the backend had closed before the request reached it (RFC 9112 §9.3.1): a race, not a fault.
    case stale
    /// The client left, or its fault ended the try.
    case clientGone
    /// The gateway gave the try up: drain, deadline of the client, lost race for a connection.
    case givenUp

    /// - Parameter status: of a final response.
    @inlinable
    public init(status: UInt16) {
        switch status {
        case 500, 502, 503, 504: self = .serverError
        default: self = .answered
        }
    }

    /// What it counts as.
    @frozen
    public enum Weight: Sendable, Hashable {
        case success, failure
        /// Counts neither way.
        case nothing
    }

    @inlinable
    public var weight: Weight {
        switch self {
        case .answered: .success
        case .serverError, .connectFailed, .timedOut, .broken: .failure
        case .stale, .clientGone, .givenUp: .nothing
        }
    }
}
