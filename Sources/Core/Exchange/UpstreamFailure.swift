import HTTPMessages

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

    /// Whether another instance may be able to take the request.
    var mayTryElsewhere: Bool {
        switch self {
        case .unresolved, .connectRefused, .connectTimedOut, .connectFailed: true
        case .noInstance, .queueFull, .queueTimedOut, .closed, .timedOut, .malformed, .headTooLarge, .truncated: false
        }
    }
}
