import Primitives

/// One try that failed, with all that decides whether there may be another.
public struct FailedTry: Sendable, Hashable {
    public enum Failure: Sendable, Hashable {
        /// No connection was made: nothing was written.
        case connectFailed
        /// REFUSED_STREAM, or a stream above the last one of a GOAWAY (RFC 9113 §6.8, §8.7).
        case streamRefused
        /// Closed or reset with no byte of a response read.
        case closed
        /// The response broke off, or was not understood.
        case broken
        /// No answer, or no further byte, in time.
        case timedOut
        /// A response with this status, which has not been passed on.
        case status(UInt16)
    }

    /// What of the request went out in this try.
    public enum Sent: Sendable, Hashable {
        case nothing, headOnly, body
    }

    public var failure: Failure
    public var sent: Sent
    /// The connection had served a request before.
    public var isReused: Bool
    /// Sending the request twice has the effect of sending it once (RFC 9110 §9.2.2), or its sender said so.
    public var isIdempotent: Bool
    /// All of the body is still here, or there is none, or none of it was read.
    public var bodyIsReplayable: Bool
    /// The client has part of a response.
    public var responseBegan: Bool
    /// Retries of this request until now that counted.
    public var retriesDone: Int
    /// This request has used its retry for a stale connection.
    public var staleRetryDone: Bool
    /// Another gateway retries this request already.
    public var isRetriedElsewhere: Bool
    /// There is an eligible instance that has not been tried for this request.
    public var hasOtherInstance: Bool
    /// What the backend's response asked for.
    public var retryAfter: TimeAmount?
    /// Until the request's deadline.
    public var remaining: TimeAmount

    public init(
        _ failure: Failure, sent: Sent, isReused: Bool = false, isIdempotent: Bool, bodyIsReplayable: Bool = true,
        responseBegan: Bool = false, retriesDone: Int = 0, staleRetryDone: Bool = false, isRetriedElsewhere: Bool = false,
        hasOtherInstance: Bool = true, retryAfter: TimeAmount? = nil, remaining: TimeAmount = .forever
    ) {
        self.failure = failure
        self.sent = sent
        self.isReused = isReused
        self.isIdempotent = isIdempotent
        self.bodyIsReplayable = bodyIsReplayable
        self.responseBegan = responseBegan
        self.retriesDone = retriesDone
        self.staleRetryDone = staleRetryDone
        self.isRetriedElsewhere = isRetriedElsewhere
        self.hasOtherInstance = hasOtherInstance
        self.retryAfter = retryAfter
        self.remaining = remaining
    }

    /// The keep-alive race (RFC 9112 §9.3.1): no evidence against the instance.
    public var isStaleConnection: Bool { failure == .closed && isReused && !responseBegan }

    /// Whether a second try cannot do what the first has done already.
    var isSafe: Bool {
        guard bodyIsReplayable else { return false }
        if sent == .nothing || failure == .connectFailed || failure == .streamRefused { return true }
        return isIdempotent
    }

    /// Conditions of `retry_on`, any of which covers it.
    var conditions: RetryConditions {
        switch failure {
        case .connectFailed: [.connectFailure]
        case .streamRefused: [.refusedStream]
        case .closed: isStaleConnection ? [.staleConnection, .gatewayError, .serverError] : [.gatewayError, .serverError]
        case .broken: [.gatewayError, .serverError]
        case .timedOut: [.timeout]
        case .status(429): [.tooManyRequests]
        case .status(502), .status(503), .status(504): [.gatewayError, .serverError]
        case .status(let status): status >= 500 ? [.serverError] : []
        }
    }
}
