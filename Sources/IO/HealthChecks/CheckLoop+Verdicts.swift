import Health
import Primitives
import Resilience
import Upstream

/// What comes of checks.
extension CheckLoop {
    /// The check has its verdict: the health of the instance, the ejections and the breakers of its service hear of it.
    func ended(_ instance: WatchedInstance, _ verdict: CheckJudge.Verdict) {
        guard let began = instance.checking?.began else { return }
        let now = now
        let took = now.since(began)
        let hasPassed: Bool
        switch verdict {
        case .passed:
            hasPassed = true
            instance.passes += 1
        case .failed:
            hasPassed = false
            instance.passes = 0
            instance.address += 1
        }
        let (rise, change, health) = instance.state.change(at: now) { health in
            let rise = health.riseNow
            let change = hasPassed ? health.checkPassed(after: took, at: now) : health.checkFailed(at: now)
            return (rise, change, health)
        }
        instance.checking?.began = nil
        deadlines.remove(instance.index)
        instance.checking?.schedule.ended(pace: health.pace, at: now, random: &random)
        due.set(instance.index, at: instance.checking?.schedule.due)
        // What traffic says from here on is not about this check.
        instance.state.clearHurry()
        // Told last: whoever hears of it finds everything in force.
        report(.checked(instance.state.key, verdict, took))
        tell(instance, change)
        if !hasPassed {
            failed(instance)
        } else if instance.passes >= rise, isUp(health) {
            passed(instance)
        }
    }

    /// One that has failed meanwhile, in traffic, is not back with a single pass, however many there were before.
    private func isUp(_ health: InstanceHealth) -> Bool {
        switch health.phase {
        case .unknown, .failed: false
        case .healthy, .degraded: true
        }
    }

    /// As many checks in a row as bring an instance back.
    private func passed(_ instance: WatchedInstance) {
        if let event = instance.service.outliers.checksPassed(instance.state, at: now) { report(event) }
        for breaker in instance.breakers { tell(breaker, breaker.shared.checksPassed(at: now)) }
    }

    private func failed(_ instance: WatchedInstance) {
        instance.service.outliers.checkFailed(instance.state)
        for breaker in instance.breakers { breaker.shared.checkFailed() }
    }

    func tell(_ instance: WatchedInstance, _ change: HealthChange?) {
        if let change { report(.health(instance.state.key, change)) }
    }

    func tell(_ breaker: NamedBreaker, _ transition: CircuitBreaker.Transition?) {
        if let transition { report(.breaker(service: breaker.service, route: breaker.route, transition)) }
    }
}
