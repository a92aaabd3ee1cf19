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

/// Answers that Sluice makes itself: refusals, redirects, fixed responses, health.
extension Worker {
    /// A head that cannot be read: the connection closes behind the answer.
    func refuseHead(_ slot: Int, _ fault: RequestFault, _ bytes: UnsafeRawBufferPointer) {
        report(.client(exchanges.pointer(slot).pointee.context.peerAddress), fault.reason, bytes)
        exchanges.pointer(slot).pointee.context.makeRequestID()
        endUnknown(slot)
        metrics.rejected(fault.refusal.reason)
        refuse(slot, fault.refusal.closing(), detail: fault.message)
    }

    /// Nobody knows where a request ends whose head cannot be read: as far as the connection is concerned, it has not been read.
    func endUnknown(_ slot: Int) {
        exchanges.pointer(slot).pointee.machine = ProxyExchange(method: .get, hasBody: true)
    }

    /// What the machine wants after a failure.
    func carryOut(_ recovery: ProxyExchange.Recovery, _ slot: Int) {
        switch recovery {
        case .nothing: break
        case .refuse(let failure):
            refuse(slot, failure.refusal.jittered(by: random.next()))
        case .abort(let failure): abandonExchange(slot, failure.refusal.reason)
        }
    }

    /// Answers a request that a backend has seen something of, if no answer has begun; breaks it off otherwise.
    func refuseAfterFailure(_ slot: Int, _ refusal: Refusal) {
        let exchange = exchanges.pointer(slot)
        if case .queued = exchange.pointee.step { leaveQueue(slot) }
        let hasBegun = if case .relaying = exchange.pointee.machine.state { true } else { false }
        if exchange.pointee.backend >= 0 {
            tell(slot, .clientGone)
            attemptEnded(slot, refusal.reason)
            dropBackend(slot)
        }
        if hasBegun { return abandonExchange(slot, refusal.reason) }
        refuse(slot, refusal)
    }

    /// A request for another protocol that the route grants and that is not made as it should be.
    func refuse(_ slot: Int, _ fault: UpgradeFault) {
        report(.client(exchanges.pointer(slot).pointee.context.peerAddress), fault.name)
        refuse(slot, fault.refusal, upgrade: fault)
    }

    func refuse(_ slot: Int, _ refusal: Refusal, detail: StaticString = "", upgrade: UpgradeFault? = nil) {
        let exchange = exchanges.pointer(slot)
        if !exchange.pointee.context.hasRequestID { exchange.pointee.context.makeRequestID() }
        if isCall(slot) { return refuseCall(slot, refusal) }
        let format = AcceptPreference(exchange.pointee.head.headers).format
        let body = refusalBody(refusal, detail, format, exchange.pointee.context)
        var allow: [UInt8] = []
        if refusal.status == 405 { allow = allowed(slot) }
        response.clear()
        refusal.fill(
            &response, format: format, bodyBytes: body.count, requestID: RawSpan(), allow: allow.span.bytes)
        if let upgrade { upgrade.addFields(to: &response, isHTTP2: exchange.pointee.clientStream != nil) }
        exchange.pointee.reason = refusal.reason
        if refusal.closes { exchange.pointee.clientMayContinue = false }
        runOwnResponse(slot, body)
    }

    /// Whether the client wants to hear of gRPC; also where the request was refused before its route was known.
    private func isCall(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        if exchange.pointee.isGRPC { return true }
        return exchange.pointee.head.method == .post && !isAdmin && GRPCContentType.isGRPC(exchange.pointee.head)
    }

    /// What a gRPC client gets in the place of a refusal.
    private func refuseCall(_ slot: Int, _ refusal: Refusal) {
        let exchange = exchanges.pointer(slot)
        response.clear()
        var status = GRPCStatus(refusal)
        // The backend has said more than that it failed (gRPC over HTTP2, "Errors").
        if refusal.status == 502, let code = exchange.pointee.resetCode { status = GRPCStatus(http2ErrorCode: code) }
        TrailersOnly.fill(&response, with: refusal, status: status, requestID: RawSpan())
        endCall(slot, status)
        exchange.pointee.reason = refusal.reason
        if refusal.closes { exchange.pointee.clientMayContinue = false }
        runOwnResponse(slot, [])
    }

    private func endCall(_ slot: Int, _ status: GRPCStatus) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.isGRPC = true
        exchange.pointee.isPlain = false
        exchange.pointee.hasGRPCStatus = true
        exchange.pointee.grpcStatus = status.rawValue
    }

    /// What a gRPC client gets in the place of an error that a stage of the chain answers with. The stage's fields stay.
    private func answerCall(_ slot: Int, _ answer: Answer, _ message: String) {
        answer.fill(&response)
        let status = GRPCStatus(httpStatus: answer.status)
        let text = Array(message.utf8)
        TrailersOnly.fill(&response, status: status, message: text.span.bytes)
        endCall(slot, status)
        runOwnResponse(slot, [])
    }

    private func refusalBody(
        _ refusal: Refusal, _ detail: StaticString, _ format: RefusalBody.Format, _ context: borrowing RequestContext
    ) -> [UInt8] {
        var text = ByteBuffer(capacity: 512)
        RefusalBody.write(refusal, detail: detail, requestID: context.requestID, format: format, into: &text)
        return text.bytes.array()
    }

    private func errorBody(
        _ answer: Answer, _ code: String, _ message: String, _ format: RefusalBody.Format, _ context: borrowing RequestContext
    ) -> [UInt8] {
        var text = ByteBuffer(capacity: 512)
        RefusalBody.write(
            status: answer.status, code: code, reason: answer.reason, message: message, requestID: context.requestID,
            format: format, into: &text)
        return text.bytes.array()
    }

    private func allowed(_ slot: Int) -> [UInt8] {
        let exchange = exchanges.pointer(slot)
        let snapshot = exchange.pointee.generation._withUnsafeGuaranteedRef { $0.snapshot }
        guard !exchange.pointee.head.path.isEmpty else { return Array("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH".utf8) }
        return snapshot.routeTable.allow(for: exchange.pointee.head)
    }

    func respond(_ slot: Int, _ answer: Answer, _ reason: Reason) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.reason = reason
        if case .error(_, let message) = answer.content, isCall(slot) { return answerCall(slot, answer, message) }
        var body: [UInt8] = []
        answer.fill(&response)
        switch answer.content {
        case .none: break
        case .bytes(let bytes, _): body = bytes
        case .error(let code, let message):
            let format = AcceptPreference(exchange.pointee.head.headers).format
            body = errorBody(answer, code, message, format, exchange.pointee.context)
            RefusalBody.addFields(to: &response, format: format)
        }
        if response.headers.firstIndex(of: .server) == nil { addServer() }
        response.framing = .length(UInt64(body.count))
        response.declaredLength = UInt64(body.count)
        runOwnResponse(slot, body)
    }

    private func addServer() {
        let name: StaticString = "sluice"
        response.headers.add(
            .server, value: RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount))
    }

    /// The response phase of the stages that have seen the request, then the answer.
    private func runOwnResponse(_ slot: Int, _ body: [UInt8]) {
        let exchange = exchanges.pointer(slot)
        continueOwnResponse(slot, from: exchange.pointee.responseStage, body)
    }

    func continueOwnResponse(_ slot: Int, from stage: Int, _ body: [UInt8]) {
        let exchange = exchanges.pointer(slot)
        if let route = exchange.pointee.route, stage >= 0 {
            switch runResponse(slot, route, from: stage) {
            case .proceed: break
            case .answer(let answer, let at):
                exchange.pointee.responseStage = at - 1
                return respond(slot, answer, Reason(named: answer.reason))
            case .suspended(let at):
                var held = ResponseHead()
                swap(&held, &response)
                exchange.pointee.heldResponse = HeldResponse(head: held, ownBody: body)
                exchange.pointee.suspendedStage = at
                exchange.pointee.step = .responseSuspended
                exchange.pointee.waitDeadline = now + route.pointee.responseTimeout
                excuseClient(slot)
                return armExchange(slot)
            }
        }
        sendOwnResponse(slot, body)
    }

    private func sendOwnResponse(_ slot: Int, _ body: [UInt8]) {
        let exchange = exchanges.pointer(slot)
        let snapshot = exchange.pointee.generation._withUnsafeGuaranteedRef { $0.snapshot }
        let delivery = ResponseDelivery.decide(
            version: exchange.pointee.head.version, method: exchange.pointee.head.method, status: response.status,
            upstream: response.framing, declaredLength: response.declaredLength,
            keepsAlive: keepsAlive(slot) && exchange.pointee.clientMayContinue)
        out.clear()
        let isGood =
            HeadSerialiser.startResponse(status: response.status, into: &out)
            && HeadSerialiser.fields(of: response.headers, into: &out)
            && snapshot.responses.appendFields(
                to: &out, head: response, context: exchange.pointee.context, delivery: delivery, isForwarded: false)
        if !isGood {
            // A middleware has put together what cannot be sent.
            out.clear()
            out.append("HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n")
            response.status = 500
            exchange.pointee.reason = .internalError
        }
        HeadSerialiser.endOfHead(into: &out)
        let hasBody = if case .length = delivery.body, isGood { !body.isEmpty } else { false }
        if hasBody, exchange.pointee.clientStream == nil { out.append(body) }
        if let transitions { transitions.answered(slot, status: response.status) }
        exchange.pointee.status = response.status
        exchange.pointee.firstByteAt = now
        exchange.pointee.responseBytes = UInt64(out.count)
        if exchange.pointee.clientStream != nil { sendToStream(slot, body, hasBody: hasBody) }
        let sent = writeToClient(slot, out.unsafeBytes)
        out.clear()
        if case .failed = sent { return abandonExchange(slot, .clientClosed) }
        finish(slot, exchange.pointee.machine.answered(clientMayContinue: isGood && !delivery.closes))
    }

    /// The head stands in `out`, from where a stream gets it and the body apart.
    private func sendToStream(_ slot: Int, _ body: [UInt8], hasBody: Bool) {
        writeHeadToStream(slot, endsStream: !hasBody)
        guard hasBody else { return }
        body.withUnsafeBytes { _ = writeToStream(slot, $0) }
        exchanges.pointer(slot).pointee.responseBytes += UInt64(body.count)
        endClientStream(slot)
    }

    /// Whether the client's connection may carry another request after this one.
    func keepsAlive(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        let client = clients.pointer(Int(exchange.pointee.client))
        guard exchange.pointee.head.wantsKeepAlive, exchange.pointee.machine.requestRead, case .serving = phase else {
            return false
        }
        guard let index = listeners[Int(client.pointee.listener)].index else { return false }
        let limits = listenerRules[index].limits
        return Int(client.pointee.requests) < limits.requestsPerConnection
            && (limits.connectionMaxAge == .forever || now.since(client.pointee.openedAt) < limits.connectionMaxAge)
    }

    /// `{status, version, timestamp}`; it does not depend on any backend.
    func healthAnswer(_ snapshot: GatewaySnapshot) -> Answer {
        statusAnswer(snapshot, status: 200, word: "healthy")
    }

    /// 503 once no new request should be sent here.
    func readyAnswer(_ snapshot: GatewaySnapshot) -> Answer {
        control.isReady
            ? statusAnswer(snapshot, status: 200, word: "ready") : statusAnswer(snapshot, status: 503, word: "draining")
    }

    private func statusAnswer(_ snapshot: GatewaySnapshot, status: UInt16, word: String) -> Answer {
        var text = ByteBuffer(capacity: 128)
        text.append("{\"status\":\"\(word)\",\"version\":\"\(snapshot.version)\",\"timestamp\":\"")
        Primitives.Timestamp(nanoseconds: Int64(clamping: wallClock)).appendRFC3339(.milliseconds, into: &text)
        text.append("\"}\n")
        return Answer(
            status: status, fields: [("Cache-Control", "no-store")], body: text.bytes.array(),
            contentType: "application/json; charset=utf-8")
    }
}
