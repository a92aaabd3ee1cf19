import HTTPMessages
import Primitives

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
    /// What was settled before the first attempt.
    public struct Policy: Sendable, Equatable {
        /// Attempts after the first one.
        public var retriesMax: Int

        public init(retriesMax: Int) { self.retriesMax = retriesMax }
    }

    /// What of the request the backend has seen in this attempt.
    public enum Sent: Sendable, Equatable {
        case nothing
        /// The head, or part of it; no byte of the body.
        case headOnly
        case body
    }

    public enum State: Sendable, Equatable {
        /// No connection yet: in the queue, connecting, or waiting for a middleware. May become `awaitingHead` or `ended`.
        case acquiring
        /// The request is on its way, and no byte of a final response has been passed on. May become `acquiring` (a retry),
        /// `relaying` or `ended`.
        case awaitingHead(reused: Bool, sent: Sent)
        /// The client has the response's head; from here on a failure can only be shown by breaking off. Becomes `ended`.
        case relaying
        case ended
    }

    public private(set) var state: State = .acquiring
    /// Attempts that have begun.
    public private(set) var attempts = 0
    /// The client's request has been read to its end.
    public private(set) var requestRead: Bool
    /// All of the request has been handed to the backend's connection.
    public private(set) var requestSent = false
    private let policy: Policy
    private let isIdempotent: Bool
    private let isLast: Bool
    /// Once bytes of the body have gone to a backend they are gone: nothing keeps them.
    private var bodyConsumed = false
    /// The one retry of a request that met a closed kept-alive connection (RFC 9112 §9.3.1) has been used.
    private var staleRetried = false

    /// - Parameters:
    ///   - hasBody: whether the request has a body, however short.
    ///   - isLast: whether the client will send nothing behind this request (RFC 9112 §9.6).
    public init(policy: Policy, method: Method, hasBody: Bool, isLast: Bool = false) {
        self.policy = policy
        self.isLast = isLast
        isIdempotent = method.isIdempotent
        requestRead = !hasBody
    }

    /// What to do after a failed attempt.
    public enum Recovery: Sendable, Equatable {
        /// Try again; `fresh` forbids a kept-alive connection, since they may all have gone the same way.
        case retry(fresh: Bool)
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

    /// A connection is there, and the request's head is about to be sent on it.
    public mutating func connected(reused: Bool) {
        precondition(state == .acquiring, "connected twice")
        attempts += 1
        requestSent = false
        state = .awaitingHead(reused: reused, sent: .nothing)
    }

    /// No connection could be made: refused, timed out, no address. The backend has seen nothing, so any request may be tried
    /// elsewhere.
    public mutating func connectFailed(_ failure: UpstreamFailure) -> Recovery {
        guard case .acquiring = state else { return .nothing }
        attempts += 1
        if attempts <= policy.retriesMax, failure.mayTryElsewhere { return .retry(fresh: false) }
        state = .ended
        return .refuse(failure)
    }

    /// The wait for a connection is over without one.
    public mutating func acquiringGivenUp(_ failure: UpstreamFailure) -> Recovery {
        guard case .acquiring = state else { return .nothing }
        state = .ended
        return .refuse(failure)
    }

    /// Bytes of the head went out.
    public mutating func headSent() {
        if case .awaitingHead(let reused, .nothing) = state { state = .awaitingHead(reused: reused, sent: .headOnly) }
    }

    /// Bytes of the body went out.
    public mutating func bodySent() {
        bodyConsumed = true
        if case .awaitingHead(let reused, _) = state { state = .awaitingHead(reused: reused, sent: .body) }
    }

    /// The request has been read to its end.
    public mutating func requestEnded() { requestRead = true }

    /// All of the request is with the backend's connection.
    public mutating func requestWritten() { requestSent = true }

    /// A final response head has been read and is about to be passed on.
    /// - Returns: false when the exchange is not waiting for one.
    public mutating func headReceived() -> Bool {
        guard case .awaitingHead = state else { return false }
        state = .relaying
        return true
    }

    /// The backend's connection was closed or reset, or refused a write, before a whole response was read.
    public mutating func backendFailed(_ failure: UpstreamFailure, anyResponseByte: Bool) -> Recovery {
        switch state {
        case .acquiring, .ended:
            return .nothing
        case .relaying:
            state = .ended
            return .abort(failure)
        case .awaitingHead(let reused, let sent):
            if mayRetry(failure, reused: reused, sent: sent, anyResponseByte: anyResponseByte) {
                staleRetried = true
                state = .acquiring
                return .retry(fresh: true)
            }
            state = .ended
            return .refuse(failure)
        }
    }

    /// Only the keep-alive race is retried (RFC 9112 §9.3.1): the backend closed a connection while the request was on its way. Safe
    /// when it cannot have seen the request, or when seeing it twice does no harm and all of it is still here.
    private func mayRetry(_ failure: UpstreamFailure, reused: Bool, sent: Sent, anyResponseByte: Bool) -> Bool {
        guard failure == .closed, reused, !staleRetried, !anyResponseByte, !bodyConsumed else { return false }
        switch sent {
        case .nothing: return true
        case .headOnly: return isIdempotent
        case .body: return false
        }
    }

    /// A deadline passed: for the response's head, between two reads, or for the whole request.
    public mutating func deadlineFired() -> Recovery {
        switch state {
        case .acquiring, .awaitingHead:
            state = .ended
            return .refuse(.timedOut)
        case .relaying:
            state = .ended
            return .abort(.timedOut)
        case .ended:
            return .nothing
        }
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
