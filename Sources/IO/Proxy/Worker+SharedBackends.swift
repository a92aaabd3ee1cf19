import Balancing
import Downstream
import Exchange
import HTTP1
import HTTP2
import HTTPMessages
import Multiplexing
import Pipeline
import Primitives
import Reactor
import Resilience
import Telemetry
import Upstream

/// Connections to backends that carry many requests at once (HTTP/2): how a request gets a stream of one, and what becomes of the connection.
/// What a request does with its stream is in +BackendStreams.
extension Worker {
    /// So long nothing may come from a backend before it is asked whether it is there.
    private static var silence: TimeAmount { .seconds(5) }

    // Getting a stream.

    /// A stream of a connection that is there, a place at one that is being made, or a new connection.
    func leaseStream(_ slot: Int, pool: PoolPointer, instance: Int) -> Acquired {
        if pool.pointee.refreshAddresses() { retireShared(pool) }
        // One that has refused, or broke, is not among them any more: a fresh one is not asked for.
        for i in pool.pointee.shared.indices {
            let index = Int(pool.pointee.shared[i])
            guard hasRoom(index, pool) else { continue }
            return join(slot, index, instance) ? .connected : .waiting
        }
        let found = open(slot, pool: pool, instance: instance)
        if case .waiting = found {
            let index = exchanges.pointer(slot).pointee.backend
            exchanges.pointer(slot).pointee.sharesBackend = true
            exchanges.pointer(slot).pointee.isPlain = false
            pool.pointee.shared.append(index)
        }
        return found
    }

    private func hasRoom(_ index: Int, _ pool: PoolPointer) -> Bool {
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams else {
            return backend.pointee.waiters.count < pool.pointee.dialect.streamsMax
        }
        return !streams.pointee.isDraining && (streams.pointee.http2.canOpenStream || !streams.pointee.hasSettings)
            && streams.pointee.slots.count < pool.pointee.dialect.streamsMax
    }

    /// The request shares the connection.
    /// - Returns: false when it has to wait until the connection is there, or until the backend has said how many streams it takes.
    private func join(_ slot: Int, _ index: Int, _ instance: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        let backend = backends.pointer(index)
        let owner = backend.pointee.exchange
        assign(slot, index, instance)
        backend.pointee.exchange = owner
        exchange.pointee.sharesBackend = true
        exchange.pointee.isPlain = false
        guard let streams = backend.pointee.streams else {
            exchange.pointee.step = .connecting
            backend.pointee.waiters.append(exchange.pointee.context.exchangeToken)
            return false
        }
        exchange.pointee.backendPlace = streams.pointee.add(slot: slot)
        guard streams.pointee.hasSettings else {
            awaitSettings(slot, streams)
            return false
        }
        return true
    }

    /// The request goes on when the backend has said what it allows.
    func awaitSettings(_ slot: Int, _ streams: StreamSessionPointer) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.step = .connecting
        exchange.pointee.upstreamDeadline = now + connectTimeout(slot)
        armExchange(slot)
        streams.pointee.waiters.append(exchange.pointee.context.exchangeToken)
    }

    // Its beginning.

    /// The connection stands, and its backend speaks HTTP/2: those who have waited for it go on.
    func beginShared(_ index: Int, _ pool: PoolPointer) {
        let backend = backends.pointer(index)
        guard
            let session = http2Session(
                .client(pool.pointee.dialect.http2(requestsPerConnection: pool.pointee.pool.policy.requestsPerConnection)))
        else {
            return connectBroken(index, .connectFailed)
        }
        let streams = StreamSessionPointer.make(session, at: now)
        backend.pointee.streams = streams
        backend.pointee.phase = .shared
        pool.pointee.speaksHTTP2 = true
        if !pool.pointee.shared.contains(Int32(index)) { pool.pointee.shared.append(Int32(index)) }
        let owner = Int(backend.pointee.exchange)
        backend.pointee.exchange = -1
        var tokens = [exchanges.pointer(owner).pointee.context.exchangeToken]
        tokens += backend.pointee.waiters
        backend.pointee.waiters = []
        for raw in tokens where exchanges.isLive(Token(raw: raw)) {
            let slot = Token(raw: raw).index
            exchanges.pointer(slot).pointee.sharesBackend = true
            exchanges.pointer(slot).pointee.isPlain = false
            exchanges.pointer(slot).pointee.backendPlace = streams.pointee.add(slot: slot)
        }
        markDirty(backend: index)
        // One stream can be opened at once; how many more, the backend's SETTINGS say (RFC 9113 §5.1.2).
        for (i, raw) in tokens.enumerated() where exchanges.isLive(Token(raw: raw)) {
            let slot = Token(raw: raw).index
            guard exchanges.pointer(slot).pointee.backend == Int32(index) else { continue }
            if i == 0 { sendOnConnection(slot) } else { awaitSettings(slot, streams) }
        }
        if backend.pointee.isReadable { deferBackend(index) }
    }

    /// The backend speaks HTTP/1.1 after all: whoever waited for a stream looks for a connection of its own.
    func sendWaitersAway(_ index: Int) {
        for raw in takeWaiters(index) where exchanges.isLive(Token(raw: raw)) { startTry(Token(raw: raw).index) }
    }

    /// Takes those who wait off the connection, which is not there yet.
    func takeWaiters(_ index: Int) -> [UInt64] {
        let backend = backends.pointer(index)
        let waiters = backend.pointee.waiters
        backend.pointee.waiters = []
        guard let pool = pools[Int(backend.pointee.pool)] else { return [] }
        for raw in waiters where exchanges.isLive(Token(raw: raw)) {
            let exchange = exchanges.pointer(Token(raw: raw).index)
            pool.pointee.requestEnded(wasOnTrial: exchange.pointee.isOnTrial)
            if let transitions { transitions.released(Token(raw: raw).index) }
            exchange.pointee.backend = -1
            exchange.pointee.sharesBackend = false
            exchange.pointee.step = .idle
        }
        return waiters
    }

    /// Those who have waited for a connection that failed.
    func failWaiters(_ waiters: [UInt64], _ failure: UpstreamFailure) {
        for raw in waiters where exchanges.isLive(Token(raw: raw)) {
            let slot = Token(raw: raw).index
            let verdict = verdict(slot, on: failure)
            var goesElsewhere = false
            if case .retry(let retry) = verdict { goesElsewhere = !retry.costsBudget }
            tell(slot, .connectFailed, goesElsewhere: goesElsewhere)
            tryFailed(slot, failure, verdict)
        }
    }

    /// A WebSocket on a stream has to wait until the backend has said whether it knows that (RFC 8441 §3).
    /// - Returns: nil while that is not known.
    func allowsTunnels(_ index: Int) -> Bool? {
        guard let streams = backends.pointer(index).pointee.streams else { return false }
        if streams.pointee.http2.peerAllowsExtendedConnect { return true }
        return streams.pointee.hasSettings ? false : nil
    }

    func settingsReceived(_ index: Int, _ streams: StreamSessionPointer) {
        streams.pointee.hasSettings = true
        let waiting = streams.pointee.waiters
        streams.pointee.waiters = []
        for raw in waiting where exchanges.isLive(Token(raw: raw)) {
            let slot = Token(raw: raw).index
            guard exchanges.pointer(slot).pointee.backend == Int32(index) else { continue }
            exchanges.pointer(slot).pointee.upstreamDeadline = .never
            if streams.pointee.http2.canOpenStream, !streams.pointee.isDraining {
                sendOnConnection(slot)
            } else {
                lookElsewhere(slot)
            }
        }
    }

    /// The connection has no stream for the request after all.
    private func lookElsewhere(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.owesOutcome = false
        dropBackend(slot)
        exchange.pointee.step = .idle
        startTry(slot)
    }

    /// What came on it was not HTTP: those who use it may end, and nobody else gets it (RFC 9113 §8.1.1).
    func distrust(_ slot: Int) {
        let index = Int(exchanges.pointer(slot).pointee.backend)
        guard index >= 0, let streams = backends.pointer(index).pointee.streams else { return }
        streams.pointee.isDraining = true
    }

    /// A stream was silent for too long: a PING tells whether the connection is dead, or only this answer slow.
    func probe(_ slot: Int) {
        let index = Int(exchanges.pointer(slot).pointee.backend)
        guard index >= 0, let streams = backends.pointer(index).pointee.streams else { return }
        streams.pointee.http2.ping(at: now)
        markDirty(backend: index)
    }

    /// Nobody takes what is still sent to it.
    func isBackendDeaf(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.sharesBackend else { return false }
        return backends.pointer(Int(exchange.pointee.backend)).pointee.streams?.pointee.takesNothing ?? false
    }

    /// It ends in good order, and its backend is well.
    func isBackendDraining(_ slot: Int) -> Bool {
        let index = Int(exchanges.pointer(slot).pointee.backend)
        guard index >= 0, let streams = backends.pointer(index).pointee.streams else { return false }
        return streams.pointee.isDraining
    }

    // Leaving it.

    /// The request is done with its stream. - Parameter isWhole: both directions were; otherwise the stream is cancelled.
    func leaveShared(_ slot: Int, isWhole: Bool) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.backend)
        let stream = exchange.pointee.backendStream
        let backend = backends.pointer(index)
        exchange.pointee.backend = -1
        exchange.pointee.sharesBackend = false
        exchange.pointee.backendStream = nil
        exchange.pointee.upstreamDeadline = .never
        guard let pool = pools[Int(backend.pointee.pool)] else { return }
        pool.pointee.requestEnded(wasOnTrial: exchange.pointee.isOnTrial)
        if let transitions { transitions.released(slot) }
        guard let streams = backend.pointee.streams else { return leaveUnfinished(slot, index, pool) }
        let place = exchange.pointee.backendPlace
        if let moved = streams.pointee.remove(at: place) { exchanges.pointer(Int(moved)).pointee.backendPlace = place }
        if let stream {
            let unread = exchange.pointee.backendInput.count
            if unread > 0 { streams.pointee.http2.consume(stream, unread) }
            streams.pointee.http2.setToken(stream, 0)
            if !isWhole { streams.pointee.http2.reset(stream, .cancel) }
            if !isWhole, exchange.pointee.reason != .clientClosed { askWhetherAlive(streams) }
            streams.pointee.http2.released(stream, at: now)
        }
        exchange.pointee.backendInput.discard()
        exchange.pointee.backendHasEnded = false
        if backend.pointee.requests >= pool.pointee.pool.policy.requestsPerConnection || pool.pointee.pool.isRetired {
            streams.pointee.isDraining = true
        }
        markDirty(backend: index)
        if waitingCount > 0 { hasQueueWork = true }
    }

    /// The connection is still being made. It goes with the last one who waits for it.
    private func leaveUnfinished(_ slot: Int, _ index: Int, _ pool: PoolPointer) {
        let backend = backends.pointer(index)
        let token = exchanges.pointer(slot).pointee.context.exchangeToken
        backend.pointee.waiters.removeAll { $0 == token || !exchanges.isLive(Token(raw: $0)) }
        guard backend.pointee.exchange == Int32(slot) else { return }
        guard let next = backend.pointee.waiters.first else { return destroyShared(index, .connecting) }
        backend.pointee.waiters.removeFirst()
        backend.pointee.exchange = Int32(Token(raw: next).index)
    }

    // Its end.

    /// No request uses it: it may stay for a while, unless it is to go.
    func sharedBackendIdle(_ index: Int) {
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams, let pool = pools[Int(backend.pointee.pool)] else { return }
        if streams.pointee.isDraining || streams.pointee.http2.wantsClose || pool.pointee.pool.isRetired {
            return closeShared(index)
        }
        if waitingCount == 0, pool.pointee.handsOver(worker: self.index, hasOwnWaiters: false) { return closeShared(index) }
        // What its backend sends meanwhile is no use of it.
        if streams.pointee.idleSince == .never { streams.pointee.idleSince = now }
        let end = streams.pointee.idleSince + pool.pointee.pool.policy.idleTimeout
        armBackend(index, min(end, streams.pointee.http2.nextDeadline))
    }

    /// Requests are on it: only the session itself may wait for something.
    func armShared(_ index: Int) {
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams else { return }
        let deadline = streams.pointee.http2.nextDeadline
        if deadline == .never { backend.pointee.deadline.clear() } else { armBackend(index, deadline) }
    }

    /// A request has had no answer: where nothing else has come for a while either, the backend is asked whether it is there, or requests
    /// would join the connection until the kernel gives it up.
    private func askWhetherAlive(_ streams: StreamSessionPointer) {
        guard now.since(streams.pointee.lastReceived) >= Self.silence, !streams.pointee.http2.awaitsPing else { return }
        streams.pointee.http2.ping(at: now)
    }

    /// Its time is over, or the session's.
    func sharedBackendTimerFired(_ index: Int) {
        guard let streams = backends.pointer(index).pointee.streams else { return }
        streams.pointee.http2.deadlineFired(at: now)
        if streams.pointee.http2.failure != nil { return breakShared(index) }
        if streams.pointee.slots.isEmpty, let pool = pools[Int(backends.pointer(index).pointee.pool)],
            streams.pointee.idleSince + pool.pointee.pool.policy.idleTimeout <= now
        {
            return closeShared(index)
        }
        markDirty(backend: index)
    }

    /// In good order: no request is on it.
    func closeShared(_ index: Int) {
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams, streams.pointee.slots.isEmpty else { return }
        streams.pointee.http2.goAway(.noError)
        writeLast(streams, to: backend)
        destroyShared(index, .active)
    }

    /// The backend has broken the rules for all its streams, or does not answer: that is told, and the connection ends.
    func breakShared(_ index: Int) {
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams else { return }
        if let failure = streams.pointee.http2.failure, let pool = pools[Int(backend.pointee.pool)] {
            report(.backend(pool.pointee.state.key.address), SessionFault(failure).name)
        }
        writeLast(streams, to: backend)
        sharedBackendEnded(index)
    }

    /// It takes nothing more. It may have answered before, and that is read first.
    func sharedBackendRejects(_ index: Int) {
        guard let streams = backends.pointer(index).pointee.streams, !streams.pointee.takesNothing else { return }
        streams.pointee.takesNothing = true
        streams.pointee.isDraining = true
        readLastWords(ofBackend: index)
    }

    /// It is gone, under its requests. Those whose answers are whole keep them, and what is left of the connection, until their clients
    /// have taken them.
    func sharedBackendEnded(_ index: Int) {
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams else { return }
        streams.pointee.isDraining = true
        streams.pointee.takesNothing = true
        backend.pointee.isReadable = false
        backend.pointee.deadline.clear()
        let token = Token(.backend, index: index, generation: backends.generation(index))
        while backends.isLive(token),
            let last = streams.pointee.slots.last(where: { !waitsForItsClient(Int($0)) })
        {
            let slot = Int(last)
            if exchanges.pointer(slot).pointee.backendHasEnded {
                tunnelStreamGone(slot)
            } else if case .relaying = exchanges.pointer(slot).pointee.machine.state {
                backendBroken(slot, .truncated)
            } else {
                backendBroken(slot, .closed)
            }
        }
        if backends.isLive(token), streams.pointee.slots.isEmpty { destroyShared(index, .active) }
    }

    /// Its answer has come whole, or all that its tunnel gets, and the client has not taken it all.
    private func waitsForItsClient(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        return exchange.pointee.backendHasEnded && exchange.pointee.tunnel?.pointee.backendHasEnded != true
    }

    private func destroyShared(_ index: Int, _ state: UpstreamConnectionState) {
        guard let pool = pools[Int(backends.pointer(index).pointee.pool)] else { return }
        pool.pointee.shared.removeAll { $0 == Int32(index) }
        pool.pointee.pool.lentClosed()
        metrics.upstreamConnections(pool.pointee.label, state, changedBy: -1)
        destroyBackend(index, pool)
    }

    /// Its requests may end; it gets no new ones.
    func retireShared(_ pool: PoolPointer) {
        for index in pool.pointee.shared {
            guard let streams = backends.pointer(Int(index)).pointee.streams else { continue }
            streams.pointee.isDraining = true
            if streams.pointee.slots.isEmpty { closeShared(Int(index)) }
        }
    }

    /// A connection without requests, in favour of another worker.
    /// - Returns: whether there was one.
    func closeIdleShared(_ pool: PoolPointer) -> Bool {
        for index in pool.pointee.shared {
            guard let streams = backends.pointer(Int(index)).pointee.streams, streams.pointee.slots.isEmpty else { continue }
            closeShared(Int(index))
            return true
        }
        return false
    }
}
