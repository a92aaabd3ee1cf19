import Downstream
import Exchange
import GRPC
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Routing
import Telemetry
import WebSocket

/// From a parsed head to a decision: who sent it, where it goes, and whether the chain lets it.
extension Worker {
    /// The stage behind all stages: the route's action.
    private static var actionStage: Int { .max }

    /// What is to be done with a request.
    private enum Verdict {
        case forward
        case refuseUpgrade(UpgradeFault)
        /// The detail says what exactly was wrong.
        case refuse(Refusal, StaticString)
        case answer(Answer, responseFrom: Int, reason: Reason)
        case suspended
        /// The answer comes from another thread.
        case awaitsMetrics(openMetrics: Bool)
        /// The admin API answers, once the body is here.
        case administer
    }

    /// - Parameter rest: what was received behind the head; empty when that is in the connection's `input`.
    func startExchange(_ slot: Int, rest: UnsafeRawBufferPointer) {
        let verdict = decide(slot)
        if case .forward = verdict { return forward(slot, rest) }
        stash(rest, of: slot)
        carryOut(verdict, slot)
    }

    private func carryOut(_ verdict: Verdict, _ slot: Int) {
        switch verdict {
        case .forward: forward(slot, .empty)
        case .refuse(let refusal, let detail): refuse(slot, refusal, detail: detail)
        case .refuseUpgrade(let fault): refuse(slot, fault)
        case .answer(let answer, let stage, let reason):
            exchanges.pointer(slot).pointee.responseStage = stage
            respond(slot, answer, reason)
        case .suspended: break
        case .administer:
            if exchanges.pointer(slot).pointee.machine.requestRead { collected(slot) } else { startCollecting(slot) }
        case .awaitsMetrics(let openMetrics):
            let exchange = exchanges.pointer(slot).pointee.context.exchangeToken
            control.renderMetrics(
                for: sink, SuspensionPoint(exchange: exchange, phase: .request, stage: Self.actionStage), openMetrics: openMetrics
            )
        }
    }

    private func forward(_ slot: Int, _ rest: UnsafeRawBufferPointer) {
        if let refusal = barred(slot) {
            stash(rest, of: slot)
            return refuseUnsent(slot, refusal)
        }
        switch acquire(slot) {
        case .connected: sendAtOnce(slot, rest)
        case .waiting: stash(rest, of: slot)
        case .failed(let failure):
            stash(rest, of: slot)
            noneFound(slot, failure)
        }
    }

    private func decide(_ slot: Int) -> Verdict {
        exchanges.pointer(slot).pointee.generation._withUnsafeGuaranteedRef { decide(slot, $0.snapshot) }
    }

    private func decide(_ slot: Int, _ snapshot: GatewaySnapshot) -> Verdict {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.machine = ProxyExchange(
            method: exchange.pointee.head.method, hasBody: exchange.pointee.head.framing.hasBody,
            isLast: !exchange.pointee.head.wantsKeepAlive)
        exchange.pointee.requestBody = bodyReader(slot)
        do {
            try snapshot.entrance.receive(&exchange.pointee.head, &exchange.pointee.context)
        } catch {
            return reject(slot, error.refusal, error.reason, error.message)
        }
        let target = snapshot.listenerRules[Int(exchange.pointee.listener)].target
        if let fault = CanonicalTarget.resolve(&exchange.pointee.head, policy: target) {
            return reject(slot, fault.refusal, fault.reason, fault.message)
        }
        if snapshot.listenerRules[Int(exchange.pointee.listener)].asksForCertificates, !mayServe(slot) {
            return .refuse(.misdirected, "")
        }
        if case .options = exchange.pointee.head.method, let answer = preflight(slot, snapshot) {
            return .answer(answer, responseFrom: -1, reason: .response)
        }
        switch snapshot.routeTable.match(exchange.pointee.head) {
        case .route(let index):
            exchange.pointee.route = snapshot.routes + index
            exchange.pointee.context.routeIndex = index
            if !isAdmin {
                metrics.requestStarted(snapshot.routeLabels[index])
                exchange.pointee.isCounted = true
            }
            if let fault = snapshot.routeTable.settleEncodedSlashes(
                of: &exchange.pointee.head, route: index, rule: snapshot.routes[index].encodedSlash, policy: target)
            {
                return .refuse(fault.refusal, fault.message)
            }
        case .methodNotAllowed: return .refuse(.methodNotAllowed, "")
        case .methodUnknown: return .refuse(.unknownMethod, "")
        case .noRoute: return unrouted(slot)
        }
        return enterRoute(slot, snapshot)
    }

    /// The host's rules for clients' certificates are those that its connection was made under (RFC 9110 §15.5.20).
    private func mayServe(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let session = clients.pointer(Int(exchange.pointee.client)).pointee.tls else { return true }
        return session.mayServe(host: exchange.pointee.head.bytes(exchange.pointee.head.host))
    }

    /// The answer to a browser that asks whether it may send a request, from the route that would take that one.
    private func preflight(_ slot: Int, _ snapshot: GatewaySnapshot) -> Answer? {
        let exchange = exchanges.pointer(slot)
        guard case .route(let index) = snapshot.routeTable.matchAnnounced(by: &exchange.pointee.head),
            let answer = snapshot.routes[index].chainReference._withUnsafeGuaranteedRef({ $0.preflight(exchange.pointee.head) })
        else { return nil }
        exchange.pointee.route = snapshot.routes + index
        exchange.pointee.context.routeIndex = index
        if !isAdmin {
            metrics.requestStarted(snapshot.routeLabels[index])
            exchange.pointee.isCounted = true
        }
        return answer
    }

    /// A head that could be read and is not accepted.
    private func reject(_ slot: Int, _ refusal: Refusal, _ rule: StaticString, _ message: StaticString) -> Verdict {
        let exchange = exchanges.pointer(slot)
        metrics.rejected(refusal.reason)
        report(.client(exchange.pointee.context.peerAddress), rule, exchange.pointee.head.headers.storage.unsafeBytes)
        return .refuse(refusal, message)
    }

    /// `OPTIONS *` asks about the server itself (RFC 9110 §9.3.7).
    private func unrouted(_ slot: Int) -> Verdict {
        let exchange = exchanges.pointer(slot)
        let head = exchange.pointee.head.bytes(exchange.pointee.head.path)
        if case .options = exchange.pointee.head.method, head.equals("*") {
            return .answer(Answer(status: 204), responseFrom: -1, reason: .response)
        }
        return .refuse(.noRoute, "")
    }

    private func enterRoute(_ slot: Int, _ snapshot: GatewaySnapshot) -> Verdict {
        let exchange = exchanges.pointer(slot)
        guard let route = exchange.pointee.route else { return .refuse(.internalError, "") }
        if route.pointee.requestTimeout != .forever {
            exchange.pointee.requestDeadline = exchange.pointee.started + route.pointee.requestTimeout
        }
        if exchange.pointee.context.isTrustedPeer,
            let announced = AnnouncedTimeout.read(exchange.pointee.head, exchange.pointee.context),
            exchange.pointee.started + announced < exchange.pointee.requestDeadline
        {
            exchange.pointee.requestDeadline = exchange.pointee.started + announced
        }
        if exchange.pointee.head.method == .post, route.pointee.forwards, GRPCContentType.isGRPC(exchange.pointee.head) {
            guard beginCall(slot) else { return .refuse(.unacceptable, "grpc-timeout cannot be read.") }
            // It had run out of time before it came: nobody is to work for it.
            guard exchange.pointee.requestDeadline > exchange.pointee.started else { return .refuse(.upstreamTimeout, "") }
        }
        if exchange.pointee.requestDeadline != .never { armExchange(slot) }
        if route.pointee.forwards, shedder.sheds(route.pointee.priority, under: control.pressure, at: now) {
            metrics.shed(route.pointee.priority)
            return .refuse(.shed, "")
        }
        if route.pointee.bodyLimit != 0 { exchange.pointee.context.bodyLimit = route.pointee.bodyLimit }
        if exchange.pointee.head.framing.hasBody {
            if !route.pointee.allowsBody { return .refuse(.unacceptable.closing(), "This route takes no request body.") }
            exchange.pointee.owesContinue = exchange.pointee.head.expectsContinue
        }
        exchange.pointee.context.serviceIndex = route.pointee.service
        if route.pointee.stages > 0 {
            switch runRequest(slot, route, from: 0) {
            case .proceed: break
            case .answer(let answer, let stage): return answered(slot, answer, stage)
            case .suspended(let stage): return suspend(slot, stage)
            }
        }
        return act(slot, snapshot)
    }

    private func runRequest(_ slot: Int, _ route: UnsafePointer<RouteRuntime>, from stage: Int) -> ChainOutcome {
        let exchange = exchanges.pointer(slot)
        return route.pointee.chainReference._withUnsafeGuaranteedRef {
            $0.runRequest(from: stage, head: &exchange.pointee.head, context: &exchange.pointee.context)
        }
    }

    private func answered(_ slot: Int, _ answer: Answer, _ stage: Int) -> Verdict {
        let reason = Reason(named: answer.reason)
        if isAdmin { reportRefusedAdministrator(slot, answer) }
        if case .bodyTooLarge = reason {
            // The same answer whichever limit it was.
            exchanges.pointer(slot).pointee.responseStage = stage - 1
            return .refuse(.bodyTooLarge, "")
        }
        return .answer(answer, responseFrom: stage - 1, reason: reason)
    }

    /// Somebody who may not ask the admin listener has asked.
    private func reportRefusedAdministrator(_ slot: Int, _ answer: Answer) {
        let rule: StaticString =
            switch answer.reason {
            case "auth_missing": "admin_token_missing"
            case "auth_invalid": "admin_token_wrong"
            case "origin_refused": "admin_origin"
            case "host_refused": "admin_host"
            default: "admin_refused"
            }
        let exchange = exchanges.pointer(slot)
        let path = exchange.pointee.head.bytes(exchange.pointee.head.path).array()
        path.withUnsafeBytes { report(.client(exchange.pointee.context.peerAddress), rule, $0) }
    }

    private func suspend(_ slot: Int, _ stage: Int) -> Verdict {
        let exchange = exchanges.pointer(slot)
        guard let route = exchange.pointee.route else { return .refuse(.internalError, "") }
        exchange.pointee.step = .requestSuspended
        exchange.pointee.suspendedStage = stage
        // A middleware that never resumes must not hold the request for ever.
        exchange.pointee.waitDeadline = now + route.pointee.responseTimeout
        armExchange(slot)
        return .suspended
    }

    /// The chain has let the request through.
    private func act(_ slot: Int, _ snapshot: GatewaySnapshot) -> Verdict {
        let exchange = exchanges.pointer(slot)
        guard let route = exchange.pointee.route else { return .refuse(.internalError, "") }
        let last = route.pointee.stages - 1
        exchange.pointee.responseStage = last
        if case .length(let declared) = exchange.pointee.head.framing, declared > exchange.pointee.context.bodyLimit {
            return .refuse(.bodyTooLarge, "")
        }
        if route.pointee.forwards { return prepareForwarding(slot, snapshot) }
        if exchange.pointee.head.wantsUpgrade, exchange.pointee.clientStream != nil { return .refuseUpgrade(.notListed) }
        switch route.pointee.action {
        case .forward: return prepareForwarding(slot, snapshot)
        case .redirect(let redirect): return self.redirect(slot, redirect)
        case .respond(let answer): return .answer(answer, responseFrom: last, reason: .response)
        case .health: return .answer(healthAnswer(snapshot), responseFrom: last, reason: .response)
        case .ready: return .answer(readyAnswer(snapshot), responseFrom: last, reason: .response)
        case .metrics(let allow): return awaitMetrics(slot, allow)
        case .administer:
            // Before the body is asked for.
            if exchange.pointee.head.framing.hasBody, !AdminRequest.isDeliberate(exchange.pointee.head) {
                return .answer(AdminRequest.notDeliberate, responseFrom: last, reason: .response)
            }
            return .administer
        case .maintenance(let answer): return .answer(answer, responseFrom: last, reason: .maintenance)
        }
    }

    private func prepareForwarding(_ slot: Int, _ snapshot: GatewaySnapshot) -> Verdict {
        let exchange = exchanges.pointer(slot)
        guard let route = exchange.pointee.route else { return .refuse(.internalError, "") }
        exchange.pointee.upstreamPath = exchange.pointee.head.path
        if route.pointee.rewrites, let rewriter = route.pointee.rewriter {
            do {
                let rewritten = try rewriter.rewrite(&exchange.pointee.head)
                exchange.pointee.upstreamPath = rewritten.path
                exchange.pointee.context.hasStrippedPrefix = rewritten.strippedBytes > 0
            } catch {
                return .refuse(error.refusal, error.message)
            }
        }
        let decision = route.pointee.forwardingReference._withUnsafeGuaranteedRef {
            $0.prepare(&exchange.pointee.head, &exchange.pointee.context)
        }
        switch decision {
        case .forward: break
        case .answerHere:
            let allow = String(decoding: snapshot.routeTable.allow(for: exchange.pointee.head), as: UTF8.self)
            return .answer(
                Answer(status: 204, fields: [("Allow", allow)]), responseFrom: route.pointee.stages - 1, reason: .response)
        case .refuse(let fault): return .refuse(fault.refusal, fault.message)
        }
        if exchange.pointee.head.wantsUpgrade, route.pointee.tunnelsReference != nil || exchange.pointee.clientStream != nil {
            if let fault = judgeUpgrade(slot, route) { return .refuseUpgrade(fault) }
            guard admitsOrigin(slot, route) else { return .refuse(.originDenied, "") }
        }
        exchange.pointee.breaker = route.pointee.breakerReference
        exchange.pointee.fallback = route.pointee.fallbackReference
        if let service = route.pointee.serviceReference { aim(slot, at: service) }
        return .forward
    }

    private func redirect(_ slot: Int, _ redirect: Redirect) -> Verdict {
        let exchange = exchanges.pointer(slot)
        do {
            let location = try redirect.appendLocation(
                to: &exchange.pointee.head, scheme: exchange.pointee.context.clientScheme)
            let text = String(decoding: exchange.pointee.head.bytes(location).array(), as: UTF8.self)
            return .answer(
                Answer(status: redirect.status, fields: [("Location", text)]), responseFrom: exchange.pointee.responseStage,
                reason: .redirect)
        } catch {
            return .refuse(error.refusal, error.message)
        }
    }

    private func awaitMetrics(_ slot: Int, _ allow: [AddressBlock]) -> Verdict {
        let exchange = exchanges.pointer(slot)
        let client = exchange.pointee.context.clientAddress
        guard exchange.pointee.context.peerIsUnixSocket || allow.contains(where: { $0.contains(client) }) else {
            return .refuse(.ipDenied, "")
        }
        exchange.pointee.step = .requestSuspended
        exchange.pointee.suspendedStage = Self.actionStage
        exchange.pointee.waitDeadline = now + .seconds(10)
        armExchange(slot)
        let accept = exchange.pointee.head.headers.firstIndex(of: .accept)
        let openMetrics = accept.map { PrometheusText.wantsOpenMetrics(accept: exchange.pointee.head.headers.value($0)) } ?? false
        return .awaitsMetrics(openMetrics: openMetrics)
    }

    /// The request's body is here; the control thread is to answer.
    func collected(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.step = .requestSuspended
        exchange.pointee.suspendedStage = Self.actionStage
        exchange.pointee.waitDeadline = now + .seconds(60)
        armExchange(slot)
        let request = AdminRequest(
            exchange.pointee.head, requestID: exchange.pointee.context.requestID, body: exchange.pointee.collected)
        exchange.pointee.collected = []
        control.administer(
            request, for: sink,
            SuspensionPoint(exchange: exchange.pointee.context.exchangeToken, phase: .request, stage: Self.actionStage))
    }

    /// A middleware, or the control thread, has made up its mind.
    func resumeRequest(_ slot: Int, _ point: SuspensionPoint, _ verdict: ResumeVerdict) {
        let exchange = exchanges.pointer(slot)
        guard case .requestSuspended = exchange.pointee.step, exchange.pointee.suspendedStage == point.stage,
            let route = exchange.pointee.route
        else { return }
        exchange.pointee.step = .idle
        exchange.pointee.waitDeadline = .never
        let snapshot = exchange.pointee.generation._withUnsafeGuaranteedRef { $0.snapshot }
        switch verdict {
        case .answer(let answer) where point.stage == Self.actionStage:
            carryOut(.answer(answer, responseFrom: route.pointee.stages - 1, reason: .response), slot)
        case .answer(let answer):
            carryOut(.answer(answer, responseFrom: point.stage - 1, reason: Reason(named: answer.reason)), slot)
        case .proceed where point.stage == Self.actionStage, .proceedSetting where point.stage == Self.actionStage:
            // There is nothing behind the action.
            refuse(slot, .internalError)
        case .proceed, .proceedSetting:
            if case .proceedSetting(let fields) = verdict {
                let before = exchange.pointee.head.headers.count
                for field in fields { exchange.pointee.head.headers.set(field.name, field.value) }
                exchange.pointee.head.headers.removeGatewayOwned(from: min(before, exchange.pointee.head.headers.count))
            }
            switch runRequest(slot, route, from: point.stage + 1) {
            case .proceed: carryOut(act(slot, snapshot), slot)
            case .answer(let answer, let stage): carryOut(answered(slot, answer, stage), slot)
            case .suspended(let stage): carryOut(suspend(slot, stage), slot)
            }
        }
    }
}

extension BodyFraming {
    /// Whether any byte of a body follows.
    var hasBody: Bool {
        switch self {
        case .none: false
        case .length(let length): length > 0
        case .chunked, .untilClose: true
        }
    }
}
