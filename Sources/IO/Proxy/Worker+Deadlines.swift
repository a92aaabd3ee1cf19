import Balancing
import Downstream
import Exchange
import Pooling
import Primitives
import Reactor
import Telemetry
import Upstream

/// The one timer of a request: for its time as a whole, and for whatever it waits for.
extension Worker {
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
        if exchange.pointee.upstreamDeadline <= now {
            exchange.pointee.upstreamDeadline = .never
            armExchange(slot)
            return backendTimedOut(slot)
        }
        if exchange.pointee.clientDeadline <= now {
            exchange.pointee.clientDeadline = .never
            armExchange(slot)
            return clientStalled(slot)
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
        case .tunnelled:
            tunnelTimedOut(slot)
        case .idle, .connecting, .forwarded, .answered, .collecting:
            break
        }
    }

    /// The request has had all the time that it may take.
    private func requestTimedOut(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let awaitsClient = awaitsClient(slot)
        switch exchange.pointee.step {
        case .queued: leaveQueue(slot)
        case .requestSuspended, .responseSuspended:
            // The stage that does not come back is passed over; those before it see the answer.
            exchange.pointee.heldResponse = nil
            let last = exchange.pointee.route.map { $0.pointee.stages - 1 } ?? -1
            exchange.pointee.responseStage = min(exchange.pointee.suspendedStage - 1, last)
        case .idle, .collecting, .connecting, .backingOff, .forwarded, .tunnelled, .answered: break
        }
        exchange.pointee.step = .idle
        if exchange.pointee.backend >= 0 {
            // The answer may have to wait for a stage: nothing of the backend may come in between.
            if awaitsClient { return refuseAfterFailure(slot, .bodyTimeout) }
            tellOutOfTime(slot)
            attemptEnded(slot, .upstreamTimeout)
            dropBackend(slot)
        }
        endTries(slot)
        switch exchange.pointee.machine.state {
        // It had ended with an answer of our own, which a stage held back.
        case .ended: refuse(slot, UpstreamFailure.timedOut.refusal)
        case .acquiring, .awaitingHead, .relaying:
            if fallsBackToAnswer(slot) { return }
            carryOut(exchange.pointee.machine.failed(.timedOut), slot)
        }
    }

    /// It is the client that the backend waits for.
    private func awaitsClient(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard case .forwarded = exchange.pointee.step, case .awaitingHead = exchange.pointee.machine.state,
            !exchange.pointee.machine.requestRead
        else { return false }
        return backendTakes(slot)
    }

    func armExchange(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.deadline.set(
            min(
                min(exchange.pointee.waitDeadline, exchange.pointee.requestDeadline),
                min(exchange.pointee.clientDeadline, exchange.pointee.upstreamDeadline)),
            Token(.exchange, index: slot, generation: exchanges.generation(slot)), on: &timers)
    }
}
