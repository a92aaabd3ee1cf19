import HTTPMessages
import Primitives
import Resilience

/// One proxied request, from the moment its route and its policy are known to its end: which stage it is in, what may still be tried,
/// and how both connections are left.
///
/// A pure machine. The driver tells what happened and does what the answer says; it decides nothing. Every path ends in exactly one
/// `Ending`, which is what the counters, the log and the pools go by.
///
///     acquiring ──► awaitingHead ──► relaying ──► ended
///         ▲              │               │
///         └── retry ─────┘               └─ abort ─► ended
public struct ProxyExchange: Sendable {
    public enum State: Sendable, Equatable {
        /// No connection yet: in the queue, connecting, waiting before a retry or for a middleware. May become `awaitingHead` or
        /// `ended`.
        case acquiring
        /// The request is on its way, and no byte of a final response has been passed on. May become `acquiring` (a retry),
        /// `relaying` or `ended`.
        case awaitingHead(reused: Bool, sent: FailedTry.Sent)
        /// The client has the response's head; from here on a failure can only be shown by breaking off. Becomes `ended`.
        case relaying
        case ended
    }

    public private(set) var state: State = .acquiring
    /// Tries that have begun.
    public private(set) var attempts = 0
    /// The client's request has been read to its end.
    public private(set) var requestRead: Bool
    /// All of the request has been handed to the backend's connection.
    public private(set) var requestSent = false
    private let hasBody: Bool
    /// Sending it twice has the effect of sending it once.
    public let isRepeatable: Bool
    private let isLast: Bool
    /// Bytes of the body have gone to a backend, and nothing keeps them.
    private var bodyIsGone = false
    /// Retries that counted against the policy's number.
    private var retriesDone = 0
    /// The one retry of a request that met a closed kept-alive connection (RFC 9112 §9.3.1) has been used.
    private var staleRetried = false

    /// - Parameters:
    ///   - isRepeatable: whether sending it twice has the effect of sending it once, for another reason than its method.
    ///   - hasBody: whether the request has a body, however short.
    ///   - isLast: whether the client will send nothing behind this request (RFC 9112 §9.6).
    public init(method: Method, isRepeatable: Bool = false, hasBody: Bool, isLast: Bool = false) {
        self.isLast = isLast
        self.hasBody = hasBody
        self.isRepeatable = isRepeatable || method.isIdempotent
        requestRead = !hasBody
    }

    /// What to do when nothing more is tried.
    public enum Recovery: Sendable, Equatable {
        /// Answer the client with the refusal for this failure.
        case refuse(UpstreamFailure)
        /// The client has part of an answer: break its connection off, so that it cannot take the part for the whole.
        case abort(UpstreamFailure)
        /// Nothing; the exchange had ended.
        case nothing
    }

    /// How the two connections are left.
    public struct Ending: Sendable, Equatable {
        public enum Client: Sendable, Equatable {
            /// Ready for the next request.
            case keep
            /// Close: the client said that this request is its last, and all of it has been read.
            case close
            /// Close in order: what the client still sends is read and thrown away for a while, so that it gets the answer.
            case linger
            /// Break off.
            case abort
        }

        public var client: Client
        /// Whether the backend's connection may serve another request, as far as this exchange can tell.
        public var keepsBackend: Bool
    }

    // The request.

    /// A connection is there, and the request's head is about to be sent on it.
    public mutating func connected(reused: Bool) {
        precondition(state == .acquiring, "connected twice")
        attempts += 1
        requestSent = false
        state = .awaitingHead(reused: reused, sent: .nothing)
    }

    /// Bytes of the head went out.
    public mutating func headSent() {
        if case .awaitingHead(let reused, .nothing) = state { state = .awaitingHead(reused: reused, sent: .headOnly) }
    }

    /// Bytes of the body went out.
    /// - Parameter isKept: the driver keeps all that went out until now, to send it again.
    public mutating func bodySent(isKept: Bool = false) {
        if !isKept { bodyIsGone = true }
        if case .awaitingHead(let reused, _) = state { state = .awaitingHead(reused: reused, sent: .body) }
    }

    /// The request has been read to its end.
    public mutating func requestEnded() { requestRead = true }

    /// All of the request is with the backend's connection.
    public mutating func requestWritten() { requestSent = true }

    // Failures.

    /// What a failed try is judged by, beside what the exchange knows itself.
    public struct Circumstances: Sendable {
        /// Any byte of a response came, an interim one's too.
        public var anyResponseByte = false
        /// Whether there is an eligible instance that has not been tried for this request.
        public var hasOtherInstance = true
        /// Whether another gateway retries this request already.
        public var isRetriedElsewhere = false
        /// What the response asked for.
        public var retryAfter: TimeAmount?
        /// Until the request's deadline.
        public var remaining = TimeAmount.forever

        public init() {}
    }

    /// What the policy says to a try that failed. Nothing has changed by it: see `retrying` and `failed`.
    public func verdict(
        on failure: UpstreamFailure, _ circumstances: Circumstances, policy: borrowing RetryPolicy,
        random: inout RandomSource
    ) -> RetryPolicy.Verdict {
        guard let kind = failure.kind(anyResponseByte: circumstances.anyResponseByte) else { return .giveUp(.notWanted) }
        return policy.verdict(on: failed(kind, circumstances), random: &random)
    }

    /// What the policy says to a response with this status, which has not been passed on.
    public func verdict(
        onStatus status: UInt16, _ circumstances: Circumstances, policy: borrowing RetryPolicy, random: inout RandomSource
    ) -> RetryPolicy.Verdict {
        policy.verdict(on: failed(.status(status), circumstances), random: &random)
    }

    private func failed(_ failure: FailedTry.Failure, _ circumstances: Circumstances) -> FailedTry {
        var isReused = false
        var sent = FailedTry.Sent.nothing
        if case .awaitingHead(let reused, let seen) = state { (isReused, sent) = (reused, seen) }
        return FailedTry(
            failure, sent: sent, isReused: isReused, isIdempotent: isRepeatable, bodyIsReplayable: !bodyIsGone,
            responseBegan: state == .relaying || state == .ended, retriesDone: retriesDone, staleRetryDone: staleRetried,
            isRetriedElsewhere: circumstances.isRetriedElsewhere, hasOtherInstance: circumstances.hasOtherInstance,
            retryAfter: circumstances.retryAfter, remaining: circumstances.remaining)
    }

    /// The try is over, and there will be another one, from the first byte on.
    public mutating func retrying(_ retry: RetryPolicy.Retry) {
        if retry.costsBudget { retriesDone += 1 }
        if case .fresh = retry.connection { staleRetried = true }
        startOver()
    }

    /// Whether the request may go to something else, which perhaps does again what was done already.
    public var maySendElsewhere: Bool {
        switch state {
        case .acquiring: !bodyIsGone
        case .awaitingHead(_, let sent): !bodyIsGone && (sent == .nothing || isRepeatable)
        case .relaying, .ended: false
        }
    }

    /// A backend may have seen the request before.
    public var isRetry: Bool { retriesDone > 0 || staleRetried }

    /// Another service gets the request, from the first byte on; what was tried before is not counted against it.
    public mutating func sentElsewhere() {
        startOver()
        retriesDone = 0
        staleRetried = false
    }

    private mutating func startOver() {
        if case .acquiring = state { attempts += 1 }
        requestRead = !hasBody
        state = .acquiring
    }

    /// Nothing more is tried: the last failure, the end of the wait for a connection, or of the time for the whole request.
    public mutating func failed(_ failure: UpstreamFailure) -> Recovery {
        switch state {
        case .acquiring, .awaitingHead:
            state = .ended
            return .refuse(failure)
        case .relaying:
            state = .ended
            return .abort(failure)
        case .ended:
            return .nothing
        }
    }

    // The response.

    /// A final response head has been read and is about to be passed on.
    /// - Returns: false when the exchange is not waiting for one.
    public mutating func headReceived() -> Bool {
        guard case .awaitingHead = state else { return false }
        state = .relaying
        return true
    }

    /// The response has changed the protocol of both connections (RFC 9110 §7.8): what follows is no message.
    public mutating func tunnelBegan() {
        precondition(state == .relaying, "a tunnel began without an answer")
        requestRead = false
    }

    /// Both directions of the tunnel have ended. Neither connection can carry a request again.
    public mutating func tunnelEnded() -> Ending {
        state = .ended
        return Ending(client: .linger, keepsBackend: false)
    }

    /// The response has been passed on to its end.
    /// - Parameters:
    ///   - clientMayContinue: the client's connection may carry another request, as far as its head and ours said.
    ///   - backendMayContinue: the response was framed, complete, and its connection open.
    public mutating func responseEnded(clientMayContinue: Bool, backendMayContinue: Bool) -> Ending {
        precondition(state == .relaying, "a response ended that had not begun")
        state = .ended
        return Ending(
            client: client(mayContinue: clientMayContinue),
            keepsBackend: backendMayContinue && requestRead && requestSent)
    }

    /// Sluice has answered by itself.
    public mutating func answered(clientMayContinue: Bool) -> Ending {
        state = .ended
        return Ending(client: client(mayContinue: clientMayContinue), keepsBackend: false)
    }

    private func client(mayContinue: Bool) -> Ending.Client {
        guard requestRead else { return .linger }
        return mayContinue ? .keep : isLast ? .close : .linger
    }

    /// The client is gone; whatever runs for it is given up.
    public mutating func clientAborted() -> Ending {
        state = .ended
        return Ending(client: .abort, keepsBackend: false)
    }
}
