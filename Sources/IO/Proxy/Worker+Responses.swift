import Downstream
import Exchange
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Resilience
import Upstream

/// Bytes from backends: the response's head, changed by the chain, and its body as fast as the client takes it.
extension Worker {
    /// Interim responses to one request, and the bytes of head for it in all, before the backend is taken for broken.
    static var interimMax: Int32 { 16 }

    @inline(__always)
    func backendEvent(_ token: Token, _ flags: UInt32) {
        guard backends.isLive(token) else { return }
        let index = token.index
        let backend = backends.pointer(index)
        let isOver = flags & (PollEvents.error | PollEvents.hangup | PollEvents.readHangup) != 0
        switch backend.pointee.phase {
        case .connecting:
            // What came with the connection: no further edge will tell of it.
            if isOver { backend.pointee.isHalfClosed = true }
            if flags & PollEvents.in != 0 || isOver { backend.pointee.isReadable = true }
            if flags & PollEvents.out != 0 || isOver { connectEnded(index) }
        case .handshaking:
            if isOver { backend.pointee.isHalfClosed = true }
            if flags & PollEvents.in != 0 || isOver { backend.pointee.isReadable = true }
            if flags & PollEvents.out != 0, !backend.pointee.outgoing.isEmpty {
                _ = backend.pointee.outgoing.flush(backend.pointee.descriptor, calls)
            }
            if backend.pointee.isReadable { continueBackendHandshake(index) }
        case .shared:
            if isOver { backend.pointee.isHalfClosed = true }
            if flags & PollEvents.in != 0 || isOver { backend.pointee.isReadable = true }
            if flags & PollEvents.out != 0, !backend.pointee.outgoing.isEmpty {
                if case .failed = backend.pointee.outgoing.flush(backend.pointee.descriptor, calls) {
                    sharedBackendRejects(index)
                } else {
                    markDirty(backend: index)
                }
            }
            if backend.pointee.isReadable { readShared(index) }
        case .idle:
            // Nothing was asked, so nothing may come: neither bytes nor an end (RFC 9112 §9.2).
            if isOver || flags & PollEvents.in != 0 {
                // An orderly end is the backend's own keep-alive time; a reset is not.
                if flags & PollEvents.error != 0 { idleReset(index) }
                closeBackend(index)
            }
        case .lent:
            if isOver { backend.pointee.isHalfClosed = true }
            if flags & PollEvents.in != 0 || isOver { backend.pointee.isReadable = true }
            if flags & PollEvents.out != 0, !backend.pointee.outgoing.isEmpty {
                backendWritable(index)
                guard backends.isLive(token) else { return }
            }
            if backend.pointee.isReadable { backendReadable(index) }
            if flags & PollEvents.error != 0, backends.isLive(token) { tunnelBroken(Int(backend.pointee.exchange)) }
        }
    }

    private func idleReset(_ index: Int) {
        guard let pool = pools[Int(backends.pointer(index).pointee.pool)] else { return }
        pool.pointee.state.change(at: now) { $0.suspected() }
        control.suspected(pool.pointee.state)
    }

    private func connectEnded(_ index: Int) {
        let backend = backends.pointer(index)
        let error = calls.socketError(backend.pointee.descriptor)
        guard error == 0 else { return connectBroken(index, connectFailure(Int(error))) }
        guard let pool = pools[Int(backend.pointee.pool)] else { return connectBroken(index, .connectFailed) }
        if let client = pool.pointee.dialect.tls { return startBackendHandshake(index, pool, client) }
        connectionStands(index, pool)
    }

    /// The connection can be used: it is there and, where that is wanted, encrypted.
    func connectionStands(_ index: Int, _ pool: PoolPointer) {
        let backend = backends.pointer(index)
        let exchange = exchanges.pointer(Int(backend.pointee.exchange))
        backend.pointee.deadline.clear()
        exchange.pointee.connectTime = now.since(backend.pointee.connectStarted)
        metrics.upstreamConnectionMoved(pool.pointee.label, from: .connecting, to: .active)
        metrics.upstreamConnected(pool.pointee.label, after: exchange.pointee.connectTime)
        let slot = Int(backend.pointee.exchange)
        if pool.pointee.dialect.speaksHTTP2(backend.pointee.tls) { return beginShared(index, pool) }
        backend.pointee.phase = .lent
        if pool.pointee.speaksHTTP2, exchange.pointee.sharesBackend {
            // It did until now.
            pool.pointee.speaksHTTP2 = false
            pool.pointee.shared.removeAll { $0 == Int32(index) }
        }
        exchange.pointee.sharesBackend = false
        sendWaitersAway(index)
        sendOnConnection(slot)
    }

    /// The exchange has got a connection, or a stream of one, without waiting for it.
    /// - Parameter rest: what was received of the request's body.
    func sendAtOnce(_ slot: Int, _ rest: UnsafeRawBufferPointer = .empty) {
        guard exchanges.pointer(slot).pointee.wantsTunnel else { return sendRequest(slot, rest) }
        stash(rest, of: slot)
        sendOnConnection(slot)
    }

    /// The exchange has a connection, or a stream of one: it is sent if it still may be.
    func sendOnConnection(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        if exchange.pointee.wantsTunnel, exchange.pointee.sharesBackend {
            let index = Int(exchange.pointee.backend)
            guard let allows = allowsTunnels(index) else {
                if let streams = backends.pointer(index).pointee.streams { awaitSettings(slot, streams) }
                return
            }
            guard allows, exchange.pointee.upgrade?.isWebSocket == true else { return tunnelUnavailable(slot) }
        }
        if let refusal = stillMayBeSent(slot) {
            dropBackend(slot)
            exchange.pointee.step = .idle
            return refuseUnsent(slot, refusal)
        }
        guard stillTakesRequests(slot) else {
            // It was taken out while the connection was being made: not a byte has been sent.
            exchange.pointee.tried.add(Int(exchange.pointee.instance))
            dropBackend(slot)
            return startTry(slot)
        }
        sendRequest(slot, .empty)
    }

    /// The backend takes no tunnel on its connection. It got nothing, and is well otherwise.
    private func tunnelUnavailable(_ slot: Int) {
        report(.backend(instanceName(slot)), "extended_connect_not_allowed")
        attemptEnded(slot, .upstreamMalformed)
        dropBackend(slot)
        tryFailed(slot, .malformed)
    }

    func connectBroken(_ index: Int, _ failure: UpstreamFailure) {
        let slot = Int(backends.pointer(index).pointee.exchange)
        let waiters = takeWaiters(index)
        let verdict = verdict(slot, on: failure)
        var goesElsewhere = false
        if case .retry(let retry) = verdict { goesElsewhere = !retry.costsBudget }
        tell(slot, .connectFailed, goesElsewhere: goesElsewhere)
        attemptEnded(slot, failure.refusal.reason)
        dropBackend(slot)
        tryFailed(slot, failure, verdict)
        failWaiters(waiters, failure)
    }

    private func backendWritable(_ index: Int) {
        let backend = backends.pointer(index)
        let slot = Int(backend.pointee.exchange)
        switch backend.pointee.outgoing.flush(backend.pointee.descriptor, calls) {
        case .blocked: armIdleBackend(slot)
        case .all:
            if case .tunnelled = exchanges.pointer(slot).pointee.step { return tunnelFlushed(toBackend: slot) }
            continueForwarding(slot)
        case .failed:
            backend.pointee.isReadable = true
            backend.pointee.isHalfClosed = true
        }
    }

    /// Reads what the backend has sent, as far as the client takes it.
    func backendReadable(_ index: Int) {
        let backend = backends.pointer(index)
        let slot = Int(backend.pointee.exchange)
        if case .shared = backend.pointee.phase { return readShared(index) }
        if case .handshaking = backend.pointee.phase { return continueBackendHandshake(index) }
        guard slot >= 0, case .lent = backend.pointee.phase else { return }
        let exchange = exchanges.pointer(slot)
        let token = exchange.pointee.context.exchangeToken
        if case .tunnelled = exchange.pointee.step { return continueDownload(slot) }
        guard case .forwarded = exchange.pointee.step else { return }
        var reads = 0
        while backend.pointee.isReadable, clientTakes(slot) {
            guard reads < Self.readsPerTurn else { return deferBackend(index) }
            reads += 1
            let n = receive(backend)
            if n == -SystemError.again {
                // Its write side failed, and no answer came before.
                if backend.pointee.isHalfClosed, exchange.pointee.uploadFailed || !backend.pointee.outgoing.isEmpty {
                    return backendBroken(slot, .closed)
                }
                break
            }
            if n <= 0 { return backendEnded(slot, reset: n < 0 || backend.pointee.tls != nil && !backend.pointee.hasClosedTLS) }
            exchange.pointee.hasBackendAnswered = true
            received(slot, UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: n))
            guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
        }
        guard case .relaying = exchange.pointee.machine.state else { return }
        if clientTakes(slot) { armIdleBackend(slot) } else { backend.pointee.deadline.clear() }
    }

    private func received(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        if case .relaying = exchange.pointee.machine.state {
            out.clear()
            return relayResponse(slot, bytes)
        }
        let backend = backends.pointer(Int(exchange.pointee.backend))
        if backend.pointee.input.isEmpty { return parseResponse(slot, bytes) }
        let seen = backend.pointee.input.count
        backend.pointee.input.append(bytes)
        guard RequestParser.worthParsing(RawSpan(_unsafeBytes: backend.pointee.input.bytes), alreadySeen: seen) else { return }
        // What is left of it is put back; a copy of at most one head.
        var all = backend.pointee.input
        backend.pointee.input = Incoming()
        parseResponse(slot, all.bytes)
        all.discard()
    }

    /// Reads heads until the final one; interim ones are passed on (RFC 9110 §15.2).
    private func parseResponse(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        let backend = backends.pointer(Int(exchange.pointee.backend))
        var start = 0
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            switch ResponseParser.parse(
                RawSpan(_unsafeBytes: rest), limits: .response, requestMethod: exchange.pointee.head.method, into: &response)
            {
            case .needMore:
                backend.pointee.input.append(rest)
                return
            case .refused(let fault):
                report(.backend(instanceName(slot)), fault.reason, rest)
                return backendBroken(slot, fault.isTooLarge ? .headTooLarge : .malformed)
            case .head(let consumed):
                start += consumed
                if !response.isInterim {
                    return finalHead(slot, UnsafeRawBufferPointer(rebasing: bytes[start...]))
                }
                if response.status == 101, exchange.pointee.wantsTunnel {
                    if let fault = acceptsUpgrade(slot) {
                        report(.backend(instanceName(slot)), fault.name, rest)
                        return backendBroken(slot, .malformed)
                    }
                    return finalHead(slot, UnsafeRawBufferPointer(rebasing: bytes[start...]))
                }
                exchange.pointee.interimCount += 1
                // Nobody asked for another protocol (101), and endless 103s are an attack.
                guard response.status != 101, exchange.pointee.interimCount <= Self.interimMax else {
                    report(.backend(instanceName(slot)), "unexpected_interim_response", rest)
                    return backendBroken(slot, .malformed)
                }
                guard passInterim(slot) else { return }
            }
        }
    }

    func instanceName(_ slot: Int) -> String {
        let context = exchanges.pointer(slot).pointee.context.instanceIndex
        return exchanges.pointer(slot).pointee.generation._withUnsafeGuaranteedRef {
            context >= 0 ? String(decoding: $0.snapshot.names.instances[context], as: UTF8.self) : ""
        }
    }

    /// - Returns: false when the exchange is over.
    func passInterim(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        // 100 has been said, or was not asked for; HTTP/1.0 knows no interim responses.
        guard response.status != 100, exchange.pointee.head.version != .http10 else { return true }
        out.clear()
        guard stripResponse(slot) else {
            backendBroken(slot, .malformed)
            return false
        }
        guard
            HeadSerialiser.startResponse(status: response.status, reason: response.bytes(response.reason), into: &out),
            HeadSerialiser.fields(of: response.headers, into: &out)
        else {
            backendBroken(slot, .malformed)
            return false
        }
        HeadSerialiser.endOfHead(into: &out)
        writeInterim(slot)
        return true
    }

    /// Sends the interim response that stands in `out`.
    func writeInterim(_ slot: Int) {
        guard exchanges.pointer(slot).pointee.clientStream == nil else { return writeInterimToStream(slot) }
        // A failure shows itself as an event on the descriptor.
        _ = writeToClient(slot, out.unsafeBytes)
    }

    func finalHead(_ slot: Int, _ rest: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        guard let route = exchange.pointee.route else { return backendBroken(slot, .malformed) }
        guard stripResponse(slot) else { return backendBroken(slot, .malformed) }
        if exchange.pointee.wantsTunnel, let fault = tunnelFault(slot) {
            report(.backend(instanceName(slot)), fault)
            return backendBroken(slot, .malformed)
        }
        if exchange.pointee.isGRPC { noteCallStatus(slot) }
        exchange.pointee.upstreamStatus = response.status
        // A stream says itself where the body ends; with its head it has said so already.
        let endsWithStream = exchange.pointee.sharesBackend && response.framing != .none && !exchange.pointee.backendHasEnded
        exchange.pointee.responseBody = BodyReader(endsWithStream ? .untilClose : response.framing)
        // Who was asked for another protocol may yet speak it (RFC 9110 §7.8).
        exchange.pointee.backendMayContinue = response.allowsReuse && !exchange.pointee.wantsTunnel
        let outcome = CallOutcome(status: response.status)
        tell(slot, outcome)
        if response.status >= 400 {
            if triesAgain(slot, insteadOf: response.status) { return }
            if outcome.weight == .failure, exchange.pointee.fallback != nil, replaced(slot) { return }
        }
        guard route.pointee.stages > 0 else { return passHead(slot, rest) }
        switch runResponse(slot, route, from: exchange.pointee.responseStage) {
        case .proceed: passHead(slot, rest)
        case .answer(let answer, let stage): replaceResponse(slot, answer, stage)
        case .suspended(let stage): holdResponse(slot, stage, rest)
        }
    }

    /// Takes off what the backend said to the gateway alone.
    /// - Returns: false when it does not speak HTTP.
    private func stripResponse(_ slot: Int) -> Bool {
        guard let route = exchanges.pointer(slot).pointee.route else { return false }
        return route.pointee.responsesReference._withUnsafeGuaranteedRef { responses in
            do {
                try responses.receive(&response)
                return true
            } catch {
                return false
            }
        }
    }

    func runResponse(_ slot: Int, _ route: UnsafePointer<RouteRuntime>, from stage: Int) -> ChainOutcome {
        let exchange = exchanges.pointer(slot)
        return route.pointee.chainReference._withUnsafeGuaranteedRef {
            $0.runResponse(from: stage, head: &response, request: exchange.pointee.head, context: &exchange.pointee.context)
        }
    }

    /// A middleware answers in the backend's place.
    private func replaceResponse(_ slot: Int, _ answer: Answer, _ stage: Int) {
        let exchange = exchanges.pointer(slot)
        attemptEnded(slot, .ok)
        dropBackend(slot)
        exchange.pointee.responseStage = stage - 1
        respond(slot, answer, Reason(named: answer.reason))
    }

    private func holdResponse(_ slot: Int, _ stage: Int, _ rest: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        if !exchange.pointee.sharesBackend { backends.pointer(Int(exchange.pointee.backend)).pointee.input.append(rest) }
        excuseBackend(slot)
        var held = ResponseHead()
        swap(&held, &response)
        exchange.pointee.heldResponse = HeldResponse(head: held, ownBody: nil)
        exchange.pointee.suspendedStage = stage
        exchange.pointee.step = .responseSuspended
        if let route = exchange.pointee.route { exchange.pointee.waitDeadline = now + route.pointee.responseTimeout }
        armExchange(slot)
        excuseClient(slot)
    }

    /// A middleware has made up its mind about a response.
    func resumeResponse(_ slot: Int, _ point: SuspensionPoint, _ verdict: ResumeVerdict) {
        let exchange = exchanges.pointer(slot)
        guard case .responseSuspended = exchange.pointee.step, exchange.pointee.suspendedStage == point.stage,
            let held = exchange.pointee.heldResponse, let route = exchange.pointee.route
        else { return }
        exchange.pointee.heldResponse = nil
        exchange.pointee.waitDeadline = .never
        swap(&response, &held.head)
        if case .proceedSetting(let fields) = verdict {
            for field in fields { response.headers.set(field.name, field.value) }
        }
        if let body = held.ownBody {
            exchange.pointee.step = .idle
            if case .answer(let answer) = verdict {
                exchange.pointee.responseStage = point.stage - 1
                return respond(slot, answer, Reason(named: answer.reason))
            }
            return continueOwnResponse(slot, from: point.stage - 1, body)
        }
        exchange.pointee.step = .forwarded
        switch verdict {
        case .answer(let answer): replaceResponse(slot, answer, point.stage)
        case .proceed, .proceedSetting:
            switch runResponse(slot, route, from: point.stage - 1) {
            case .answer(let answer, let stage): replaceResponse(slot, answer, stage)
            case .suspended(let stage): holdResponse(slot, stage, .empty)
            case .proceed:
                let index = Int(exchange.pointee.backend)
                let token = exchange.pointee.context.exchangeToken
                let isStream = exchange.pointee.sharesBackend
                var kept = Incoming()
                if !isStream { swap(&kept, &backends.pointer(index).pointee.input) }
                passHead(slot, kept.bytes)
                kept.discard()
                guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
                if isStream {
                    continueBackendStream(slot)
                } else if backends.pointer(index).pointee.isReadable {
                    deferBackend(index)
                } else {
                    armIdleBackend(slot)
                }
                guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
                // The rest of the request has waited as well.
                if !exchange.pointee.machine.requestRead { continueForwarding(slot) }
            }
        }
    }

    /// The response's head, as the client gets it, and what is there of the body.
    private func passHead(_ slot: Int, _ rest: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        guard let route = exchange.pointee.route else { return backendBroken(slot, .malformed) }
        let isTunnel =
            exchange.pointee.wantsTunnel
            && (response.status == 101 || exchange.pointee.sharesBackend && response.status == 200)
        let delivery =
            isTunnel
            ? ResponseDelivery(body: .untilClose, contentLength: nil, connection: .unsaid)
            : ResponseDelivery.decide(
                version: exchange.pointee.head.version, method: exchange.pointee.head.method, status: response.status,
                upstream: response.framing, declaredLength: response.declaredLength,
                keepsAlive: !exchange.pointee.wantsTunnel && keepsAlive(slot))
        if isTunnel { prepareTunnelHead(slot) }
        if exchange.pointee.fallbackUsed == .service { markFallback() }
        if exchange.pointee.owesCookie || exchange.pointee.session >= 0 { addSessionCookie(slot) }
        out.clear()
        guard
            HeadSerialiser.startResponse(status: response.status, reason: response.bytes(response.reason), into: &out),
            HeadSerialiser.fields(of: response.headers, into: &out),
            route.pointee.responsesReference._withUnsafeGuaranteedRef({
                $0.appendFields(to: &out, head: response, context: exchange.pointee.context, delivery: delivery)
            })
        else { return backendBroken(slot, .malformed) }
        if isTunnel, exchange.pointee.clientStream == nil { appendUpgrade(slot, to: &out) }
        HeadSerialiser.endOfHead(into: &out)
        guard exchange.pointee.machine.headReceived() else { return backendBroken(slot, .malformed) }
        if exchange.pointee.keepsBody { forgetBody(slot) }
        if let transitions { transitions.answered(slot, status: response.status) }
        if exchange.pointee.retriedFor != nil || exchange.pointee.holdsRetry { retryEnded(slot, .success) }
        exchange.pointee.status = response.status
        exchange.pointee.clientFraming = delivery.body
        exchange.pointee.clientMayContinue = !delivery.closes
        exchange.pointee.firstByteAt = now
        if exchange.pointee.clientStream != nil {
            exchange.pointee.responseBytes += UInt64(out.count)
            let endsStream = hasNoBody(delivery)
            if endsStream { exchange.pointee.clientFraming = .none }
            writeHeadToStream(slot, endsStream: endsStream)
        }
        guard !isTunnel else {
            if !out.isEmpty {
                exchange.pointee.responseBytes += UInt64(out.count)
                let sent = writeToClient(slot, out.unsafeBytes)
                out.clear()
                if case .failed = sent { return abandonExchange(slot, .clientClosed) }
            }
            return beginTunnel(slot, rest)
        }
        relayResponse(slot, rest)
    }

    /// Passes body bytes on behind what `out` holds.
    func relayResponse(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        let isChunked = exchange.pointee.clientFraming == .chunked
        let endsCall = exchange.pointee.isGRPC && isChunked && exchange.pointee.clientStream == nil
        var relayed = relay(
            &exchange.pointee.responseBody, RawSpan(_unsafeBytes: bytes), chunked: isChunked, writesEnd: !endsCall,
            trailers: &exchange.pointee.responseTrailers, into: &out)
        if endsCall, relayed.hasEnded, !appendLastChunk(slot) { relayed.fault = .malformed }
        if relayed.fault != nil {
            report(.backend(instanceName(slot)), "malformed_body", bytes)
            return backendBroken(slot, .malformed)
        }
        let direct = UnsafeRawBufferPointer(rebasing: bytes[relayed.direct])
        exchange.pointee.responseBytes += UInt64(out.count + direct.count)
        let sent = writeToClient(slot, out.unsafeBytes, direct)
        out.clear()
        if case .failed = sent { return abandonExchange(slot, .clientClosed) }
        guard relayed.hasEnded else { return }
        if exchange.pointee.clientStream != nil, exchange.pointee.clientFraming != .none { endClientStream(slot) }
        // What follows a complete response was not asked for (RFC 9112 §9.2): the connection is not used again.
        if relayed.consumed < bytes.count { exchange.pointee.backendMayContinue = false }
        responseComplete(slot)
    }

    /// Nothing follows the head.
    func hasNoBody(_ delivery: ResponseDelivery) -> Bool {
        switch delivery.body {
        case .none, .length(0): true
        case .length, .chunked, .untilClose: false
        }
    }

    private func responseComplete(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        if exchange.pointee.sharesBackend {
            let isWhole = exchange.pointee.backendHasEnded
            return finish(
                slot,
                exchange.pointee.machine.responseEnded(
                    clientMayContinue: exchange.pointee.clientMayContinue, backendMayContinue: isWhole))
        }
        let backend = backends.pointer(Int(exchange.pointee.backend))
        // Bytes that are still in the socket were not asked for: nobody may take them for the next answer.
        let isOpen =
            !backend.pointee.isHalfClosed && !backend.pointee.isReadable && backend.pointee.outgoing.isEmpty
            && backend.pointee.input.isEmpty
        let ending = exchange.pointee.machine.responseEnded(
            clientMayContinue: exchange.pointee.clientMayContinue,
            backendMayContinue: exchange.pointee.backendMayContinue && isOpen)
        finish(slot, ending)
    }

    /// The client has taken all that was waiting for it.
    func clientDrained(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let backend = Int(exchange.pointee.backend)
        if case .tunnelled = exchange.pointee.step { return tunnelFlushed(toClient: slot) }
        if backend >= 0, case .forwarded = exchange.pointee.step {
            if !exchange.pointee.machine.requestRead, backendTakes(slot) { awaitBody(slot) }
            if exchange.pointee.sharesBackend {
                continueBackendStream(slot)
            } else if backends.pointer(backend).pointee.isReadable {
                backendReadable(backend)
            } else if case .relaying = exchange.pointee.machine.state {
                armIdleBackend(slot)
            }
        }
    }

    /// The backend has closed its side.
    private func backendEnded(_ slot: Int, reset: Bool) {
        let exchange = exchanges.pointer(slot)
        guard case .relaying = exchange.pointee.machine.state else { return backendBroken(slot, .closed) }
        guard !reset, exchange.pointee.responseBody.inputClosed() else { return backendBroken(slot, .truncated) }
        exchange.pointee.backendMayContinue = false
        out.clear()
        relayResponse(slot, .empty)
    }

    /// The attempt has failed.
    func backendBroken(_ slot: Int, _ failure: UpstreamFailure) {
        let exchange = exchanges.pointer(slot)
        let hasAnswered = exchange.pointee.hasBackendAnswered
        // A kept connection that was closed before the request came is a race, and nobody's fault (RFC 9112 §9.3.1).
        let isReused = backends.pointer(Int(exchange.pointee.backend)).pointee.isReused
        let isStale = failure == .closed && isReused && !hasAnswered
        if exchange.pointee.sharesBackend, failure == .malformed || failure == .headTooLarge { distrust(slot) }
        let isDrained = failure == .streamRefused && isBackendDraining(slot)
        if exchange.pointee.owesOutcome { tell(slot, isStale || isDrained ? .stale : .broken) } else { tellBrokenOff(slot) }
        attemptEnded(slot, failure.refusal.reason)
        dropBackend(slot)
        tryFailed(slot, failure, anyResponseByte: hasAnswered)
    }

    /// The service's own answer says that it cannot; something else may answer instead.
    private func replaced(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let fallback = exchange.pointee.fallback else { return false }
        // Another service may only do what was not done already.
        if case .service = fallback._withUnsafeGuaranteedRef({ $0.kind }), !exchange.pointee.machine.maySendElsewhere {
            return false
        }
        attemptEnded(slot, .ok)
        dropBackend(slot)
        exchange.pointee.step = .idle
        retryEnded(slot, .failure)
        return fallsBack(slot)
    }

    func backendTimerFired(_ token: Token) {
        guard backends.isLive(token) else { return }
        let index = token.index
        let backend = backends.pointer(index)
        guard backend.pointee.deadline.fired(at: now, token, on: &timers) else { return }
        switch backend.pointee.phase {
        case .connecting, .handshaking: connectBroken(index, .connectTimedOut)
        case .shared: sharedBackendTimerFired(index)
        case .idle: closeBackend(index)
        case .lent:
            backendTimedOut(Int(backend.pointee.exchange))
        }
    }

    /// The backend has not answered, or not gone on, in time.
    func backendTimedOut(_ slot: Int) {
        let hasAnswered = exchanges.pointer(slot).pointee.hasBackendAnswered
        if exchanges.pointer(slot).pointee.sharesBackend { probe(slot) }
        if exchanges.pointer(slot).pointee.owesOutcome { tell(slot, .timedOut) } else { tellBrokenOff(slot) }
        attemptEnded(slot, .upstreamTimeout)
        dropBackend(slot)
        tryFailed(slot, .timedOut, anyResponseByte: hasAnswered)
    }

    @inline(__always)
    func armBackend(_ index: Int, _ deadline: Instant) {
        backends.pointer(index).pointee.deadline.set(
            deadline, Token(.backend, index: index, generation: backends.generation(index)), on: &timers)
    }
}
