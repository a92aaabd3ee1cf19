import Downstream
import Exchange
import HTTP1
import HTTP2
import HTTPMessages
import Multiplexing
import Pipeline
import Primitives
import Reactor
import Telemetry

/// Clients that speak HTTP/2: bytes in, events out, one exchange for each stream. What an exchange does with its stream is in
/// +StreamBodies; frames go out in +Frames.
extension Worker {
    /// The connection speaks HTTP/2 from here on.
    /// - Parameter received: what the client has sent already, its preface first.
    func beginStreams(_ index: Int, _ received: UnsafeRawBufferPointer) {
        let client = clients.pointer(index)
        guard let session = http2Session(.server(rules(of: index).http2)) else {
            return closeClient(index, reset: true)
        }
        client.pointee.streams = StreamSessionPointer.make(session, at: now)
        client.pointee.phase = .streams
        client.pointee.headStarted = .never
        markDirty(client: index)
        feedStreams(index, received)
    }

    func readStreams(_ index: Int) {
        let client = clients.pointer(index)
        let token = Token(.client, index: index, generation: clients.generation(index))
        var reads = 0
        // Also while it reads nothing itself: what it sends may be what ends its streams (RFC 9113 §5.2.2). The budgets bound the rest.
        while clients.isLive(token), case .streams = client.pointee.phase, client.pointee.isReadable {
            guard reads < Self.readsPerTurn else { return deferClient(index) }
            reads += 1
            let n = receive(client)
            if n == -SystemError.again { return }
            guard n > 0 else { return streamsEnded(index) }
            feedStreams(index, UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: n))
        }
    }

    private func feedStreams(_ index: Int, _ bytes: UnsafeRawBufferPointer) {
        guard let streams = clients.pointer(index).pointee.streams else { return }
        let held = holdReceived()
        defer { giveBack(held) }
        let goesOn = streams.pointee.http2.receive(bytes, at: now)
        guard handleEvents(index, streams) else { return }
        markDirty(client: index)
        if !goesOn { breakStreams(index) }
    }

    /// Acts on all that the session has to tell.
    /// - Returns: false when the connection is gone, or about to be.
    func handleEvents(_ index: Int, _ streams: StreamSessionPointer) -> Bool {
        let token = Token(.client, index: index, generation: clients.generation(index))
        while let event = streams.pointee.http2.nextEvent() {
            streamEvent(index, streams, event)
            guard clients.isLive(token), case .streams = clients.pointer(index).pointee.phase else { return false }
        }
        if let faults = streams.pointee.http2.takeStreamFaults() { streamsReset(index, faults) }
        return true
    }

    @inline(never)
    private func streamsReset(_ index: Int, _ faults: HTTP2StreamFaults) {
        let client = clients.pointer(index)
        let counts: [(StreamFault, UInt64)] = [
            (.refused, faults.refused), (.headersTooLarge, faults.tooLarge), (.stalled, faults.stalled),
            (.malformed, faults.malformed),
        ]
        for (fault, count) in counts where count > 0 {
            if !isAdmin { metrics.streamsReset(client.pointee.label, fault, count: count) }
            report(.client(client.pointee.peer), fault.name)
        }
    }

    private func streamEvent(_ index: Int, _ streams: StreamSessionPointer, _ event: HTTP2Event) {
        switch event {
        case .head(let stream, let endsStream): requestReceived(index, streams, stream, endsStream)
        case .refusedHead(let stream, let fault): headRefused(index, streams, stream, fault)
        case .data(let stream, let bytes):
            guard let slot = exchange(on: streams, stream) else {
                streams.pointee.http2.consume(stream, bytes.count)
                return
            }
            bodyReceived(slot, bytes)
        case .trailers(let stream):
            guard let slot = exchange(on: streams, stream) else { return }
            exchanges.pointer(slot).pointee.requestTrailers.append(streams.pointee.http2.trailerText(stream))
            bodyEnded(slot)
        case .end(let stream):
            guard let slot = exchange(on: streams, stream) else { return }
            bodyEnded(slot)
        case .reset(let stream, _, _):
            guard let slot = exchange(on: streams, stream) else { return }
            abandonExchange(slot, .clientClosed)
        case .closed(let stream):
            guard let slot = exchange(on: streams, stream) else { return }
            // Both sides of a tunnel have ended, and what the client sent last may still be on its way.
            if case .tunnelled = exchanges.pointer(slot).pointee.step, exchanges.pointer(slot).pointee.streamHasEnded { return }
            abandonExchange(slot, .clientClosed)
        case .goAway, .settings, .pingAcknowledged: break
        }
    }

    /// The exchange of a stream, while it has one.
    func exchange(on streams: StreamSessionPointer, _ stream: HTTP2StreamID) -> Int? {
        guard let raw = streams.pointee.http2.token(stream), raw != 0 else { return nil }
        let token = Token(raw: raw)
        guard case .exchange = token.kind, exchanges.isLive(token) else { return nil }
        return token.index
    }

    private func requestReceived(_ index: Int, _ streams: StreamSessionPointer, _ stream: HTTP2StreamID, _ endsStream: Bool) {
        let slot = beginStream(index, streams, stream)
        let exchange = exchanges.pointer(slot)
        let text = streams.pointee.http2.headText(stream)
        let listener = Int(exchange.pointee.listener)
        let outcome = RequestParser.parse(
            RawSpan(_unsafeBytes: text), limits: listenerRules[listener].parser, into: &exchange.pointee.head)
        exchange.pointee.headBytes = text.count
        streams.pointee.http2.takeHead(stream)
        exchange.pointee.streamHasEnded = endsStream
        switch outcome {
        case .head:
            exchange.pointee.head.version = .http2
            // What follows an extended CONNECT is no body (RFC 8441 §5).
            if !endsStream, exchange.pointee.head.framing == .none, !streams.pointee.http2.isExtendedConnect(stream) {
                announceBody(&exchange.pointee.head)
            }
            if isTooOld(index) { drainStreams(index) }
            startExchange(slot, rest: .empty)
        case .refused(let fault): refuseHead(slot, fault, exchange.pointee.head.headers.storage.unsafeBytes)
        // Its text is complete by construction.
        case .needMore: refuseHead(slot, .notARequest, .empty)
        }
    }

    /// A body whose length nobody knows; a backend of HTTP/1.1 gets it in chunks.
    private func announceBody(_ head: inout RequestHead) {
        head.framing = .chunked
        if head.headers.firstIndex(of: .expect) != nil { head.expectsContinue = true }
    }

    private func headRefused(_ index: Int, _ streams: StreamSessionPointer, _ stream: HTTP2StreamID, _ fault: RequestFault) {
        let slot = beginStream(index, streams, stream)
        refuseHead(slot, fault, .empty)
    }

    private func beginStream(_ index: Int, _ streams: StreamSessionPointer, _ stream: HTTP2StreamID) -> Int {
        let (slot, generation) = exchanges.allocate()
        prepare(slot, generation, for: index)
        let exchange = exchanges.pointer(slot)
        exchange.pointee.clientStream = stream
        exchange.pointee.isPlain = false
        exchange.pointee.place = streams.pointee.add(slot: slot)
        streams.pointee.http2.setToken(stream, exchange.pointee.context.exchangeToken)
        return slot
    }

    /// An exchange leaves its connection. - Parameter isWhole: the answer was sent to its end.
    func leaveStream(_ slot: Int, _ ending: ProxyExchange.Ending.Client) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.client)
        guard let streams = clients.pointer(index).pointee.streams, let stream = exchange.pointee.clientStream else { return }
        let place = exchange.pointee.place
        if let moved = streams.pointee.remove(at: place) { exchanges.pointer(Int(moved)).pointee.place = place }
        streams.pointee.http2.setToken(stream, 0)
        let unread = exchange.pointee.streamInput.count
        if unread > 0 { streams.pointee.http2.consume(stream, unread) }
        switch ending {
        // The session says when the answer is written, and that the rest of the request is not wanted.
        case .keep, .close, .linger: break
        case .abort:
            let code: HTTP2ErrorCode = exchange.pointee.reason == .clientClosed ? .cancel : .internalError
            streams.pointee.http2.reset(stream, code)
        }
        streams.pointee.http2.released(stream, at: now)
        markDirty(client: index)
    }

    /// It has lasted as long as it may. (How many requests it may have, the session counts itself.)
    private func isTooOld(_ index: Int) -> Bool {
        let client = clients.pointer(index)
        guard case .serving = phase, let listener = listeners[Int(client.pointee.listener)].index else { return true }
        let age = listenerRules[listener].limits.connectionMaxAge
        return age != .forever && now.since(client.pointee.openedAt) >= age
    }

    /// Tells the client to open no more streams; those that it has opened are served (RFC 9113 §6.8).
    func drainStreams(_ index: Int) {
        let client = clients.pointer(index)
        guard let streams = client.pointee.streams, !streams.pointee.http2.isDraining else { return }
        streams.pointee.http2.drain()
        markDirty(client: index)
    }

    /// The time until something must happen on the connection itself, whatever its streams do. Each write ends with it.
    func armIdleStreams(_ index: Int) {
        let client = clients.pointer(index)
        guard let streams = client.pointee.streams, client.pointee.outgoing.isEmpty else { return }
        var deadline = streams.pointee.http2.nextDeadline
        if streams.pointee.slots.isEmpty {
            if streams.pointee.idleSince == .never { streams.pointee.idleSince = now }
            deadline = min(deadline, streams.pointee.idleSince + listenerLimits(index).keepaliveTimeout)
        } else {
            streams.pointee.idleSince = .never
        }
        if deadline == .never { client.pointee.deadline.clear() } else { armClient(index, deadline) }
    }

    func streamsTimerFired(_ index: Int) {
        let client = clients.pointer(index)
        guard let streams = client.pointee.streams else { return }
        if !client.pointee.outgoing.isEmpty {
            if !isAdmin { metrics.sessionEnded(client.pointee.label, .stalled) }
            return abandonStreams(index, .clientTimeout)
        }
        if streams.pointee.http2.nextDeadline <= now { streams.pointee.http2.deadlineFired(at: now) }
        markDirty(client: index)
        if streams.pointee.http2.failure != nil { return breakStreams(index) }
        if streams.pointee.slots.isEmpty, streams.pointee.idleSince != .never,
            now >= streams.pointee.idleSince + listenerLimits(index).keepaliveTimeout
        {
            streams.pointee.http2.goAway(.noError)
            endStreams(index)
        }
    }

    /// The client has closed its side, or the connection broke.
    private func streamsEnded(_ index: Int) {
        abandonAll(index, .clientClosed)
        closeClient(index)
    }

    /// The client has broken the rules for all its streams: it is told which one, and the connection ends.
    func breakStreams(_ index: Int) {
        let client = clients.pointer(index)
        guard let streams = client.pointee.streams else { return }
        if let failure = streams.pointee.http2.failure {
            let fault = SessionFault(failure)
            if !isAdmin { metrics.sessionEnded(client.pointee.label, fault) }
            report(.client(client.pointee.peer), fault.name)
        }
        abandonAll(index, .clientClosed)
        endStreams(index)
    }

    /// What is to be said is said, and then the connection closes in order.
    func endStreams(_ index: Int) {
        let token = Token(.client, index: index, generation: clients.generation(index))
        guard let streams = clients.pointer(index).pointee.streams, !streams.pointee.isEnding else { return }
        streams.pointee.isEnding = true
        writeFrames(index)
        guard clients.isLive(token), case .streams = clients.pointer(index).pointee.phase else { return }
        linger(index)
    }

    private func abandonStreams(_ index: Int, _ reason: Reason) {
        abandonAll(index, reason)
        closeClient(index, reset: true)
    }

    func abandonAll(_ index: Int, _ reason: Reason) {
        guard let streams = clients.pointer(index).pointee.streams else { return }
        while let slot = streams.pointee.slots.last { abandonExchange(Int(slot), reason) }
    }
}
