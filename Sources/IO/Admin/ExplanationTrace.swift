import Configuration
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Routing

/// Takes a request the way that a worker takes it, with the same functions in the same order, up to the head that a backend would get.
///
/// What could have an effect is left out: custom stages are named and passed over, no instance is chosen and no turn taken.
struct ExplanationTrace: ~Copyable {
    let snapshot: GatewaySnapshot
    let request: ExplainRequest
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
        var instances: [(url: String, weight: Int)]
        var method: String
        var path: String
        /// Lines without their ends.
        var head: [String]
        /// `Host` is the instance's own name; the first instance's is shown.
        var namesInstance: Bool
    }

    init(_ request: ExplainRequest, _ snapshot: GatewaySnapshot, now: Timestamp, seed: UInt64) {
        self.request = request
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

    private mutating func refuse(_ refusal: Refusal, _ step: String, detail: StaticString = "") -> Bool {
        answer = ExplainedAnswer(refusal, step: step, detail: "\(detail)")
        return false
    }

    // Each step: whether the request goes on.

    private mutating func parse(_ listener: Int) -> Bool {
        let bytes = request.headBytes
        let outcome = RequestParser.parse(bytes.span.bytes, limits: snapshot.listeners[listener].parserLimits, into: &head)
        switch outcome {
        case .head: return true
        case .needMore: return refuse(.badRequest, "parse")
        case .refused(let fault): return refuse(fault.refusal, "parse", detail: fault.message)
        }
    }

    private mutating func enter() -> Bool {
        var fault: HeadFault?
        do {
            try snapshot.entrance.receive(&head, &context)
        } catch {
            fault = error
        }
        received = receivedSummary()
        guard let fault else { return true }
        return refuse(fault.refusal, "entrance", detail: fault.message)
    }

    private func receivedSummary() -> Received {
        let idName = snapshot.configuration.server.requestID.header.lowercased().utf8.map { $0 }
        var removed: [String] = []
        var takesID = false
        for i in 0..<head.headers.count where head.headers.fields[i].isRemoved {
            removed.append(text(head.headers.name(i)))
            if head.headers.nameEquals(i, idName.span.bytes), head.headers.value(i).equals(context.requestID) { takesID = true }
        }
        return Received(
            client: context.hasClientAddress ? context.clientAddress.text : "unix", isTrustedPeer: context.isTrustedPeer,
            takesRequestID: takesID, requestID: text(context.requestID), removedFields: removed)
    }

    private mutating func resolve(_ listener: Int) -> Bool {
        if let fault = CanonicalTarget.resolve(&head, policy: snapshot.listeners[listener].targetPolicy) {
            return refuse(fault.refusal, "target", detail: fault.message)
        }
        notePath()
        return true
    }

    private mutating func notePath() {
        path = Path(
            host: text(head.bytes(head.host)), received: text(head.bytes(head.targetRange)),
            canonical: text(head.bytes(head.path)), query: head.query.map { text(head.bytes($0)) })
    }

    /// A preflight is answered by the route of the request that it announces, where that route's chain answers preflights.
    private mutating func checkPreflight() -> Bool {
        guard case .route(let index)? = snapshot.routeTable.matchAnnounced(by: &head),
            let (answer, stage) = ExplanationChain(snapshot, route: index).preflight(head),
            let announced = head.preflightMethodIndex
        else { return true }
        context.routeIndex = index
        announcedMethod = text(head.headers.value(announced))
        route = traceAnnounced(announced)
        chain = [stage]
        self.answer = ExplainedAnswer(answer, reason: Reason(named: answer.reason), step: "preflight: \(stage.name)")
        return false
    }

    /// The look-up for the method that field `index` names; the head is as before when this returns.
    private mutating func traceAnnounced(_ index: Int) -> RouteTrace {
        let method = head.method
        let methodRange = head.methodRange
        let field = head.headers.fields[index]
        head.methodRange = Int(field.valueOffset)..<(Int(field.valueOffset) + Int(field.valueCount))
        head.method = Method(head.bytes(head.methodRange))
        let trace = snapshot.routeTable.trace(head)
        head.method = method
        head.methodRange = methodRange
        return trace
    }

    private mutating func findRoute(_ listener: Int) -> Bool {
        let trace = snapshot.routeTable.trace(head)
        route = trace
        switch trace.match {
        case .route(let index):
            context.routeIndex = index
            if let fault = snapshot.routeTable.settleEncodedSlashes(
                of: &head, route: index, rule: snapshot.route(index).encodedSlash, policy: snapshot.listeners[listener].targetPolicy)
            {
                return refuse(fault.refusal, "encoded_slash", detail: fault.message)
            }
            notePath()
            return true
        case .methodNotAllowed:
            _ = refuse(.methodNotAllowed, "route")
            answer?.allow = String(decoding: snapshot.routeTable.allow(for: head), as: UTF8.self)
            return false
        case .methodUnknown: return refuse(.unknownMethod, "route")
        case .noRoute:
            if case .options = head.method, head.bytes(head.path).equals("*") {
                answer = ExplainedAnswer(Answer(status: 204), reason: .response, step: "route")
                return false
            }
            return refuse(.noRoute, "route")
        }
    }

    private mutating func checkBody() -> Bool {
        let route = snapshot.route(context.routeIndex)
        if route.bodyLimit != 0 { context.bodyLimit = route.bodyLimit }
        if head.framing.announcesBody, !route.allowsBody {
            return refuse(.unacceptable.closing(), "body", detail: "This route takes no request body.")
        }
        context.serviceIndex = route.service
        return true
    }

    private mutating func checkLength() -> Bool {
        if case .length(let declared) = head.framing, declared > context.bodyLimit { return refuse(.bodyTooLarge, "body") }
        return true
    }

    private mutating func runChain() -> Bool {
        let runner = ExplanationChain(snapshot, route: context.routeIndex)
        let (results, answer) = runner.run(&head, &context)
        chain = results
        guard let answer else { return true }
        let reason = Reason(named: answer.answer.reason)
        if case .bodyTooLarge = reason { return refuse(.bodyTooLarge, "chain: \(answer.stage)") }
        self.answer = ExplainedAnswer(answer.answer, reason: reason, step: "chain: \(answer.stage)")
        return false
    }

    // The action.

    private mutating func act() {
        let route = snapshot.route(context.routeIndex)
        switch route.action {
        case .forward(let service): forward(route, service)
        case .redirect(let redirect):
            action = ActionResult(kind: "redirect")
            do {
                let location = try redirect.appendLocation(to: &head, scheme: context.clientScheme)
                let target = text(head.bytes(location))
                action?.details = [("status", .number(Int(redirect.status))), ("location", .string(target))]
                answer = ExplainedAnswer(Answer(status: redirect.status), reason: .redirect, step: "action")
            } catch {
                _ = refuse(error.refusal, "action", detail: error.message)
            }
        case .respond(let fixed): answered("respond", Answer(status: fixed.status), .response)
        case .health: answered("health", Answer(status: 200), .response)
        case .ready:
            // 503 while the process drains, which is not the configuration's to say.
            answered("ready", Answer(status: 200), .response)
        case .metrics(let allow):
            let client = context.clientAddress
            guard context.peerIsUnixSocket || allow.contains(where: { $0.contains(client) }) else {
                action = ActionResult(kind: "metrics")
                return _ = refuse(.ipDenied, "action")
            }
            answered("metrics", Answer(status: 200), .response)
        case .maintenance(let fixed): answered("maintenance", fixed, .maintenance)
        case .administer: action = ActionResult(kind: "administer")
        }
    }

    private mutating func answered(_ kind: String, _ answer: Answer, _ reason: Reason) {
        action = ActionResult(kind: kind, details: [("status", .number(Int(answer.status)))])
        self.answer = ExplainedAnswer(answer, reason: reason, step: "action")
    }

    private mutating func forward(_ route: RouteRuntime, _ service: Int) {
        action = ActionResult(kind: "service", details: [("service", .string(snapshot.services[service].name))])
        var upstreamPath = head.path
        if let rewriter = route.rewriter {
            do {
                let rewritten = try rewriter.rewrite(&head)
                upstreamPath = rewritten.path
                context.hasStrippedPrefix = rewritten.strippedBytes > 0
            } catch {
                return _ = refuse(error.refusal, "rewrite", detail: error.message)
            }
        }
        switch route.forwarding.prepare(&head, &context) {
        case .forward: break
        case .answerHere:
            answer = ExplainedAnswer(Answer(status: 204), reason: .response, step: "forwarding")
            answer?.allow = String(decoding: snapshot.routeTable.allow(for: head), as: UTF8.self)
            return
        case .refuse(let fault): return _ = refuse(fault.refusal, "forwarding", detail: fault.message)
        }
        let runtime = snapshot.services[service]
        let configured = snapshot.configuration.services[service].instances
        let instances = configured.indices.filter { runtime.takesTraffic[$0] }
        guard let first = instances.first else { return _ = refuse(.noHealthyInstance, "instances") }
        guard let lines = upstreamHead(route.forwarding, upstreamPath, authority: runtime.authorities[first]) else {
            return _ = refuse(.internalError, "upstream")
        }
        let names = Set(instances.map { runtime.authorities[$0] })
        upstream = Upstream(
            service: runtime.name, instances: instances.map { (configured[$0].address.url, configured[$0].weight) },
            method: text(head.bytes(head.methodRange)), path: text(head.bytes(upstreamPath)), head: lines,
            namesInstance: route.forwarding.namesInstance(head) && names.count > 1)
        if instances.allSatisfy({ runtime.instances[$0].currentAddresses().isEmpty }) { _ = refuse(.dnsFailed, "instances") }
    }

    /// The lines that a worker would write; nil where it would refuse to.
    private func upstreamHead(_ forwarding: Forwarding, _ path: Range<Int>, authority: [UInt8]) -> [String]? {
        var out = ByteBuffer(capacity: 1024)
        var isGood: Bool
        if let query = head.query {
            isGood = HeadSerialiser.startRequest(
                method: head.bytes(head.methodRange), path: head.bytes(path), query: head.bytes(query), into: &out)
        } else {
            isGood = HeadSerialiser.startRequest(
                method: head.bytes(head.methodRange), path: head.bytes(path), query: nil, into: &out)
        }
        isGood = isGood && HeadSerialiser.fields(of: head.headers, into: &out)
        let given = forwarding.namesInstance(head) ? authority : []
        isGood = isGood && forwarding.appendFields(to: &out, head: head, context: context, authority: given.span.bytes)
        guard isGood else { return nil }
        return request.masked(head: text(out.bytes).components(by: "\r\n"))
    }
}

/// The bytes as text; what is not UTF-8 is replaced.
func text(_ bytes: RawSpan) -> String { String(decoding: bytes.array(), as: UTF8.self) }

extension BodyFraming {
    /// Whether any byte of a body is to follow.
    fileprivate var announcesBody: Bool {
        switch self {
        case .none: false
        case .length(let length): length > 0
        case .chunked, .untilClose: true
        }
    }
}
