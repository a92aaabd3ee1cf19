import Downstream
import Exchange
import GRPC
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Resilience
import Upstream

/// The request's way to the backend: its head, then its body as fast as the backend takes it.
extension Worker {
    /// The rate of a body is judged only after this long: a short one is over before it has a rate.
    private static var rateGrace: TimeAmount { .seconds(10) }
    /// Bytes, as they came.
    private static var keptBodyMax: Int { 65_536 }

    /// The exchange has its connection. Writes the head, and of the body what is at hand.
    /// - Parameter rest: what was received behind the head, when nothing waits in the connection's `input`.
    func sendRequest(_ slot: Int, _ rest: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        let backendIndex = Int(exchange.pointee.backend)
        let backend = backends.pointer(backendIndex)
        exchange.pointee.step = .forwarded
        exchange.pointee.upstreamVersion = exchange.pointee.sharesBackend ? .http2 : .http11
        // Read anew: what came before it in this turn was the gateway's own time.
        exchange.pointee.forwardedAt = Instant(nanoseconds: calls.monotonic())
        exchange.pointee.machine.connected(reused: backend.pointee.isReused)
        exchange.pointee.hasBackendAnswered = false
        exchange.pointee.resetCode = nil
        exchange.pointee.interimCount = 0
        if exchange.pointee.sharesBackend { keepBodyOfStream(slot) }
        backend.pointee.requests += 1
        exchange.pointee.uploadFailed = false
        out.clear()
        guard writeHead(slot) else {
            out.clear()
            return refuseAfterFailure(slot, .internalError)
        }
        if exchange.pointee.sharesBackend {
            if let transitions { transitions.routed(slot) }
            guard let streams = backend.pointee.streams, streams.pointee.http2.canOpenStream else {
                return backendBroken(slot, .streamRefused)
            }
            guard openBackendStream(slot) else { return refuseAfterFailure(slot, .headerTooLarge) }
        }
        let unread = exchange.pointee.requestBody
        var direct = UnsafeRawBufferPointer.empty
        var consumed = 0
        if exchange.pointee.machine.requestRead {
            stash(rest, of: slot)
        } else if rest.count > 0 {
            let relayed = relayRequest(slot, rest)
            guard relayed.fault == nil else { return requestBroken(slot, relayed) }
            direct = UnsafeRawBufferPointer(rebasing: rest[relayed.direct])
            consumed = relayed.consumed
        }
        let sent = writeToBackend(slot, out.unsafeBytes, direct)
        if case .failed = sent {
            // Not a byte of it went out, so all of it is still here for another connection.
            exchange.pointee.requestBody = unread
            exchange.pointee.requestBytes = 0
            exchange.pointee.requestTrailers.discard()
            exchange.pointee.keptBody.discard()
            if exchange.pointee.head.framing.hasBody { stash(rest, of: slot) }
            return backendBroken(slot, .closed)
        }
        exchange.pointee.machine.headSent()
        if let transitions, !exchange.pointee.sharesBackend { transitions.routed(slot) }
        // Also the framing of a body that is empty: it is gone, and could not be sent again.
        if consumed > 0 { exchange.pointee.machine.bodySent(isKept: exchange.pointee.keepsBody) }
        if exchange.pointee.requestBody.isComplete, !exchange.pointee.machine.requestRead {
            exchange.pointee.machine.requestEnded()
            if exchange.pointee.sharesBackend { endBackendStream(slot) }
        }
        if consumed < rest.count, exchange.pointee.head.framing.hasBody {
            stash(UnsafeRawBufferPointer(rebasing: rest[consumed...]), of: slot)
        }
        if case .all = sent, exchange.pointee.machine.requestRead {
            exchange.pointee.machine.requestWritten()
            armBackendSide(slot, now + responseTimeout(slot))
        } else {
            continueAfterHead(slot)
        }
        if backend.pointee.isReadable { deferBackend(backendIndex) }
    }

    /// Part of the request is still to come, or to be written.
    private func continueAfterHead(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.bodyStarted = now
        armIdleBackend(slot)
        if exchange.pointee.owesContinue {
            exchange.pointee.owesContinue = false
            // Who has begun to send the body does not wait for it (RFC 9110 §10.1.1).
            if exchange.pointee.requestBytes == 0, !hasUnreadInput(slot) { sendContinue(slot) }
        }
        continueForwarding(slot)
    }

    func sendContinue(_ slot: Int) {
        out.clear()
        out.append("HTTP/1.1 100 Continue\r\n\r\n")
        writeInterim(slot)
    }

    private func writeHead(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        if exchange.pointee.isGRPC, exchange.pointee.requestDeadline != .never {
            exchange.pointee.head.headers.removeAll(lowercaseNamed: "grpc-timeout")
        }
        guard let route = exchange.pointee.route, writeRequestLine(exchange.pointee.head, exchange.pointee.upstreamPath),
            HeadSerialiser.fields(of: exchange.pointee.head.headers, into: &out)
        else { return false }
        let isGood = route.pointee.forwardingReference._withUnsafeGuaranteedRef { forwarding in
            if forwarding.namesInstance(exchange.pointee.head) {
                let authority = authority(slot)
                return forwarding.appendFields(
                    to: &out, head: exchange.pointee.head, context: exchange.pointee.context, authority: authority.span.bytes)
            }
            return forwarding.appendFields(
                to: &out, head: exchange.pointee.head, context: exchange.pointee.context, authority: RawSpan())
        }
        if exchange.pointee.isGRPC, exchange.pointee.requestDeadline != .never {
            GRPCTimeout.append(exchange.pointee.requestDeadline.since(now), to: &out)
        }
        if exchange.pointee.requestDeadline != .never {
            AnnouncedTimeout.append(exchange.pointee.requestDeadline.since(now), to: &out)
        }
        if exchange.pointee.machine.isRetry { out.append("X-Sluice-Retry: 1\r\n") }
        if exchange.pointee.wantsTunnel { appendUpgrade(slot, to: &out) }
        HeadSerialiser.endOfHead(into: &out)
        return isGood
    }

    private func authority(_ slot: Int) -> [UInt8] {
        let exchange = exchanges.pointer(slot)
        return exchange.pointee.generation._withUnsafeGuaranteedRef {
            $0.snapshot.services[exchange.pointee.context.serviceIndex].authorities[Int(exchange.pointee.instance)]
        }
    }

    private func writeRequestLine(_ head: borrowing RequestHead, _ path: Range<Int>) -> Bool {
        if let query = head.query {
            return HeadSerialiser.startRequest(
                method: head.bytes(head.methodRange), path: head.bytes(path), query: head.bytes(query), into: &out)
        }
        return HeadSerialiser.startRequest(method: head.bytes(head.methodRange), path: head.bytes(path), query: nil, into: &out)
    }

    /// Passes on what the client sends, until the request is complete or one of the two sides has to be waited for.
    func continueForwarding(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard case .forwarded = exchange.pointee.step, !exchange.pointee.machine.requestRead else { return requestFlushed(slot) }
        guard !exchange.pointee.uploadFailed else { return }
        let token = exchange.pointee.context.exchangeToken
        if exchange.pointee.clientStream != nil {
            continueStreamForwarding(slot)
            guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
            return awaitProgress(slot)
        }
        let clientIndex = Int(exchange.pointee.client)
        let client = clients.pointer(clientIndex)
        var reads = 0
        while backendTakes(slot), !exchange.pointee.machine.requestRead, !exchange.pointee.uploadFailed {
            if !client.pointee.input.isEmpty {
                let consumed = pass(slot, client.pointee.input.bytes)
                guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
                client.pointee.input.removeFirst(consumed)
                continue
            }
            guard client.pointee.isReadable else { break }
            guard reads < Self.readsPerTurn else { return deferClient(clientIndex) }
            reads += 1
            switch receive(fromClient: clientIndex) {
            case .nothingYet: continue
            // The client broke its request off.
            case .end: return abandonExchange(slot, .clientClosed)
            case .bytes(let bytes):
                let consumed = pass(slot, bytes)
                guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
                stash(UnsafeRawBufferPointer(rebasing: bytes[consumed...]), of: slot)
            }
        }
        awaitProgress(slot)
    }

    /// All that was at hand has been passed on: it is somebody's turn.
    private func awaitProgress(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard !exchange.pointee.uploadFailed else { return }
        if !exchange.pointee.machine.requestRead, backendTakes(slot) {
            // It is the client's turn.
            if isTooSlow(slot) { return clientStalled(slot) }
            awaitBody(slot)
        } else {
            excuseClient(slot)
        }
        requestFlushed(slot)
    }

    /// The client is to send more of its body. Where it has an answer to read too, that deadline stays: it may not gain time by sending.
    func awaitBody(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        if isConversation(slot) {
            excuseClient(slot)
        } else if clientTakes(slot) {
            armClientSide(slot, now + listenerLimits(Int(exchange.pointee.client)).bodyIdleTimeout)
        }
        // The backend waits as well, and not for too long: the client's time runs.
        if case .awaitingHead = exchange.pointee.machine.state { excuseBackend(slot) }
    }

    /// - Returns: how many bytes belonged to the body and have been passed on.
    func pass(_ slot: Int, _ bytes: UnsafeRawBufferPointer) -> Int {
        let exchange = exchanges.pointer(slot)
        out.clear()
        let relayed = relayRequest(slot, bytes)
        guard relayed.fault == nil else {
            requestBroken(slot, relayed)
            return 0
        }
        let direct = UnsafeRawBufferPointer(rebasing: bytes[relayed.direct])
        let sent = writeToBackend(slot, out.unsafeBytes, direct)
        exchange.pointee.machine.bodySent(isKept: exchange.pointee.keepsBody)
        if relayed.hasEnded {
            exchange.pointee.machine.requestEnded()
            if exchange.pointee.sharesBackend { endBackendStream(slot) }
        }
        if case .failed = sent { requestRejected(slot) }
        if case .blocked = sent { armIdleBackend(slot) }
        return relayed.consumed
    }

    /// The backend takes no more of the request. It may have answered before it closed.
    private func requestRejected(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.backend)
        exchange.pointee.uploadFailed = true
        exchange.pointee.backendMayContinue = false
        armIdleBackend(slot)
        readLastWords(ofBackend: index)
    }

    private func requestFlushed(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard case .forwarded = exchange.pointee.step, exchange.pointee.machine.requestRead, !exchange.pointee.machine.requestSent
        else { return }
        guard backendTakes(slot) else { return }
        exchange.pointee.machine.requestWritten()
        guard case .awaitingHead = exchange.pointee.machine.state else { return }
        armBackendSide(slot, now + responseTimeout(slot))
    }

    private func relayRequest(_ slot: Int, _ bytes: UnsafeRawBufferPointer) -> Relayed {
        let exchange = exchanges.pointer(slot)
        let isChunked = exchange.pointee.head.framing == .chunked && !exchange.pointee.sharesBackend
        var relayed = relay(
            &exchange.pointee.requestBody, RawSpan(_unsafeBytes: bytes), chunked: isChunked,
            trailers: &exchange.pointee.requestTrailers, into: &out)
        exchange.pointee.requestBytes += UInt64(relayed.dataBytes)
        if exchange.pointee.keepsBody { keepBody(slot, UnsafeRawBufferPointer(rebasing: bytes[..<relayed.consumed])) }
        // A chunk that is announced counts before its data has come.
        let (announced, overflows) = exchange.pointee.requestBytes.addingReportingOverflow(
            exchange.pointee.requestBody.announcedBytes)
        if relayed.fault == nil, overflows || announced > exchange.pointee.context.bodyLimit { relayed.fault = .tooLarge }
        return relayed
    }

    /// A stream may be refused although all of its body was sent, and then any request may be sent again (RFC 9113 §8.7).
    private func keepBodyOfStream(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.head.framing.hasBody, exchange.pointee.requestBytes == 0, let service = exchange.pointee.service,
            service._withUnsafeGuaranteedRef({ $0.retry.retriesMax > 0 && $0.retry.conditions.contains(.refusedStream) })
        else { return }
        exchange.pointee.keepsBody = true
    }

    /// The answer begins: nothing is sent again from here on.
    func forgetBody(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.keepsBody = false
        exchange.pointee.keptBody.discard()
    }

    /// Small bodies of requests that may be sent again are kept until the answer begins.
    private func keepBody(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.keptBody.count + bytes.count <= Self.keptBodyMax else {
            exchange.pointee.keepsBody = false
            return exchange.pointee.keptBody.discard()
        }
        exchange.pointee.keptBody.append(bytes)
    }

    private func requestBroken(_ slot: Int, _ relayed: Relayed) {
        switch relayed.fault {
        case .tooLarge: refuseAfterFailure(slot, .bodyTooLarge)
        case .malformed, nil: refuseAfterFailure(slot, .badRequest)
        }
    }

    /// A call whose two sides talk: its client says something when it has something to say, and the service's idle timeout counts for both.
    private func isConversation(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.isGRPC, case .relaying = exchange.pointee.machine.state else { return false }
        return true
    }

    /// Below the rate that a body must come at, once it has had time to show one.
    func isTooSlow(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard !isConversation(slot) else { return false }
        let elapsed = now.since(exchange.pointee.bodyStarted)
        guard elapsed > Self.rateGrace else { return false }
        let rate = UInt64(listenerLimits(Int(exchange.pointee.client)).bodyMinRate)
        return exchange.pointee.requestBytes < rate * (elapsed.nanoseconds / 1_000_000_000)
    }

    /// The client has not sent, or not read, for too long.
    func clientStalled(_ slot: Int) {
        if !clientTakes(slot) { return abandonExchange(slot, .clientTimeout) }
        refuseAfterFailure(slot, .bodyTimeout)
    }
}
