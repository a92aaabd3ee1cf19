import Balancing
import Exchange
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Resilience
import Telemetry
import Upstream

/// After a try that failed: another one, something else that answers, or the refusal.
extension Worker {
    /// The try is over: its connection is gone, and what became of it has been told.
    func tryFailed(_ slot: Int, _ failure: UpstreamFailure, anyResponseByte: Bool = false) {
        tryFailed(slot, failure, verdict(slot, on: failure, anyResponseByte: anyResponseByte))
    }

    /// What the service's policy says to the failure of the try under way.
    func verdict(_ slot: Int, on failure: UpstreamFailure, anyResponseByte: Bool = false) -> RetryPolicy.Verdict {
        let exchange = exchanges.pointer(slot)
        guard let service = exchange.pointee.service else { return .giveUp(.notWanted) }
        return service._withUnsafeGuaranteedRef { service in
            exchange.pointee.machine.verdict(
                on: failure, circumstances(slot, anyResponseByte: anyResponseByte), policy: service.retry,
                random: &random)
        }
    }

    func tryFailed(_ slot: Int, _ failure: UpstreamFailure, _ verdict: RetryPolicy.Verdict) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.step = .idle
        retryEnded(slot, .failure)
        switch verdict {
        case .retry(let retry):
            // Where the connection was at fault, the instance was not.
            if retry.connection == .otherInstance, exchange.pointee.instance >= 0 {
                exchange.pointee.tried.add(Int(exchange.pointee.instance))
            }
            if pays(slot, for: retry) { return startRetry(slot, retry, cause: failure.refusal.reason) }
            metrics.retried(serviceLabel(slot), failure.refusal.reason, .denied)
        case .giveUp(.noTimeLeft) where exchange.pointee.requestDeadline <= now:
            // The timer would have said so in a moment.
            return giveUp(slot, .timedOut)
        case .giveUp(.attemptsSpent), .giveUp(.noTimeLeft):
            metrics.retried(serviceLabel(slot), failure.refusal.reason, .denied)
        case .giveUp(.notSafe) where failure == .closed:
            metrics.retried(serviceLabel(slot), failure.refusal.reason, .denied)
        case .giveUp: break
        }
        giveUp(slot, failure)
    }

    /// A response of which nothing has been passed on, by whose status the service may be tried again.
    /// - Returns: true when something else is done; the response is gone then.
    func triesAgain(_ slot: Int, insteadOf status: UInt16) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let service = exchange.pointee.service else { return false }
        let verdict = service._withUnsafeGuaranteedRef { service in
            var circumstances = circumstances(slot, anyResponseByte: true)
            circumstances.retryAfter = retryAfter(response)
            return exchange.pointee.machine.verdict(
                onStatus: status, circumstances, policy: service.retry, random: &random)
        }
        guard case .retry(let retry) = verdict else { return false }
        guard pays(slot, for: retry) else {
            metrics.retried(serviceLabel(slot), .upstreamStatus, .denied)
            return false
        }
        attemptEnded(slot, .ok)
        exchange.pointee.tried.add(Int(exchange.pointee.instance))
        dropBackend(slot)
        exchange.pointee.step = .idle
        countRetry(slot, .failure)
        startRetry(slot, retry, cause: .upstreamStatus)
        return true
    }

    private func circumstances(_ slot: Int, anyResponseByte: Bool) -> ProxyExchange.Circumstances {
        let exchange = exchanges.pointer(slot)
        var circumstances = ProxyExchange.Circumstances()
        circumstances.anyResponseByte = anyResponseByte
        circumstances.isRetriedElsewhere = exchange.pointee.context.isRetriedElsewhere
        circumstances.hasOtherInstance = hasOtherInstance(slot)
        if exchange.pointee.requestDeadline != .never {
            circumstances.remaining = exchange.pointee.requestDeadline.since(now)
        }
        return circumstances
    }

    /// Whether there is an instance on which the request has not failed. As many are remembered as there are tries.
    func hasOtherInstance(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.machine.attempts < TriedInstances.room, let service = exchange.pointee.service else {
            return false
        }
        let current = Int(exchange.pointee.instance)
        // Another address of the same name is as good.
        if let pool = pool(of: slot), exchange.pointee.machine.attempts + 1 < pool.pointee.addressCount { return true }
        return service._withUnsafeGuaranteedRef { service in
            service.instances.indices.contains {
                $0 != current && service.takesTraffic[$0] && !exchange.pointee.tried.contains($0)
                    && service.instances[$0].load.takesRequests
            }
        }
    }

    /// `Retry-After` in seconds; a date says nothing here (RFC 9110 §10.2.3).
    private func retryAfter(_ head: borrowing ResponseHead) -> TimeAmount? {
        guard let index = head.headers.firstIndex(of: .retryAfter) else { return nil }
        let text = head.headers.value(index)
        guard text.byteCount > 0, text.byteCount < 10 else { return nil }
        var seconds: UInt64 = 0
        for i in 0..<text.byteCount {
            guard ASCII.isDigit(text[i]) else { return nil }
            seconds = seconds * 10 + UInt64(text[i] - ASCII.zero)
        }
        return .seconds(seconds)
    }

    private func pays(_ slot: Int, for retry: RetryPolicy.Retry) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard retry.costsBudget else { return true }
        guard let service = exchange.pointee.service,
            service._withUnsafeGuaranteedRef({ $0.state.budget.withdraw(at: now) })
        else { return false }
        // The one before has ended, if there was one.
        if exchange.pointee.holdsRetry { service._withUnsafeGuaranteedRef { $0.state.budget.retryEnded() } }
        exchange.pointee.holdsRetry = true
        return true
    }

    /// The try under way, if it was a retry, has come to something.
    func retryEnded(_ slot: Int, _ result: RetryResult) {
        let exchange = exchanges.pointer(slot)
        countRetry(slot, result)
        guard exchange.pointee.holdsRetry else { return }
        exchange.pointee.holdsRetry = false
        exchange.pointee.service?._withUnsafeGuaranteedRef { $0.state.budget.retryEnded() }
    }

    private func countRetry(_ slot: Int, _ result: RetryResult) {
        let exchange = exchanges.pointer(slot)
        guard let cause = exchange.pointee.retriedFor else { return }
        exchange.pointee.retriedFor = nil
        metrics.retried(serviceLabel(slot), cause, result)
    }

    private func startRetry(_ slot: Int, _ retry: RetryPolicy.Retry, cause: Reason) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.machine.retrying(retry)
        if let transitions, retry.costsBudget { transitions.retried(slot) }
        exchange.pointee.retriedFor = cause
        exchange.pointee.upstreamStatus = 0
        exchange.pointee.wantsFresh = if case .fresh = retry.connection { true } else { false }
        restoreBody(slot)
        guard retry.after > .zero else { return startTry(slot) }
        exchange.pointee.step = .backingOff
        exchange.pointee.waitDeadline = now + retry.after
        excuseClient(slot)
        armExchange(slot)
    }

    /// Looks for a connection: after a wait, or for another try.
    func startTry(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.step = .idle
        if let refusal = barred(slot) { return refuseUnsent(slot, refusal) }
        switch acquire(slot) {
        case .connected: sendAtOnce(slot)
        // The client is not to be blamed for what it cannot send meanwhile.
        case .waiting: excuseClient(slot)
        case .failed(let failure): noneFound(slot, failure)
        }
    }

    /// There is no instance for it, or none that can be reached.
    func noneFound(_ slot: Int, _ failure: UpstreamFailure) {
        tellUnreachable(slot)
        giveUp(slot, failure)
    }

    /// What was read of the body stands in front of what is still to come.
    func restoreBody(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.requestBody = bodyReader(slot)
        exchange.pointee.requestBytes = 0
        exchange.pointee.requestTrailers.discard()
        guard !exchange.pointee.keptBody.isEmpty else { return }
        if exchange.pointee.clientStream != nil {
            exchange.pointee.keptBody.append(exchange.pointee.streamInput.bytes)
            exchange.pointee.streamInput.discard()
            exchange.pointee.streamInput = exchange.pointee.keptBody
            exchange.pointee.keptBody = Incoming()
            return
        }
        let client = clients.pointer(Int(exchange.pointee.client))
        exchange.pointee.keptBody.append(client.pointee.input.bytes)
        client.pointee.input.discard()
        client.pointee.input = exchange.pointee.keptBody
        exchange.pointee.keptBody = Incoming()
    }

    /// Nothing more is tried at this service.
    func giveUp(_ slot: Int, _ failure: UpstreamFailure) {
        endTries(slot)
        if fallsBack(slot) { return }
        carryOut(exchanges.pointer(slot).pointee.machine.failed(failure), slot)
    }

    /// The gateway has decided not to send the request.
    func refuseUnsent(_ slot: Int, _ refusal: Refusal) {
        endTries(slot)
        if fallsBack(slot) { return }
        guard exchanges.pointer(slot).pointee.machine.failed(.noInstance) != .nothing else { return }
        refuse(slot, refusal.jittered(by: random.next()))
    }

    /// No further try is made: a permit of the breaker still held goes back, and a retry that was counted has failed.
    func endTries(_ slot: Int) {
        if let transitions { transitions.refused(slot) }
        giveBackPermit(slot)
        retryEnded(slot, .failure)
    }
}
