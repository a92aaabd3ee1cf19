import Balancing
import Exchange
import HTTP1
import HTTP2
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Resilience
import Telemetry
import Upstream

/// One request in flight: the machine that decides, the request's head, and what the driver needs to carry the decisions out.
///
/// Reused with its memory, so that a request in steady state allocates nothing.
struct ExchangeRecord: ~Copyable {
    /// Where the driver is to take up again. The machine knows what may happen; this knows who will say so.
    enum Step: UInt8 {
        /// Reading the head, or done.
        case idle
        /// The request's body is read whole, for the route's action.
        case collecting
        /// A middleware, or the route's action, has suspended the request phase.
        case requestSuspended
        /// In the service's queue.
        case queued
        /// A connection to an instance is being made.
        case connecting
        /// The wait before a retry.
        case backingOff
        /// The backend has the request, or is getting it.
        case forwarded
        /// The connection has changed its protocol: bytes go both ways.
        case tunnelled
        /// A middleware has suspended the response phase.
        case responseSuspended
        /// An answer of our own is complete, and the rest of it is on its way to the client.
        case answered
    }

    var machine = ProxyExchange(method: .get, hasBody: false)
    /// A request of HTTP/1 to a backend of HTTP/1, as most are: what belongs to streams, calls and tunnels was not touched.
    var isPlain = true
    var step = Step.idle
    /// The stage that waits, in a suspended step.
    var suspendedStage = 0
    var head = RequestHead()
    var context: RequestContext
    var client: Int32 = -1
    /// The stream of the client's connection; nil where that speaks HTTP/1.
    var clientStream: HTTP2StreamID?
    /// Its place among the requests of that connection.
    var place: Int32 = 0
    var backend: Int32 = -1
    /// The backend's connection speaks HTTP/2, or will, and carries other requests too.
    var sharesBackend = false
    /// The stream of that connection, from when the request's head is sent.
    var backendStream: HTTP2StreamID?
    /// Its place among the requests of that connection.
    var backendPlace: Int32 = 0
    /// The configuration under which the request began; alive while its `inFlight` counts this request.
    var generation: Unmanaged<Generation>
    /// Its number; a new record has none.
    var generationNumber = -1
    /// The listener's index in that configuration.
    var listener: Int32 = 0
    var route: UnsafePointer<RouteRuntime>?
    /// Where the response phase of the chain begins: its last stage, or the one before the stage that answered.
    var responseStage = -1
    /// The instance in the service, -1 before one is chosen.
    var instance: Int32 = -1
    /// The service that is to answer: the route's, or its fallback.
    var service: Unmanaged<ServiceRuntime>?
    /// What counts its failures; nil where nobody does.
    var breaker: Unmanaged<NamedBreaker>?
    /// What answers if the service cannot.
    var fallback: Unmanaged<Fallback>?
    var fallbackUsed = FallbackUsed.none
    /// Instances on which it has failed.
    var tried = TriedInstances()
    /// What it is placed by, where the balancer looks at the request.
    var hashKey: HashKey?
    /// The instance of its session, -1 for none.
    var session: Int32 = -1
    /// The client is to get a cookie for the instance that answers.
    var owesCookie = false
    /// The right to be sent although the breaker is half open.
    var permit: CircuitBreaker.ProbePermit?
    /// When the try under way began.
    var triedAt = Instant.never
    /// The try under way has not been told to those who judge by it.
    var owesOutcome = false
    /// A connect failed at once since the last try.
    var wasUnreachable = false
    /// The try under way is the one that an instance on trial gets.
    var isOnTrial = false
    /// The try under way was paid out of the retry budget.
    var holdsRetry = false
    /// What has been read of the body, to be sent again; only while `keepsBody`.
    var keptBody = Incoming()
    var keepsBody = false
    /// Only a connection that has served nothing yet will do.
    var wantsFresh = false
    /// Why the attempt under way is not the first one.
    var retriedFor: Reason?
    /// The path that the backend gets, in the head's storage.
    var upstreamPath: Range<Int> = 0..<0

    /// The protocol that it changes to, if the backend agrees.
    var upgrade: Upgrade?
    /// It is to become a tunnel, or has.
    var wantsTunnel: Bool { !isPlain && upgrade != nil }
    /// In memory of its own, since few have one; freed when the exchange ends.
    var tunnel: UnsafeMutablePointer<Tunnel>?
    /// Its answers are gRPC's (`application/grpc`).
    var isGRPC = false
    /// The status of the call has been passed on, or will be with the trailers.
    var hasGRPCStatus = false
    /// It, for the log; nil while unknown.
    var grpcStatus: UInt8?
    /// What the backend's stream was reset with.
    var resetCode: UInt32?

    var requestBody = BodyReader(.none)
    /// Bytes of the request's body that were read.
    var requestBytes: UInt64 = 0
    var bodyStarted = Instant(nanoseconds: 0)
    /// The backend has closed its side to the request; its answer may still be there.
    var uploadFailed = false
    /// `100 Continue` is still owed.
    var owesContinue = false
    var requestTrailers = Incoming()
    /// Of a stream: bytes of the body that have not been passed on.
    var streamInput = Incoming()
    /// The client's stream has ended.
    var streamHasEnded = false
    /// A body that is read whole.
    var collected: [UInt8] = []

    /// At least one byte of the present response has arrived.
    var hasBackendAnswered = false
    /// Interim responses to the present try.
    var interimCount: Int32 = 0
    /// Of a stream: bytes of the response that the client did not take yet.
    var backendInput = Incoming()
    /// The backend's stream has ended.
    var backendHasEnded = false
    var responseBody = BodyReader(.none)
    var responseTrailers = Incoming()
    /// How the client's side of the response is framed.
    var clientFraming = BodyFraming.none
    var clientMayContinue = true
    var backendMayContinue = false
    /// The head while a middleware holds it.
    var heldResponse: HeldResponse?

    /// The earliest one of those below.
    var deadline = Deadline()
    /// For the queue, or for a middleware to resume.
    var waitDeadline = Instant.never
    /// For the whole request.
    var requestDeadline = Instant.never
    /// For the client's stream; a connection of HTTP/1 has its own.
    var clientDeadline = Instant.never
    /// For the backend's stream, likewise.
    var upstreamDeadline = Instant.never

    /// `WorkerMetrics.requestStarted` was called.
    var isCounted = false
    /// Of the request.
    var headBytes = 0
    var status: UInt16 = 0
    var upstreamStatus: UInt16 = 0
    /// What the backend was spoken to with; nil where none was asked.
    var upstreamVersion: HTTPVersion?
    var reason = Reason.ok
    var responseBytes: UInt64 = 0
    /// When the request's first byte arrived.
    var started = Instant(nanoseconds: 0)
    var queuedAt = Instant.never
    var queueTime = TimeAmount.zero
    var connectTime = TimeAmount.zero
    var forwardedAt = Instant.never
    /// In the hands of backends, all attempts together.
    var upstreamTime = TimeAmount.zero
    var firstByteAt = Instant.never

    init(names: NameTable, generation: Unmanaged<Generation>, sink: any ResumptionSink) {
        context = RequestContext(peerAddress: IPAddress(v4: 0), names: names, resumptionSink: sink)
        self.generation = generation
    }

    /// Makes the record ready for another request; keeps the head's memory.
    mutating func clear() {
        step = .idle
        head.clear()
        client = -1
        backend = -1
        route = nil
        instance = -1
        service = nil
        breaker = nil
        fallback = nil
        fallbackUsed = .none
        if !tried.isEmpty { tried = TriedInstances() }
        hashKey = nil
        session = -1
        owesCookie = false
        permit = nil
        triedAt = .never
        owesOutcome = false
        isOnTrial = false
        wasUnreachable = false
        holdsRetry = false
        keptBody.discard()
        keepsBody = false
        wantsFresh = false
        retriedFor = nil
        requestBytes = 0
        owesContinue = false
        uploadFailed = false
        requestTrailers.discard()
        if !collected.isEmpty { collected = [] }
        responseTrailers.discard()
        clientFraming = .none
        clientMayContinue = true
        backendMayContinue = false
        heldResponse = nil
        waitDeadline = .never
        requestDeadline = .never
        responseStage = -1
        isCounted = false
        headBytes = 0
        status = 0
        upstreamStatus = 0
        upstreamVersion = nil
        reason = .ok
        responseBytes = 0
        queuedAt = .never
        queueTime = .zero
        connectTime = .zero
        forwardedAt = .never
        upstreamTime = .zero
        firstByteAt = .never
        if !isPlain { clearProtocols() }
    }

    private mutating func clearProtocols() {
        isPlain = true
        clientStream = nil
        sharesBackend = false
        backendStream = nil
        streamInput.discard()
        streamHasEnded = false
        backendInput.discard()
        backendHasEnded = false
        upgrade = nil
        isGRPC = false
        hasGRPCStatus = false
        grpcStatus = nil
        resetCode = nil
        clientDeadline = .never
        upstreamDeadline = .never
    }
}

/// What answered in the place of the route's service.
enum FallbackUsed: UInt8 {
    case none, answer, service
}

/// A response head that waits for a middleware, with the body bytes that came with it kept in the backend's connection, or the
/// body of an answer of our own.
final class HeldResponse {
    var head: ResponseHead
    /// The body of an answer that the gateway made; nil while a backend's is passed on.
    var ownBody: [UInt8]?

    init(head: consuming ResponseHead, ownBody: [UInt8]?) {
        self.head = head
        self.ownBody = ownBody
    }
}
