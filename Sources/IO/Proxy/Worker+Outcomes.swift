import Health
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Resilience
import Telemetry
import Upstream

/// What became of a try, told to all who judge the instance and the service by it.
extension Worker {
    /// To be called once for each try: as soon as the response's head is here, or the try has failed. What comes later says
    /// nothing of how fast it answers.
    /// - Parameter goesElsewhere: the request has not been read by anybody and goes to another instance: that says nothing of the
    ///   service as a whole.
    func tell(_ slot: Int, _ outcome: CallOutcome, goesElsewhere: Bool = false) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.owesOutcome else { return }
        exchange.pointee.owesOutcome = false
        if let transitions { transitions.judged(slot, outcome, goesElsewhere: goesElsewhere) }
        let duration = now.since(exchange.pointee.triedAt)
        if outcome.weight == .failure {
            recordFailureAtBreaker(slot, goesElsewhere ? .givenUp : outcome, duration)
        } else {
            recordAtBreaker(slot, outcome, duration)
        }
        guard outcome.weight != .nothing, let pool = pool(of: slot) else { return }
        pool.pointee.stateReference._withUnsafeGuaranteedRef { instance in
            switch outcome {
            case .answered, .serverError:
                if let change = instance.answered(at: now) { changed(.health(instance.key, change)) }
                if outcome == .serverError { suspect(instance, slot) }
                if pool.pointee.seen.add(isServerError: outcome == .serverError, latency: duration, at: now) {
                    tellSeen(pool, instance)
                }
            case .connectFailed, .timedOut, .broken: failed(slot, instance, after: duration)
            case .stale, .clientGone, .givenUp: break
            }
        }
        guard let service = exchange.pointee.service else { return }
        service._withUnsafeGuaranteedRef { judge($0, pool, outcome, duration) }
    }

    private func judge(_ service: ServiceRuntime, _ pool: PoolPointer, _ outcome: CallOutcome, _ duration: TimeAmount) {
        if service.detectsOutliers {
            let event = pool.pointee.stateReference._withUnsafeGuaranteedRef { instance -> ServiceEvent? in
                // Who is taken for dead comes back when it answers, and not when the time of an ejection is over.
                if outcome != .answered, instance.load.status.health == .failed {
                    service.state.outliers.forgive(instance)
                    return nil
                }
                return service.outliers._withUnsafeGuaranteedRef {
                    $0.record(outcome, instance, duration: duration, at: now, random: &random)
                }
            }
            if let event { changed(event) }
        }
        if let decay = service.latencyDecay {
            pool.pointee.latencyMeasured(duration, failed: outcome.weight == .failure, decay: decay, at: now)
        }
        // A failure that took no time would make the service look quick.
        if service.adaptsConcurrency, outcome == .answered {
            service.state.concurrency.answered(after: duration, at: now, random: &random)
        }
    }

    @inline(__always)
    private func recordAtBreaker(
        _ slot: Int, _ outcome: CallOutcome, _ duration: TimeAmount, _ culprit: CircuitBreaker.Culprit = .service
    ) {
        let exchange = exchanges.pointer(slot)
        guard let breaker = exchange.pointee.breaker else { return }
        let permit = exchange.pointee.permit
        exchange.pointee.permit = nil
        breaker._withUnsafeGuaranteedRef { breaker in
            let transition = breaker.shared.record(
                outcome, permit: permit, duration: duration, by: index, at: now, random: &random, culprit: culprit)
            if let transition { breakerChanged(breaker, transition) }
        }
    }

    /// A failure of an instance that has been taken out meanwhile is known already, and is no failure of the service. Of probes all count.
    private func recordFailureAtBreaker(_ slot: Int, _ outcome: CallOutcome, _ duration: TimeAmount) {
        let exchange = exchanges.pointer(slot)
        let instance = Int(exchange.pointee.instance)
        guard exchange.pointee.breaker != nil, instance >= 0, let service = exchange.pointee.service else { return }
        let (isOut, hasOthers) = service._withUnsafeGuaranteedRef { service in
            (!service.instances[instance].load.takesRequests, service.isServed(without: instance))
        }
        if isOut, hasOthers, exchange.pointee.permit == nil { return }
        recordAtBreaker(slot, outcome, duration, hasOthers ? .instance(UInt32(truncatingIfNeeded: instance)) : .service)
    }

    /// No instance could be reached, and none of them was tried for longer than it took to say so.
    func tellUnreachable(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.wasUnreachable else { return }
        exchange.pointee.wasUnreachable = false
        recordAtBreaker(slot, .connectFailed, .zero)
    }

    /// A request that was to be a probe and was never sent.
    func giveBackPermit(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.permit != nil else { return }
        recordAtBreaker(slot, .givenUp, .zero)
    }

    func breakerChanged(_ breaker: NamedBreaker, _ transition: CircuitBreaker.Transition) {
        changed(.breaker(service: breaker.service, route: breaker.route, transition))
    }

    private func changed(_ event: ServiceEvent) {
        if let transitions { transitions.changed(event) }
        control.changed(event)
    }

    /// The request's own time is up. That says something of the instance only where it has had a while: a retry may begin when
    /// little is left.
    func tellOutOfTime(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        if now.since(exchange.pointee.triedAt) >= Self.fairTime { return tell(slot, .timedOut) }
        if let pool = pool(of: slot) { pool.pointee.stateReference._withUnsafeGuaranteedRef { suspect($0, slot) } }
        tell(slot, .givenUp)
    }

    private static var fairTime: TimeAmount { .milliseconds(500) }

    /// A response that had begun broke off: nobody waits for the try's outcome any more, but it is evidence.
    func tellBrokenOff(_ slot: Int) {
        guard let pool = pool(of: slot) else { return }
        if let transitions { transitions.failed(pool.pointee.state.key) }
        let duration = now.since(exchanges.pointer(slot).pointee.triedAt)
        pool.pointee.stateReference._withUnsafeGuaranteedRef { failed(slot, $0, after: duration) }
    }

    private func failed(_ slot: Int, _ instance: InstanceState, after duration: TimeAmount) {
        guard let service = exchanges.pointer(slot).pointee.service else { return }
        guard service._withUnsafeGuaranteedRef({ $0.detectsOutliers }) else { return suspect(instance, slot) }
        metrics.passiveEvidence(serviceLabel(slot), failed: true)
        if let change = instance.failed(after: duration, at: now, random: &random) {
            changed(.health(instance.key, change))
        }
        control.suspected(instance)
    }

    /// Something points at a fault: a check shall tell.
    private func suspect(_ instance: InstanceState, _ slot: Int) {
        guard exchanges.pointer(slot).pointee.service?._withUnsafeGuaranteedRef({ $0.hasChecks }) == true else { return }
        instance.change(at: now) { $0.suspected() }
        control.suspected(instance)
    }

    /// Requests that wait for an answer for longer than this put their instance in doubt.
    private static var doubtTime: TimeAmount { .seconds(1) }

    /// Looks now and then for instances that have got a request and say nothing.
    func lookForSilence() {
        nextLook = now + .milliseconds(250)
        for i in 0..<exchanges.capacity where exchanges.isTaken(i) {
            let exchange = exchanges.pointer(i)
            guard case .forwarded = exchange.pointee.step, exchange.pointee.owesOutcome,
                now.since(exchange.pointee.triedAt) > Self.doubtTime, let pool = pool(of: i)
            else { continue }
            pool.pointee.stateReference._withUnsafeGuaranteedRef { suspect($0, i) }
        }
    }

    /// No connection could be made at once; there is no try to tell of.
    func unreachable(_ slot: Int, _ pool: PoolPointer) {
        exchanges.pointer(slot).pointee.wasUnreachable = true
        if let transitions { transitions.failed(pool.pointee.state.key) }
        pool.pointee.stateReference._withUnsafeGuaranteedRef { failed(slot, $0, after: .zero) }
    }

    private func tellSeen(_ pool: PoolPointer, _ instance: InstanceState) {
        let seen = pool.pointee.seen
        pool.pointee.seen.clear(at: now)
        let change = instance.change(at: now) {
            $0.observed(requests: seen.requests, serverErrors: seen.serverErrors, latency: seen.latency, at: now)
        }
        if let change { changed(.health(instance.key, change)) }
    }

    /// The pool of the instance that the try under way goes to.
    func pool(of slot: Int) -> PoolPointer? {
        let index = exchanges.pointer(slot).pointee.backend
        return index < 0 ? nil : pools[Int(backends.pointer(Int(index)).pointee.pool)]
    }
}
