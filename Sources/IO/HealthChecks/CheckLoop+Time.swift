import Health
import Primitives
import Upstream

/// What happens because time passes, and because somebody is in a hurry.
extension CheckLoop {
    /// A failed instance without checks gets its trial within this time of its due.
    static var tickInterval: TimeAmount { .milliseconds(250) }
    private static var ticksPerSecond: Int { 4 }

    /// Every quarter of a second the instances that wait for a trial; every second everything.
    func tick() {
        nextTick = now + Self.tickInterval
        tickCount &+= 1
        endHurries()
        let isSecond = tickCount % Self.ticksPerSecond == 0
        for case let instance? in instances {
            guard isSecond || instance.checking == nil && instance.state.load.status.health == .failed else { continue }
            let (change, pace) = instance.state.change(at: now) { health in (health.tick(at: now), health.pace) }
            tell(instance, change)
            // Not everything that casts a doubt is in a hurry: answers that become slow, a message that crossed another.
            if pace == .fast, !instance.isRunning { evidence(instance) }
        }
        guard isSecond else { return }
        for service in services {
            for event in service.state.outliers.tick(at: now) { report(event) }
            tell(service.state.breaker, service.state.breaker.shared.tick(at: now, random: &random))
            for breaker in service.breakers { tell(breaker, breaker.shared.tick(at: now, random: &random)) }
        }
    }

    /// A request has put the instance in doubt. Its flag stays up, so that those that follow cost nothing, until a check begins
    /// or ends, or the tick comes. For one that is not checked it stays up until it is.
    func hurry(_ state: InstanceState) {
        guard let instance = places[ObjectIdentifier(state)], instance.checking != nil else { return }
        if !instance.isListed {
            instance.isListed = true
            hurried.append(instance)
        }
        evidence(instance)
    }

    private func endHurries() {
        for instance in hurried {
            instance.isListed = false
            // What failed while the flag was up has told nobody.
            if instance.state.clearHurry(), !instance.isRunning { evidence(instance) }
        }
        hurried.removeAll(keepingCapacity: true)
    }

    private func evidence(_ instance: WatchedInstance) {
        let health = instance.state.health
        if let nearer = instance.checking?.schedule.evidence(pace: health.pace, usual: health.checkLatency, at: now) {
            deadlines.set(instance.index, at: nearer)
        }
        due.set(instance.index, at: instance.checking?.schedule.due)
    }
}
