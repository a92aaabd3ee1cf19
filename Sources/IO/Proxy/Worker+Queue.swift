import Balancing
import Downstream
import Exchange
import Pooling
import Primitives
import Reactor
import Telemetry
import Upstream

/// Requests that wait for a connection to their service, first come, first served, and the slots that wake them.
extension Worker {
    func enqueue(_ slot: Int, _ generation: Generation, _ runtime: ServiceRuntime) -> Acquired {
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
            if let oldest = pool.pointee.pool.takeOldestIdle() {
                closeBackend(Int(oldest))
            } else {
                _ = closeIdleShared(pool)
            }
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
            sendAtOnce(slot)
        case .waiting:
            let step = exchange.pointee.step
            leaveQueue(slot)
            exchange.pointee.step = step
        case .failed(.queueFull):
            queue.waiters.prepend(exchange.pointee.context.exchangeToken)
            return false
        case .failed(let failure):
            leaveQueue(slot)
            noneFound(slot, failure)
        }
        return true
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
}
