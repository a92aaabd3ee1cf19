import Configuration
import Health
import Primitives
import Upstream

/// Configurations: who is watched, and how.
extension CheckLoop {
    /// Takes over which services there are.
    func adopt(_ new: [WatchedService]) {
        adoption += 1
        services = new
        var fresh: [(instance: WatchedInstance, plan: CheckPlan, policy: HealthPolicy)] = []
        for service in new {
            for given in service.instances {
                let instance = places[ObjectIdentifier(given.state)] ?? add(given.state, service)
                instance.adoption = adoption
                instance.service = service.state
                instance.breakers = service.allBreakers
                if given.state.health.policy != service.health {
                    given.state.change(at: now) { $0.adopt(service.health, at: now) }
                }
                guard let check = service.check else {
                    stopChecking(instance)
                    continue
                }
                if instance.checking?.plan.isSame(check, authority: given.authority, dialect: given.dialect) == true {
                    instance.checking?.plan.dialect = given.dialect
                    instance.checking?.schedule.adopt(service.health, at: now)
                    due.set(instance.index, at: instance.checking?.schedule.due)
                } else {
                    stopChecking(instance)
                    fresh.append((instance, CheckPlan(check, authority: given.authority, dialect: given.dialect), service.health))
                }
            }
        }
        for (instance, plan, policy) in fresh {
            let spread = CheckSchedule.spread(of: fresh.count, atOnce: Self.checksMax, policy: policy)
            let schedule = CheckSchedule(policy: policy, spread: spread, at: now, random: &random)
            instance.checking = WatchedInstance.Checking(plan: plan, schedule: schedule)
            due.set(instance.index, at: schedule.due)
        }
        for case let instance? in instances where instance.adoption != adoption { drop(instance) }
        if new.isEmpty { nextTick = .never } else if nextTick == .never { nextTick = now + Self.tickInterval }
    }

    private func add(_ state: InstanceState, _ service: WatchedService) -> WatchedInstance {
        let index = freePlaces.popLast() ?? instances.count
        let instance = WatchedInstance(state: state, index: index, service: service)
        if index == instances.count { instances.append(instance) } else { instances[index] = instance }
        places[ObjectIdentifier(state)] = instance
        return instance
    }

    private func drop(_ instance: WatchedInstance) {
        stopChecking(instance)
        if instance.isListed { hurried.removeAll { $0 === instance } }
        places[ObjectIdentifier(instance.state)] = nil
        instances[instance.index] = nil
        freePlaces.append(instance.index)
    }

    /// Ends the check that runs, without a verdict, and all that were to come.
    private func stopChecking(_ instance: WatchedInstance) {
        if instance.connection >= 0 { close(instance.connection) }
        due.remove(instance.index)
        deadlines.remove(instance.index)
        instance.checking = nil
        instance.passes = 0
    }
}
