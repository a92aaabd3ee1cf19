import Configuration
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Routing

/// Takes a request the way that a worker takes it, with the same functions in the same order, up to the head that a backend
/// would get.
///
/// What could have an effect is left out: custom stages are named and passed over, no instance is chosen and no turn taken.
struct ExplanationTrace: ~Copyable {
    let snapshot: GatewaySnapshot
    let request: ExplainRequest
    let instant: Instant
    var head = RequestHead()
    var context: RequestContext

    // What was found, in the order of the steps; nil for a step that was not reached.
    var listener: Int?
    var received: Received?
    var path: Path?
    var route: RouteTrace?
    /// The method that a preflight announces, where the route was found by it.
    var announcedMethod: String?
    var chain: [StageResult] = []
    var action: ActionResult?
    var upstream: Upstream?
    /// What the client gets from the gateway itself; nil where a backend answers.
    var answer: ExplainedAnswer?

    struct Received {
        var client: String
        var isTrustedPeer: Bool
        /// The client's request id was taken over.
        var takesRequestID: Bool
        var requestID: String
        /// Names, as received.
        var removedFields: [String]
    }

    struct Path {
        var host: String
        var received: String
        var canonical: String
        var query: String?
    }

    struct StageResult {
        var name: String
        var kind: String
        var result: String
    }

    /// The route's action with what is known of it beforehand.
    struct ActionResult {
        var kind: String
        var details: [(String, JSONValue)] = []
    }

    struct Upstream {
        var service: String
        /// The state of the circuit breaker that the request would meet; `off` where there is none.
        var breaker: String
        /// Those that the file sends requests to.
        var instances: [(url: String, weight: Int)]
        /// How many of them take requests now.
        var eligible: Int
        var method: String
        var path: String
        /// Lines without their ends.
        var head: [String]
        /// `Host` is the instance's own name; the first instance's is shown.
        var namesInstance: Bool
    }

    init(_ request: ExplainRequest, _ snapshot: GatewaySnapshot, now: Timestamp, instant: Instant, seed: UInt64) {
        self.request = request
        self.instant = instant
        self.snapshot = snapshot
        listener = request.listenerIndex(in: snapshot)
        let index = listener ?? 0
        var isUnix = false
        if snapshot.listeners.indices.contains(index), case .unix = snapshot.listeners[index].address {
            isUnix = request.client == nil
        }
        context = RequestContext(
            peerAddress: request.client ?? IPAddress(v4: 0x7f00_0001), peerIsUnixSocket: isUnix, listenerIndex: index,
            names: snapshot.names)
        let limit = snapshot.listeners.indices.contains(index) ? snapshot.listeners[index].limits.requestBodyBytes : .max
        context.begin(
            at: Instant(nanoseconds: 0), unixNanoseconds: UInt64(clamping: now.nanoseconds), seed: seed,
            bodyLimit: UInt64(clamping: limit), exchangeToken: 0)
    }

    /// Goes as far as the request comes.
    mutating func run() {
        guard let listener else {
            let names = snapshot.listeners.map(\.name).joined(separator: ", ")
            return answer = ExplainedAnswer(
                status: 422, code: "\(ErrorCode.invalidRequest.name)", reason: "\(Reason.badRequest.name)",
                message: "There is no listener \"\(request.listener ?? "")\"; there are: \(names).", step: "listener")
        }
        guard parse(listener), enter(), resolve(listener), checkPreflight(), findRoute(listener), checkBody(), runChain(),
            checkLength()
        else { return }
        act()
    }
}

/// The bytes as text; what is not UTF-8 is replaced.
func text(_ bytes: RawSpan) -> String { String(decoding: bytes.array(), as: UTF8.self) }
