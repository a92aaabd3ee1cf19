import Exchange
import HTTP1
import HTTP2
import HTTPMessages
import Multiplexing
import Pipeline
import Primitives
import Reactor
import Upstream

/// A request on its stream to a backend, and the answer that comes back on it.
extension Worker {
    // The request.

    func backendStreamTakes(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let stream = exchange.pointee.backendStream,
            let streams = backends.pointer(Int(exchange.pointee.backend)).pointee.streams
        else { return true }
        return streams.pointee.http2.takesMore(stream)
    }

    /// Opens the stream with the head that stands in `out`. There is a place for it.
    /// - Returns: false when the head cannot be sent: a field is longer than HTTP/2 is spoken here with (64 KiB).
    func openBackendStream(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.backend)
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams else { return false }
        let isWebSocket = exchange.pointee.upgrade?.isWebSocket ?? false
        let stream = streams.pointee.http2.submitRequest(
            out.unsafeBytes, scheme: backend.pointee.tls == nil ? .http : .https,
            endsStream: exchange.pointee.machine.requestRead && !isWebSocket, token: exchange.pointee.context.exchangeToken,
            upgrade: isWebSocket ? "websocket" : nil)
        out.clear()
        guard let stream else { return false }
        exchange.pointee.backendStream = stream
        backend.pointee.isReused = true
        markDirty(backend: index)
        return true
    }

    func writeToBackendStream(_ slot: Int, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty) -> Sent {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.backend)
        guard let streams = backends.pointer(index).pointee.streams, let stream = exchange.pointee.backendStream else {
            return .failed(SystemError.brokenPipe)
        }
        gather(backends.pointer(index), streams, stream, first, second)
        markDirty(backend: index)
        return backendStreamTakes(slot) ? .all : .blocked
    }

    /// The request's body is complete.
    func endBackendStream(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.backend)
        guard let streams = backends.pointer(index).pointee.streams, let stream = exchange.pointee.backendStream else { return }
        out.clear()
        if !exchange.pointee.requestTrailers.isEmpty {
            // Malformed ones are left out: the body is whole, and the backend has it.
            if let block = readTrailers(exchange.pointee.requestTrailers, .response),
                HeadSerialiser.fields(of: block, into: &out),
                !out.isEmpty
            {
                out.append("\r\n")
            }
        }
        streams.pointee.http2.end(stream, trailers: out.isEmpty ? nil : out.unsafeBytes)
        out.clear()
        markDirty(backend: index)
    }

    // The answer.

    func readShared(_ index: Int) {
        let backend = backends.pointer(index)
        let token = Token(.backend, index: index, generation: backends.generation(index))
        var reads = 0
        while backends.isLive(token), backend.pointee.isReadable {
            guard reads < Self.readsPerTurn else { return deferBackend(index) }
            reads += 1
            let n = receive(backend)
            if n == -SystemError.again {
                if backend.pointee.streams?.pointee.takesNothing == true { sharedBackendEnded(index) }
                return
            }
            guard n > 0 else { return sharedBackendEnded(index) }
            feedShared(index, UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: n))
        }
    }

    func feedShared(_ index: Int, _ bytes: UnsafeRawBufferPointer) {
        guard let streams = backends.pointer(index).pointee.streams else { return }
        let held = holdReceived()
        defer { giveBack(held) }
        streams.pointee.lastReceived = now
        let goesOn = streams.pointee.http2.receive(bytes, at: now)
        guard handleBackendEvents(index, streams) else { return }
        markDirty(backend: index)
        if !goesOn { breakShared(index) }
    }

    /// Acts on all that the session has to tell.
    /// - Returns: false when the connection is gone.
    func handleBackendEvents(_ index: Int, _ streams: StreamSessionPointer) -> Bool {
        let token = Token(.backend, index: index, generation: backends.generation(index))
        while let event = streams.pointee.http2.nextEvent() {
            backendStreamEvent(index, streams, event)
            guard backends.isLive(token) else { return false }
        }
        return true
    }

    private func backendStreamEvent(_ index: Int, _ streams: StreamSessionPointer, _ event: HTTP2Event) {
        switch event {
        case .head(let stream, let endsStream):
            guard let slot = exchange(on: streams, stream) else { return }
            responseReceived(slot, streams, stream, endsStream: endsStream)
        case .refusedHead(let stream, let fault):
            guard let slot = exchange(on: streams, stream) else { return }
            report(.backend(instanceName(slot)), fault.reason)
            backendBroken(slot, .malformed)
        case .data(let stream, let bytes):
            guard let slot = exchange(on: streams, stream) else {
                streams.pointee.http2.consume(stream, bytes.count)
                return
            }
            responseBodyReceived(slot, bytes)
        case .trailers(let stream):
            guard let slot = exchange(on: streams, stream) else { return }
            exchanges.pointer(slot).pointee.responseTrailers.append(streams.pointee.http2.trailerText(stream))
            responseStreamEnded(slot)
        case .end(let stream):
            guard let slot = exchange(on: streams, stream) else { return }
            responseStreamEnded(slot)
        case .reset(let stream, let code, let isSafeToRetry):
            guard let slot = exchange(on: streams, stream) else { return }
            if case .tunnelled = exchanges.pointer(slot).pointee.step { return tunnelStreamGone(slot) }
            guard !exchanges.pointer(slot).pointee.backendHasEnded else { return }
            let isPeers = streams.pointee.http2.wasResetByPeer(stream)
            if !isPeers { distrust(slot) }
            backendStreamReset(slot, code, isPeers: isPeers, isSafeToRetry: isSafeToRetry)
        case .closed(let stream):
            guard let slot = exchange(on: streams, stream) else { return }
            if case .tunnelled = exchanges.pointer(slot).pointee.step { return tunnelStreamGone(slot) }
            // An answer that is whole may still wait for its client.
            guard !exchanges.pointer(slot).pointee.backendHasEnded else { return }
            backendBroken(slot, .closed)
        case .goAway:
            // Those above its last stream come as resets that may be repeated.
            streams.pointee.isDraining = true
            markDirty(backend: index)
        case .settings:
            if waitingCount > 0 { hasQueueWork = true }
            settingsReceived(index, streams)
        case .pingAcknowledged: break
        }
    }

    private func responseReceived(_ slot: Int, _ streams: StreamSessionPointer, _ stream: HTTP2StreamID, endsStream: Bool) {
        let exchange = exchanges.pointer(slot)
        let text = streams.pointee.http2.headText(stream)
        guard case .forwarded = exchange.pointee.step else { return }
        exchange.pointee.hasBackendAnswered = true
        guard
            case .head = ResponseParser.parse(
                RawSpan(_unsafeBytes: text), limits: .response, requestMethod: exchange.pointee.head.method, into: &response)
        else {
            report(.backend(instanceName(slot)), "malformed_head", text)
            return backendBroken(slot, .malformed)
        }
        response.version = .http2
        if response.isInterim {
            exchange.pointee.interimCount += 1
            guard exchange.pointee.interimCount <= Self.interimMax, response.status != 101 else {
                report(.backend(instanceName(slot)), "unexpected_interim_response", text)
                return backendBroken(slot, .malformed)
            }
            streams.pointee.http2.takeHead(stream)
            _ = passInterim(slot)
            return
        }
        streams.pointee.http2.takeHead(stream)
        exchange.pointee.backendHasEnded = endsStream
        if endsStream, response.framing == .untilClose { response.framing = .none }
        response.allowsReuse = true
        finalHead(slot, .empty)
    }

    private func responseBodyReceived(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        if case .tunnelled = exchange.pointee.step {
            exchange.pointee.backendInput.append(bytes)
            return continueDownload(slot)
        }
        let token = exchange.pointee.context.exchangeToken
        let index = Int(exchange.pointee.backend)
        guard let stream = exchange.pointee.backendStream, case .forwarded = exchange.pointee.step,
            case .relaying = exchange.pointee.machine.state,
            exchange.pointee.backendInput.isEmpty, clientTakes(slot)
        else { return exchange.pointee.backendInput.append(bytes) }
        // The stream may go with its request, and the window with it.
        returnWindow(ofBackend: index, stream, bytes.count)
        out.clear()
        relayResponse(slot, bytes)
        guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
        awaitBackendStream(slot)
    }

    private func returnWindow(ofBackend index: Int, _ stream: HTTP2StreamID, _ count: Int) {
        guard let streams = backends.pointer(index).pointee.streams else { return }
        streams.pointee.http2.consume(stream, count)
        markDirty(backend: index)
    }

    func returnBackendWindow(_ slot: Int, _ count: Int) {
        guard let stream = exchanges.pointer(slot).pointee.backendStream else { return }
        returnWindow(ofBackend: Int(exchanges.pointer(slot).pointee.backend), stream, count)
    }

    private func responseStreamEnded(_ slot: Int) {
        exchanges.pointer(slot).pointee.backendHasEnded = true
        if case .tunnelled = exchanges.pointer(slot).pointee.step { return continueDownload(slot) }
        continueBackendStream(slot)
    }

    /// Passes on what has come of the answer's body, as far as the client takes it, and its end.
    func continueBackendStream(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let token = exchange.pointee.context.exchangeToken
        guard case .forwarded = exchange.pointee.step, case .relaying = exchange.pointee.machine.state else { return }
        while clientTakes(slot) {
            if exchange.pointee.backendInput.isEmpty {
                guard exchange.pointee.backendHasEnded else { break }
                _ = exchange.pointee.responseBody.inputClosed()
                out.clear()
                return relayResponse(slot, .empty)
            }
            guard let stream = exchange.pointee.backendStream else { return }
            var input = exchange.pointee.backendInput
            exchange.pointee.backendInput = Incoming()
            returnWindow(ofBackend: Int(exchange.pointee.backend), stream, input.count)
            out.clear()
            relayResponse(slot, input.bytes)
            input.discard()
            guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
        }
        awaitBackendStream(slot)
    }

    /// It is the backend's turn, or the client's.
    private func awaitBackendStream(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.backend >= 0, case .relaying = exchange.pointee.machine.state else { return }
        if clientTakes(slot) { armIdleBackend(slot) } else { excuseBackend(slot) }
    }

    private func backendStreamReset(_ slot: Int, _ code: HTTP2ErrorCode, isPeers: Bool, isSafeToRetry: Bool) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.resetCode = code.rawValue
        if isSafeToRetry { return backendBroken(slot, .streamRefused) }
        if case .relaying = exchange.pointee.machine.state { return backendBroken(slot, .truncated) }
        backendBroken(slot, isPeers ? .closed : .malformed)
    }
}
