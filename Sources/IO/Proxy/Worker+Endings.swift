import Downstream
import Exchange
import HTTPMessages
import Pipeline
import Pooling
import Primitives
import Reactor
import Telemetry
import Upstream

/// The end of a request, of an attempt, of a connection: what is counted, what is logged, what may be used again.
extension Worker {
    /// The one place where an exchange ends.
    func finish(_ slot: Int, _ ending: ProxyExchange.Ending) {
        let exchange = exchanges.pointer(slot)
        let clientIndex = Int(exchange.pointee.client)
        if exchange.pointee.backend >= 0 {
            attemptEnded(slot, exchange.pointee.reason)
            if ending.keepsBackend { returnBackend(slot) } else { dropBackend(slot) }
        }
        if let tunnel = exchange.pointee.tunnel { forgetTunnel(slot, tunnel) }
        if exchange.pointee.permit != nil { giveBackPermit(slot) }
        if exchange.pointee.holdsRetry || exchange.pointee.retriedFor != nil { retryEnded(slot, .failure) }
        if case .queued = exchange.pointee.step { leaveQueue(slot) }
        record(slot)
        let isStream = exchange.pointee.clientStream != nil
        if isStream { leaveStream(slot, ending.client) }
        exchange.pointee.deadline.cancel(on: &timers)
        exchange.pointee.generation._withUnsafeGuaranteedRef { $0.inFlight -= 1 }
        exchange.pointee.clear()
        exchanges.free(slot)
        if !retiring.isEmpty { dropRetired() }

        if isStream { return }
        let client = clients.pointer(clientIndex)
        client.pointee.exchange = -1
        switch ending.client {
        case .keep: awaitNext(clientIndex)
        case .close: linger(clientIndex, isLast: true)
        case .linger: linger(clientIndex)
        case .abort: closeClient(clientIndex, reset: true)
        }
    }

    private func awaitNext(_ index: Int) {
        let client = clients.pointer(index)
        client.pointee.phase = .head
        if client.pointee.outgoing.isEmpty { armIdleClient(index) }
        if !client.pointee.input.isEmpty {
            client.pointee.hasUnparsedInput = true
            deferClient(index)
        } else if client.pointee.isReadable {
            deferClient(index)
        }
    }

    /// Gives up a request whose client is gone, or has part of an answer that will not be completed. The client's connection is
    /// broken off, so that nobody takes the part for the whole (RFC 9112 §8).
    func abandonExchange(_ slot: Int, _ reason: Reason) {
        let exchange = exchanges.pointer(slot)
        let hasSaidWhy = endsCall(slot, reason)
        if let transitions { transitions.aborted(slot) }
        if case .queued = exchange.pointee.step { leaveQueue(slot) }
        exchange.pointee.reason = reason
        if exchange.pointee.status == 0 { exchange.pointee.status = Refusal.clientClosedStatus }
        if exchange.pointee.backend >= 0 {
            tell(slot, .clientGone)
            attemptEnded(slot, reason)
            dropBackend(slot)
        }
        var ending = exchange.pointee.machine.clientAborted()
        if hasSaidWhy { ending.client = exchange.pointee.streamHasEnded ? .keep : .linger }
        finish(slot, ending)
    }

    /// Counts one attempt.
    func attemptEnded(_ slot: Int, _ outcome: Reason) {
        let exchange = exchanges.pointer(slot)
        let instance = exchange.pointee.context.instanceIndex
        guard instance >= 0, exchange.pointee.backend >= 0 else { return }
        let wasForwarded = exchange.pointee.forwardedAt != .never
        let began =
            wasForwarded
            ? exchange.pointee.forwardedAt : backends.pointer(Int(exchange.pointee.backend)).pointee.connectStarted
        if wasForwarded { exchange.pointee.upstreamTime.nanoseconds &+= now.since(began).nanoseconds }
        exchange.pointee.forwardedAt = .never
        metrics.upstreamEnded(
            service: serviceLabel(slot),
            instance: exchange.pointee.generation._withUnsafeGuaranteedRef { $0.snapshot.instanceLabels[instance] },
            status: exchange.pointee.upstreamStatus,
            outcome: outcome, duration: now.since(began))
    }

    func serviceLabel(_ slot: Int) -> Label {
        let exchange = exchanges.pointer(slot)
        let service = exchange.pointee.context.serviceIndex
        guard service >= 0 else { return .none }
        return exchange.pointee.generation._withUnsafeGuaranteedRef { $0.snapshot.serviceLabels[service] }
    }

    /// The backend's connection goes back to its pool, if the pool takes it.
    private func returnBackend(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard !exchange.pointee.sharesBackend else { return leaveShared(slot, isWhole: true) }
        let index = Int(exchange.pointee.backend)
        let backend = backends.pointer(index)
        exchange.pointee.backend = -1
        backend.pointee.exchange = -1
        guard let pool = pools[Int(backend.pointee.pool)] else { return }
        pool.pointee.requestEnded(wasOnTrial: exchange.pointee.isOnTrial)
        if let transitions { transitions.released(slot) }
        let usage = ConnectionPool.Usage(
            responseEnded: true, requestSent: true, allowsReuse: true, requests: Int(backend.pointee.requests))
        switch pool.pointee.pool.checkIn(Int32(index), after: usage) {
        case .park:
            backend.pointee.phase = .idle
            metrics.upstreamConnectionMoved(pool.pointee.label, from: .active, to: .idle)
            armBackend(index, now + pool.pointee.pool.policy.idleTimeout)
            if waitingCount > 0 { hasQueueWork = true }
            let hasOwnWaiters = waitingCount > 0 && !pool.pointee.queue.waiters.isEmpty
            if pool.pointee.handsOver(worker: self.index, hasOwnWaiters: hasOwnWaiters) {
                // Another worker needs the place more.
                closeBackend(index)
            }
        case .close:
            metrics.upstreamConnections(pool.pointee.label, .active, changedBy: -1)
            destroyBackend(index, pool)
        }
    }

    /// The exchange's connection is not used again.
    func dropBackend(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.backend)
        guard index >= 0 else { return }
        if exchange.pointee.owesOutcome { tell(slot, .givenUp) }
        guard !exchange.pointee.sharesBackend else { return leaveShared(slot, isWhole: false) }
        exchange.pointee.backend = -1
        let backend = backends.pointer(index)
        backend.pointee.exchange = -1
        guard let pool = pools[Int(backend.pointee.pool)] else { return }
        pool.pointee.requestEnded(wasOnTrial: exchange.pointee.isOnTrial)
        if let transitions { transitions.released(slot) }
        pool.pointee.pool.lentClosed()
        let state: UpstreamConnectionState =
            switch backend.pointee.phase {
            case .connecting, .handshaking: .connecting
            case .lent, .shared, .idle: .active
            }
        metrics.upstreamConnections(pool.pointee.label, state, changedBy: -1)
        destroyBackend(index, pool)
    }

    /// An idle connection goes: too old, closed by the backend, or in the way.
    func closeBackend(_ index: Int) {
        let backend = backends.pointer(index)
        guard let pool = pools[Int(backend.pointee.pool)] else { return }
        // Those taken out of the pool to be closed are not in it any more.
        _ = pool.pointee.pool.idleClosed(Int32(index))
        metrics.upstreamConnections(pool.pointee.label, .idle, changedBy: -1)
        destroyBackend(index, pool)
    }

    func destroyBackend(_ index: Int, _ pool: PoolPointer) {
        let backend = backends.pointer(index)
        backend.pointee.deadline.cancel(on: &timers)
        sayFarewell(backend)
        if let tls = backend.pointee.tls { tls.free() }
        backend.pointee.tls = nil
        if let streams = backend.pointee.streams { streams.free() }
        backend.pointee.streams = nil
        backend.pointee.input.discard()
        backend.pointee.outgoing.discard()
        calls.close(backend.pointee.descriptor, 0)
        backend.pointee.descriptor = -1
        backends.free(index)
        releaseSlot(pool)
    }

    private func record(_ slot: Int) {
        exchanges.pointer(slot).pointee.generation._withUnsafeGuaranteedRef { record(slot, $0.snapshot) }
    }

    private func record(_ slot: Int, _ snapshot: GatewaySnapshot) {
        let exchange = exchanges.pointer(slot)
        let route = exchange.pointee.context.routeIndex
        let total = Instant(nanoseconds: calls.monotonic()).since(exchange.pointee.started)
        let upstream = exchange.pointee.upstreamTime
        let waited = upstream.nanoseconds &+ exchange.pointee.queueTime.nanoseconds &+ exchange.pointee.connectTime.nanoseconds
        let overhead = TimeAmount(nanoseconds: total.nanoseconds > waited ? total.nanoseconds - waited : 0)
        let figures = RequestFigures(
            listener: snapshot.listenerLabels[Int(exchange.pointee.listener)],
            route: route >= 0 ? snapshot.routeLabels[route] : .none, service: serviceLabel(slot),
            method: exchange.pointee.head.method, version: exchange.pointee.head.version, status: exchange.pointee.status,
            reason: exchange.pointee.reason,
            duration: total, overhead: overhead,
            bytesIn: UInt64(exchange.pointee.headBytes) + exchange.pointee.requestBytes,
            bytesOut: exchange.pointee.responseBytes)
        guard !isAdmin else { return metrics.administered(status: exchange.pointee.status) }
        metrics.requestEnded(figures, wasStarted: exchange.pointee.isCounted)
        let isLogged = exchange.pointee.status != 200 || exchange.pointee.route?.pointee.isLogged ?? true
        guard accessLog != nil, isLogged else { return }
        log(slot, figures, snapshot)
    }
}
