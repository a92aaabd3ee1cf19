import Health
import Primitives
import Resilience
import Upstream

/// What comes of checks.
extension CheckLoop {
    /// The check has its verdict: the health of the instance, the ejections and the breakers of its service hear of it.
    func ended(_ instance: WatchedInstance, _ verdict: CheckJudge.Verdict) {
        guard let began = instance.checking?.began else { return }
        instance.checking?.began = nil
        deadlines.remove(instance.index)
        let took = now.since(began)
        report(.checked(instance.state.key, verdict, took))
        let pace =
            switch verdict {
            case .passed: passed(instance, after: took)
            case .failed: failed(instance)
            }
        instance.checking?.schedule.ended(pace: pace, at: now, random: &random)
        due.set(instance.index, at: instance.checking?.schedule.due)
        // What traffic says from here on is not about this check.
        instance.state.clearHurry()
    }

    private func passed(_ instance: WatchedInstance, after took: TimeAmount) -> InstanceHealth.Pace {
        instance.passes += 1
        let (rise, change, health) = instance.state.change(at: now) { health in
            let rise = health.riseNow
            let change = health.checkPassed(after: took, at: now)
            return (rise, change, health)
        }
        tell(instance, change)
        // One that has failed meanwhile, in traffic, is not back yet.
        switch health.phase {
        case .unknown, .failed: return health.pace
        case .healthy, .degraded: break
        }
        if instance.passes >= rise {
            if let event = instance.service.outliers.checksPassed(instance.state, at: now) { report(event) }
            for breaker in instance.breakers { tell(breaker, breaker.shared.checksPassed(at: now)) }
        }
        return health.pace
    }

    private func failed(_ instance: WatchedInstance) -> InstanceHealth.Pace {
        instance.passes = 0
        instance.address += 1
        let (change, pace) = instance.state.change(at: now) { health in (health.checkFailed(at: now), health.pace) }
        tell(instance, change)
        instance.service.outliers.checkFailed(instance.state)
        for breaker in instance.breakers { breaker.shared.checkFailed() }
        return pace
    }

    func tell(_ instance: WatchedInstance, _ change: HealthChange?) {
        if let change { report(.health(instance.state.key, change)) }
    }

    func tell(_ breaker: NamedBreaker, _ transition: CircuitBreaker.Transition?) {
        if let transition { report(.breaker(service: breaker.service, route: breaker.route, transition)) }
    }
}
