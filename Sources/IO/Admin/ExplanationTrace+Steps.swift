import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Routing

/// The steps up to the action. Each says whether the request goes on.
extension ExplanationTrace {
    mutating func refuse(_ refusal: Refusal, _ step: String, detail: StaticString = "") -> Bool {
        answer = ExplainedAnswer(refusal, step: step, detail: "\(detail)")
        return false
    }

    // Each step: whether the request goes on.

    mutating func parse(_ listener: Int) -> Bool {
        let bytes = request.headBytes
        let outcome = RequestParser.parse(bytes.span.bytes, limits: snapshot.listeners[listener].parserLimits, into: &head)
        switch outcome {
        case .head: return true
        case .needMore: return refuse(.badRequest, "parse")
        case .refused(let fault): return refuse(fault.refusal, "parse", detail: fault.message)
        }
    }

    mutating func enter() -> Bool {
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

    mutating func resolve(_ listener: Int) -> Bool {
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
    mutating func checkPreflight() -> Bool {
        guard case .route(let index)? = snapshot.routeTable.matchAnnounced(by: &head),
            let (answer, stage) = ExplanationChain(snapshot, route: index).preflight(head),
            let announced = head.preflightMethodIndex
        else { return true }
        context.routeIndex = index
        announcedMethod = text(head.headers.value(announced))
        route = traceAnnounced(announced)
        chain = [stage]
        self.answer = ExplainedAnswer(answer, reason: .response, step: "preflight: \(stage.name)")
        return false
    }

    /// The look-up for the method that field `index` names; the head is as before when this returns.
    private mutating func traceAnnounced(_ index: Int) -> RouteTrace {
        let method = head.method
        let methodRange = head.methodRange
        let field = head.headers.fields[index]
        head.methodRange = Int(field.valueOffset)..<(Int(field.valueOffset) + Int(field.valueCount))
        head.method = Method(head.bytes(head.methodRange))
        let trace = snapshot.routeTable.trace(head, limit: .max)
        head.method = method
        head.methodRange = methodRange
        return trace
    }

    mutating func findRoute(_ listener: Int) -> Bool {
        let trace = snapshot.routeTable.trace(head, limit: .max)
        route = trace
        switch trace.match {
        case .route(let index):
            context.routeIndex = index
            if let fault = snapshot.routeTable.settleEncodedSlashes(
                of: &head, route: index, rule: snapshot.route(index).encodedSlash,
                policy: snapshot.listeners[listener].targetPolicy)
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

    mutating func checkBody() -> Bool {
        let route = snapshot.route(context.routeIndex)
        if route.bodyLimit != 0 { context.bodyLimit = route.bodyLimit }
        if head.framing.announcesBody, !route.allowsBody {
            return refuse(.unacceptable.closing(), "body", detail: "This route takes no request body.")
        }
        context.serviceIndex = route.service
        return true
    }

    mutating func checkLength() -> Bool {
        if case .length(let declared) = head.framing, declared > context.bodyLimit { return refuse(.bodyTooLarge, "body") }
        return true
    }

    mutating func runChain() -> Bool {
        let runner = ExplanationChain(snapshot, route: context.routeIndex)
        let (results, answer) = runner.run(&head, &context)
        chain = results
        guard let answer else { return true }
        let reason = Reason(named: answer.answer.reason)
        if case .bodyTooLarge = reason { return refuse(.bodyTooLarge, "chain: \(answer.stage)") }
        self.answer = ExplainedAnswer(answer.answer, reason: reason, step: "chain: \(answer.stage)")
        return false
    }
}

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
