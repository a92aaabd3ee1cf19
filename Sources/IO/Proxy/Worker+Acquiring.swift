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
    func pick(_ slot: Int, _ generation: Generation, _ service: ServiceRuntime) -> Int? {
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
    func search(
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
    func lease(_ slot: Int, pool: PoolPointer, instance: Int) -> Acquired {
        let admission = pool.pointee.requestStarted()
        guard admission != .busy else { return .failed(.noInstance) }
        exchanges.pointer(slot).pointee.isOnTrial = admission == .onTrial
        let isShared = pool.pointee.speaksHTTP2 && !wantsOwnConnection(slot, pool)
        if !isShared, !exchanges.pointer(slot).pointee.wantsFresh, reuse(slot, pool: pool, instance: instance) {
            if let transitions { transitions.leased(slot, pool.pointee.state.key.address) }
            return .connected
        }
        let found =
            isShared ? leaseStream(slot, pool: pool, instance: instance) : open(slot, pool: pool, instance: instance)
        if case .failed = found {
            pool.pointee.requestEnded(wasOnTrial: admission == .onTrial)
        } else if let transitions {
            transitions.leased(slot, pool.pointee.state.key.address)
        }
        return found
    }

    /// A request that changes the protocol gets a connection of HTTP/1.1 where the backend has that too: not every one knows RFC 8441.
    func wantsOwnConnection(_ slot: Int, _ pool: PoolPointer) -> Bool {
        exchanges.pointer(slot).pointee.wantsTunnel && pool.pointee.dialect.http == .negotiated
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

    func open(_ slot: Int, pool: PoolPointer, instance: Int) -> Acquired {
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
        armBackend(index, now + connectTimeout(slot))
        return .waiting
    }

    @inline(__always)
    func assign(_ slot: Int, _ backend: Int, _ instance: Int) {
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

    /// The instance's name leads elsewhere now.
    func closeIdle(_ pool: PoolPointer) {
        for connection in pool.pointee.pool.takeIdle() { closeBackend(Int(connection)) }
    }
}
