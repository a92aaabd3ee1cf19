import Configuration
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Resilience
import Routing

/// What the route does with a request that its chain has let through.
extension ExplanationTrace {
    mutating func act() {
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
        let eligible = instances.filter {
            runtime.instances[$0].load.takesRequests && !runtime.instances[$0].currentAddresses().isEmpty
        }
        let breaker = breaker(of: runtime)
        upstream = Upstream(
            service: runtime.name, breaker: Self.word(breaker, instant),
            instances: instances.map { (configured[$0].url, configured[$0].weight) }, eligible: eligible.count,
            method: text(head.bytes(head.methodRange)), path: text(head.bytes(upstreamPath)), head: lines,
            namesInstance: route.forwarding.namesInstance(head) && names.count > 1)
        if let breaker, let until = breaker.openUntil, until > instant {
            fail(.circuitOpen(retryAfterSeconds: 1), "breaker", service)
        } else if instances.allSatisfy({ runtime.instances[$0].currentAddresses().isEmpty }) {
            fail(.dnsFailed, "instances", service)
        } else if eligible.isEmpty {
            fail(.noHealthyInstance, "instances", service)
        }
    }

    /// The route's own, or that of its service.
    private func breaker(of service: ServiceRuntime) -> CircuitBreaker? {
        if let own = snapshot.route(context.routeIndex).breaker, own.route != nil { return own.shared.snapshot }
        return snapshot.configuration.services[service.index].breaker == nil ? nil : service.state.breaker.shared.snapshot
    }

    private static func word(_ breaker: CircuitBreaker?, _ instant: Instant) -> String {
        guard let breaker else { return "off" }
        guard let until = breaker.openUntil else { return "\(breaker.phase.name)" }
        let moment = ReportMoment(now: instant, time: Timestamp(nanoseconds: 0))
        return "\(breaker.phase.name), \(moment.seconds(until: until)) s left"
    }

    /// The service cannot answer: its fallback does, if it has one.
    private mutating func fail(_ refusal: Refusal, _ step: String, _ service: Int) {
        let configuration = snapshot.configuration
        switch configuration.routes[context.routeIndex].fallback ?? configuration.services[service].fallback {
        case nil: _ = refuse(refusal, step)
        case .response(let fixed):
            answer = ExplainedAnswer(Answer(status: UInt16(fixed.status)), reason: .fallbackServed, step: "fallback")
        case .service(let other): action?.details.append(("fallback", .string(configuration.services[other].name)))
        }
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
