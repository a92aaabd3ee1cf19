import Balancing
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
        guard let service = exchanges.pointer(slot).pointee.service else { return .failed(.noInstance) }
        return service._withUnsafeGuaranteedRef { acquire(slot, generation, $0) }
    }

    private func acquire(_ slot: Int, _ generation: Generation, _ service: ServiceRuntime) -> Acquired {
        guard let first = pick(slot, generation, service) else {
            return service.awaitsFirstCheck(at: now) ? enqueue(slot, generation, service) : .failed(.noInstance)
        }
        // Almost always the first one has a connection to give.
        switch lease(slot, pool: generation.pools[service.firstInstance + first], instance: first) {
        case .connected: return .connected
        case .waiting: return .waiting
        case .failed(let failure):
            let found = search(slot, generation, service, behind: first, failure)
            guard case .failed(.queueFull) = found else { return found }
            return enqueue(slot, generation, service)
        }
    }

    /// The instance whose turn it is; one on which the request has failed only where there is no other.
    private func pick(_ slot: Int, _ generation: Generation, _ service: ServiceRuntime) -> Int? {
        let exchange = exchanges.pointer(slot)
        let request = Balancer.Request(key: exchange.pointee.hashKey, session: Int(exchange.pointee.session))
        let balancer = generation.balancers + service.index
        if let found = balancer.pointee.pick(request, excluding: exchange.pointee.tried, random: &random, at: now) {
            return found
        }
        guard !exchange.pointee.tried.isEmpty else { return nil }
        exchange.pointee.tried = TriedInstances()
        return balancer.pointee.pick(request, excluding: exchange.pointee.tried, random: &random, at: now)
    }

    /// Goes through the other instances until one has, or may open, a connection.
    /// - Returns: `.failed(.queueFull)` when at least one of them is only busy.
    private func search(
        _ slot: Int, _ generation: Generation, _ service: ServiceRuntime, behind first: Int, _ failure: UpstreamFailure
    ) -> Acquired {
        var failure = failure
        var isFull = failure == .queueFull
        var passed = exchanges.pointer(slot).pointee.tried
        passed.add(first)
        var last = first
        let balancer = generation.balancers + service.index
        for _ in 1..<max(1, service.instances.count) {
            guard let instance = balancer.pointee.next(after: last, excluding: passed, at: now), instance != first else { break }
            switch lease(slot, pool: generation.pools[service.firstInstance + instance], instance: instance) {
            case .connected: return .connected
            case .waiting: return .waiting
            case .failed(.queueFull): isFull = true
            case .failed(let other): failure = other
            }
            passed.add(instance)
            last = instance
        }
        return .failed(isFull ? .queueFull : failure)
    }

    /// A connection to the instance, and the request counted as one of its own.
    /// - Returns: `.failed(.queueFull)` when the instance has as many connections as it may.
    private func lease(_ slot: Int, pool: PoolPointer, instance: Int) -> Acquired {
        guard pool.pointee.requestStarted() else { return .failed(.noInstance) }
        if !exchanges.pointer(slot).pointee.wantsFresh, reuse(slot, pool: pool, instance: instance) {
            if let transitions { transitions.leased(slot, pool.pointee.state.key.address) }
            return .connected
        }
        let found = open(slot, pool: pool, instance: instance)
        if case .failed = found {
            pool.pointee.requestEnded()
        } else if let transitions {
            transitions.leased(slot, pool.pointee.state.key.address)
        }
        return found
    }

    /// An idle connection, if the pool has one.
    @inline(__always)
    private func reuse(_ slot: Int, pool: PoolPointer, instance: Int) -> Bool {
        if pool.pointee.refreshAddresses() { closeIdle(pool) }
        guard let idle = pool.pointee.pool.lease() else { return false }
        let backend = backends.pointer(Int(idle))
        backend.pointee.phase = .lent
        backend.pointee.isReused = true
        metrics.upstreamConnectionMoved(pool.pointee.label, from: .idle, to: .active)
        assign(slot, Int(idle), instance)
        return true
    }

    private func open(_ slot: Int, pool: PoolPointer, instance: Int) -> Acquired {
        let exchange = exchanges.pointer(slot)
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
            unreachable(slot, pool)
            return .failed(.unresolved)
        }
        var raw = address.raw
        let fd = calls.connect(&raw)
        guard fd >= 0 else {
            releaseSlot(pool)
            // Our own descriptors having run out says nothing of the instance.
            if !SystemError.isShortage(-Int(fd)) { unreachable(slot, pool) }
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

    @inline(__always)
    private func assign(_ slot: Int, _ backend: Int, _ instance: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.backend = Int32(backend)
        exchange.pointee.instance = Int32(instance)
        exchange.pointee.triedAt = now
        exchange.pointee.owesOutcome = true
        if let service = exchange.pointee.service {
            exchange.pointee.context.instanceIndex = service._withUnsafeGuaranteedRef { $0.firstInstance } + instance
        }
        backends.pointer(backend).pointee.exchange = Int32(slot)
    }

    /// Whether the instance still takes requests now that its connection stands.
    func stillTakesRequests(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let service = exchange.pointee.service else { return false }
        return exchange.pointee.generation._withUnsafeGuaranteedRef { generation in
            service._withUnsafeGuaranteedRef {
                generation.balancers[$0.index].takesRequests(Int(exchange.pointee.instance))
            }
        }
    }

    func connectFailure(_ error: Int) -> UpstreamFailure {
        switch error {
        case SystemError.connectionRefused: .connectRefused
        case SystemError.connectionTimedOut: .connectTimedOut
        default: .connectFailed
        }
    }

    private func enqueue(_ slot: Int, _ generation: Generation, _ runtime: ServiceRuntime) -> Acquired {
        let exchange = exchanges.pointer(slot)
        let service = runtime.index
        guard runtime.state.enterQueue(limit: runtime.queue.maxPending) else { return .failed(.queueFull) }
        let pool = generation.pools[runtime.firstInstance]
        for instance in runtime.instances { instance.slots.markWaiting(index) }
        pool.pointee.queue.waiters.append(exchange.pointee.context.exchangeToken)
        waitingCount += 1
        metrics.queueLength(generation.snapshot.serviceLabels[service], changedBy: 1)
        exchange.pointee.step = .queued
        if let transitions { transitions.queued(slot) }
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
        if let refusal = stillMayBeSent(slot) {
            leaveQueue(slot)
            refuseUnsent(slot, refusal)
            return true
        }
        for instance in service.instances { instance.slots.markWaiting(index) }
        // Whoever waits for the first check of an instance goes on waiting for it.
        var found = Acquired.failed(service.awaitsFirstCheck(at: now) ? .queueFull : .noInstance)
        if let first = pick(slot, generation, service) {
            found = lease(slot, pool: generation.pools[service.firstInstance + first], instance: first)
            if case .failed(let failure) = found { found = search(slot, generation, service, behind: first, failure) }
        }
        switch found {
        case .connected:
            leaveQueue(slot)
            sendRequest(slot, UnsafeRawBufferPointer(start: nil, count: 0))
        case .waiting:
            let step = exchange.pointee.step
            leaveQueue(slot)
            exchange.pointee.step = step
        case .failed(.queueFull):
            queue.waiters.prepend(exchange.pointee.context.exchangeToken)
            return false
        case .failed(let failure):
            leaveQueue(slot)
            giveUp(slot, failure)
        }
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
            let isServed = exchange.pointee.service?._withUnsafeGuaranteedRef { $0.isServed } ?? true
            giveUp(slot, isServed ? .queueTimedOut : .noInstance)
        case .backingOff:
            startTry(slot)
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
        case .idle, .collecting, .connecting, .backingOff, .forwarded, .answered: break
        }
        exchange.pointee.step = .idle
        if exchange.pointee.backend >= 0 {
            // The answer may have to wait for a stage: nothing of the backend may come in between.
            tell(slot, exchange.pointee.deadlineIsAnnounced ? .givenUp : .timedOut)
            attemptEnded(slot, .upstreamTimeout)
            dropBackend(slot)
        }
        if let transitions { transitions.refused(slot) }
        giveBackPermit(slot)
        retryEnded(slot, .failure)
        switch exchange.pointee.machine.state {
        // It had ended with an answer of our own, which a stage held back.
        case .ended: refuse(slot, UpstreamFailure.timedOut.refusal)
        case .acquiring, .awaitingHead, .relaying:
            if fallsBackToAnswer(slot) { return }
            carryOut(exchange.pointee.machine.failed(.timedOut), slot)
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
