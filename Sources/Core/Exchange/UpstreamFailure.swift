import HTTPMessages
import Resilience

/// What went wrong on the way to the backend. What the client gets for it is in `refusal`.
public enum UpstreamFailure: UInt8, Error, Sendable, CaseIterable {
    /// No instance takes traffic.
    case noInstance
    /// The service's queue is full.
    case queueFull
    /// No connection became free in time.
    case queueTimedOut
    /// The instance's name has no address.
    case unresolved
    case connectRefused
    case connectTimedOut
    /// Any other error of connect(2).
    case connectFailed
    /// The connection could not be encrypted, or the backend is not who it should be.
    case tlsFailed
    /// The backend has not looked at the request, and says so (REFUSED_STREAM, GOAWAY; RFC 9113 §8.7).
    case streamRefused
    /// Closed or reset before the response's head was whole.
    case closed
    /// No answer, or no further byte of it, in time.
    case timedOut
    /// The response broke the rules of RFC 9112.
    case malformed
    /// The response's head is over its limit.
    case headTooLarge
    /// The response ended before its body did.
    case truncated

    /// How a retry policy sees it; nil where no try was made.
    func kind(anyResponseByte: Bool) -> FailedTry.Failure? {
        switch self {
        case .noInstance, .queueFull, .queueTimedOut: nil
        case .unresolved, .connectRefused, .connectTimedOut, .connectFailed, .tlsFailed: .connectFailed
        case .streamRefused: .streamRefused
        // What has begun to answer has seen the request.
        case .closed: anyResponseByte ? .broken : .closed
        case .timedOut: .timedOut
        case .malformed, .headTooLarge, .truncated: .broken
        }
    }
}
