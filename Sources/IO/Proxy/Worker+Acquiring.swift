import Downstream
import Exchange
import Pooling
import Primitives
import Reactor
import Telemetry
import Upstream

/// A connection for a request: an idle one, a new one, or a place in the queue.
extension Worker {
    enum Acquired {
        /// The exchange's backend is set and ready.
        case connected
        /// Connecting, or queued.
        case waiting
        case failed(UpstreamFailure)
    }

    func acquire(_ slot: Int) -> Acquired {
        exchanges.pointer(slot).pointee.generation._withUnsafeGuaranteedRef { acquire(slot, $0) }
    }

    private func acquire(_ slot: Int, _ generation: Generation) -> Acquired {
        guard let service = exchanges.pointer(slot).pointee.route?.pointee.serviceReference else { return .failed(.noInstance) }
        return service._withUnsafeGuaranteedRef { acquire(slot, generation, $0) }
    }

    private func acquire(_ slot: Int, _ generation: Generation, _ service: ServiceRuntime) -> Acquired {
        let exchange = exchanges.pointer(slot)
        guard let first = service.wheel.pick(service.state.nextTurn()) else { return .failed(.noInstance) }
        // Almost always the first one has a connection to give.
        if !exchange.pointee.wantsFresh, first != Int(exchange.pointee.excluded),
            case .connected = reuse(slot, pool: generation.pools[service.firstInstance + first], instance: first)
        {
            return .connected
        }
        return search(slot, generation, service, from: first)
    }

    /// Goes through the instances from `first` on until one has, or may open, a connection.
    private func search(_ slot: Int, _ generation: Generation, _ service: ServiceRuntime, from first: Int) -> Acquired {
        let exchange = exchanges.pointer(slot)
        let count = service.instances.count
        var failure = UpstreamFailure.noInstance
        var isFull = false
        for step in 0..<count {
            let instance = (first + step) % count
            guard service.takesTraffic[instance] else { continue }
            if instance == Int(exchange.pointee.excluded), count > 1 { continue }
            switch lease(slot, pool: generation.pools[service.firstInstance + instance], instance: instance) {
            case .connected: return .connected
            case .waiting: return .waiting
            case .failed(.queueFull): isFull = true
            case .failed(let other): failure = other
            }
        }
        if !isFull, exchange.pointee.excluded >= 0 {
            // The one that failed is the only one there is.
            let again = Int(exchange.pointee.excluded)
            exchange.pointee.excluded = -1
            switch lease(slot, pool: generation.pools[service.firstInstance + again], instance: again) {
            case .failed(.queueFull): isFull = true
            case let other: return other
            }
        }
        guard isFull else { return .failed(failure) }
        return enqueue(slot, generation, service.index)
    }

    /// An idle connection, if the pool has one.
    private func reuse(_ slot: Int, pool: PoolPointer, instance: Int) -> Acquired {
        if pool.pointee.refreshAddresses() { closeIdle(pool) }
        guard let idle = pool.pointee.pool.lease() else { return .waiting }
        let backend = backends.pointer(Int(idle))
        backend.pointee.phase = .lent
        backend.pointee.isReused = true
        metrics.upstreamConnectionMoved(pool.pointee.label, from: .idle, to: .active)
        assign(slot, Int(idle), instance)
        return .connected
    }

    /// - Returns: `.failed(.queueFull)` when the instance has as many connections as it may.
    private func lease(_ slot: Int, pool: PoolPointer, instance: Int) -> Acquired {
        let exchange = exchanges.pointer(slot)
        if !exchange.pointee.wantsFresh, case .connected = reuse(slot, pool: pool, instance: instance) { return .connected }
        if !pool.pointee.state.slots.tryAcquire() {
            // A fresh one is wanted, and old ones hold all the places: one of them has to make room.
            guard exchange.pointee.wantsFresh, let idle = pool.pointee.pool.takeOldestIdle() else { return .failed(.queueFull) }
            closeBackend(Int(idle))
            guard pool.pointee.state.slots.tryAcquire() else { return .failed(.queueFull) }
        }
        return connect(slot, pool, instance)
    }

    private func connect(_ slot: Int, _ pool: PoolPointer, _ instance: Int) -> Acquired {
        let exchange = exchanges.pointer(slot)
        guard let address = pool.pointee.takeAddress() else {
            releaseSlot(pool)
            return .failed(.unresolved)
        }
        var raw = address.raw
        let fd = calls.connect(&raw)
        guard fd >= 0 else {
            releaseSlot(pool)
            return .failed(connectFailure(-Int(fd)))
        }
        let (index, generation) = backends.allocate()
        let backend = backends.pointer(index)
        backend.pointee = BackendConnection()
        backend.pointee.descriptor = fd
        backend.pointee.pool = pool.pointee.index
        backend.pointee.connectStarted = now
        pool.pointee.pool.opened()
        metrics.upstreamConnections(pool.pointee.label, .connecting, changedBy: 1)
        poller.addConnection(fd, Token(.backend, index: index, generation: generation))
        assign(slot, index, instance)
        exchange.pointee.step = .connecting
        if let route = exchange.pointee.route { armBackend(index, now + route.pointee.connectTimeout) }
        return .waiting
    }

    private func assign(_ slot: Int, _ backend: Int, _ instance: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.backend = Int32(backend)
        exchange.pointee.instance = Int32(instance)
        if let service = exchange.pointee.route?.pointee.serviceReference {
            exchange.pointee.context.instanceIndex = service._withUnsafeGuaranteedRef { $0.firstInstance } + instance
        }
        backends.pointer(backend).pointee.exchange = Int32(slot)
    }

    func connectFailure(_ error: Int) -> UpstreamFailure {
        switch error {
        case SystemError.connectionRefused: .connectRefused
        case SystemError.connectionTimedOut: .connectTimedOut
        default: .connectFailed
        }
    }

    private func enqueue(_ slot: Int, _ generation: Generation, _ service: Int) -> Acquired {
        let exchange = exchanges.pointer(slot)
        let runtime = generation.snapshot.services[service]
        guard runtime.state.enterQueue(limit: runtime.queue.maxPending) else { return .failed(.queueFull) }
        let pool = generation.pools[runtime.firstInstance]
        for instance in runtime.instances { instance.slots.markWaiting(index) }
        pool.pointee.queue.waiters.append(exchange.pointee.context.exchangeToken)
        waitingCount += 1
        metrics.queueLength(generation.snapshot.serviceLabels[service], changedBy: 1)
        exchange.pointee.step = .queued
        exchange.pointee.queuedAt = now
        exchange.pointee.waitDeadline = now + runtime.queue.timeout
        armExchange(slot)
        for instance in runtime.instances.indices { askForIdle(generation.pools[runtime.firstInstance + instance]) }
        // Looked at again at the end of the turn, so that a slot freed between the try and the mark is not missed.
        hasQueueWork = true
        return .waiting
    }

    /// Other workers may hold idle connections to the instance while requests wait here.
    private func askForIdle(_ pool: PoolPointer) {
        guard pool.pointee.state.slots.openCount > pool.pointee.pool.openCount else { return }
        control.giveBack(pool.pointee.state, for: index)
    }

    /// Another worker needs a connection to this instance more than an idle one is needed here.
    func giveBack(_ instance: InstanceState) {
        for case let pool? in pools where pool.pointee.state === instance && pool.pointee.queue.waiters.isEmpty {
            if let oldest = pool.pointee.pool.takeOldestIdle() { closeBackend(Int(oldest)) }
        }
    }

    /// Takes a request out of its queue, whose head it may be or not.
    func leaveQueue(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let generation = exchange.pointee.generation._withUnsafeGuaranteedRef { $0 }
        let service = exchange.pointee.context.serviceIndex
        let label = generation.snapshot.serviceLabels[service]
        let runtime = generation.snapshot.services[service]
        runtime.state.leaveQueue()
        // Whoever left unserved would make the queue look as though somebody waited.
        _ = generation.pools[runtime.firstInstance].pointee.queue.waiters.remove(exchange.pointee.context.exchangeToken)
        waitingCount -= 1
        exchange.pointee.queueTime = now.since(exchange.pointee.queuedAt)
        exchange.pointee.waitDeadline = .never
        exchange.pointee.step = .idle
        metrics.queueLength(label, changedBy: -1)
        metrics.queueWaited(label, for: exchange.pointee.queueTime)
    }

    /// Gives what has become free to those who wait, in their order.
    func serveQueues() {
        hasQueueWork = false
        for queue in queues {
            while let waiter = queue.waiters.popFirst() {
                let token = Token(raw: waiter)
                guard exchanges.isLive(token), case .queued = exchanges.pointer(token.index).pointee.step else { continue }
                guard serve(token.index, from: queue) else { break }
            }
        }
    }

    /// A slot has become free somewhere. Whoever has no use for it lets the next one know, or the wake-up would be lost.
    func slotFreed() {
        hasQueueWork = true
        for case let pool? in pools where pool.pointee.queue.waiters.isEmpty {
            if let worker = pool.pointee.state.slots.nextWaiting(after: index) { wake(worker, pool) }
        }
    }

    /// - Returns: false when there is nothing for it yet; it is first in the queue again.
    private func serve(_ slot: Int, from queue: ServiceQueue) -> Bool {
        let exchange = exchanges.pointer(slot)
        let generation = exchange.pointee.generation._withUnsafeGuaranteedRef { $0 }
        let service = generation.snapshot.services[exchange.pointee.context.serviceIndex]
        var failure: UpstreamFailure?
        var isFull = false
        for instance in service.instances.indices where service.takesTraffic[instance] {
            let pool = generation.pools[service.firstInstance + instance]
            service.instances[instance].slots.markWaiting(index)
            switch lease(slot, pool: pool, instance: instance) {
            case .connected:
                leaveQueue(slot)
                sendRequest(slot, UnsafeRawBufferPointer(start: nil, count: 0))
                return true
            case .waiting:
                let step = exchange.pointee.step
                leaveQueue(slot)
                exchange.pointee.step = step
                return true
            case .failed(.queueFull): isFull = true
            case .failed(let other): failure = other
            }
        }
        if isFull {
            queue.waiters.prepend(exchange.pointee.context.exchangeToken)
            return false
        }
        leaveQueue(slot)
        carryOut(exchange.pointee.machine.acquiringGivenUp(failure ?? .noInstance), slot)
        return true
    }

    func exchangeTimerFired(_ token: Token) {
        guard exchanges.isLive(token) else { return }
        let slot = token.index
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.deadline.fired(at: now, token, on: &timers) else { return }
        if exchange.pointee.requestDeadline <= now {
            exchange.pointee.requestDeadline = .never
            exchange.pointee.waitDeadline = .never
            return requestTimedOut(slot)
        }
        guard exchange.pointee.waitDeadline <= now else { return armExchange(slot) }
        exchange.pointee.waitDeadline = .never
        armExchange(slot)
        switch exchange.pointee.step {
        case .queued:
            leaveQueue(slot)
            carryOut(exchange.pointee.machine.acquiringGivenUp(.queueTimedOut), slot)
        case .requestSuspended, .responseSuspended:
            requestTimedOut(slot)
        case .idle, .connecting, .forwarded, .answered, .collecting:
            break
        }
    }

    /// The request has had all the time that it may take.
    private func requestTimedOut(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        switch exchange.pointee.step {
        case .queued: leaveQueue(slot)
        case .requestSuspended, .responseSuspended:
            // The stage that does not come back is passed over; those before it see the answer.
            exchange.pointee.heldResponse = nil
            let last = exchange.pointee.route.map { $0.pointee.stages - 1 } ?? -1
            exchange.pointee.responseStage = min(exchange.pointee.suspendedStage - 1, last)
        case .idle, .collecting, .connecting, .forwarded, .answered: break
        }
        exchange.pointee.step = .idle
        if exchange.pointee.backend >= 0 {
            // The answer may have to wait for a stage: nothing of the backend may come in between.
            attemptEnded(slot, .upstreamTimeout)
            dropBackend(slot)
        }
        switch exchange.pointee.machine.deadlineFired() {
        // It had ended with an answer of our own, which a stage held back.
        case .nothing: refuse(slot, UpstreamFailure.timedOut.refusal)
        case let recovery: carryOut(recovery, slot)
        }
    }

    func armExchange(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.deadline.set(
            min(exchange.pointee.waitDeadline, exchange.pointee.requestDeadline),
            Token(.exchange, index: slot, generation: exchanges.generation(slot)), on: &timers)
    }

    func releaseSlot(_ pool: PoolPointer) {
        guard let worker = pool.pointee.state.slots.release(by: index) else { return }
        wake(worker, pool)
    }

    /// Wakes a worker that waits for one of the instance's slots. The mark may be an old one of our own; then the next one's turn has come.
    private func wake(_ worker: Int, _ pool: PoolPointer) {
        var worker = worker
        while worker == index % ConnectionSlots.marks {
            hasQueueWork = true
            guard pool.pointee.queue.waiters.isEmpty, let next = pool.pointee.state.slots.nextWaiting(after: index) else {
                return
            }
            worker = next
        }
        control.slotFreed(worker: worker)
    }

    /// The instance's name leads elsewhere now.
    private func closeIdle(_ pool: PoolPointer) {
        for connection in pool.pointee.pool.takeIdle() { closeBackend(Int(connection)) }
    }
}
