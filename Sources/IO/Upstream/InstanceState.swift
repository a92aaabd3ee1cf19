import Balancing
import Health
import Pooling
import Primitives
import Reactor
import Resilience
import Synchronization

/// What the process knows of one instance, whichever worker and whichever configuration asks: its addresses, how many
/// connections to it are open, and how it is. Lives from the first configuration that names it to the last.
public final class InstanceState: Sendable {
    /// Service and address: an instance of two services is two.
    public struct Key: Hashable, Sendable {
        public var service: String
        public var address: String

        public init(service: String, address: String) {
            self.service = service
            self.address = address
        }
    }

    public let key: Key
    /// When a configuration that names it came into force first; 0 until then.
    private let named = Atomic<UInt64>(0)
    public let slots: ConnectionSlots
    /// Whether it takes requests and how many it has; `health` is where that comes from.
    public let load: InstanceLoad
    private let machine: Mutex<InstanceHealth>
    /// An answer in traffic is news.
    private let wantsAnswers: Atomic<Bool>
    /// Whoever checks it has been told that a request failed, and has not looked since.
    private let isHurried = Atomic<Bool>(false)
    private let addresses: Mutex<[SocketAddress]>
    /// Counts the changes of `addresses`, so that a worker looks only when there was one.
    public let addressVersion = Atomic<Int>(0)

    /// - Parameter isAdded: it joins a service at work, and begins slowly where the service says so.
    public init(
        key: Key, maxConnections: Int, addresses: [SocketAddress], service: ServiceState, health policy: HealthPolicy,
        isAdded: Bool, at now: Instant
    ) {
        self.key = key
        slots = ConnectionSlots(limit: maxConnections)
        self.addresses = Mutex(addresses)
        let health = InstanceHealth(policy: policy, isAdded: isAdded, at: now)
        machine = Mutex(health)
        wantsAnswers = Atomic(!health.isClean)
        let status: InstanceStatus =
            switch health.phase {
            case .unknown: InstanceStatus(.unknown)
            case .failed: InstanceStatus(.failed)
            case .healthy: InstanceStatus(.healthy, slowStartSince: health.slowStartSince)
            case .degraded: InstanceStatus(.degraded)
            }
        load = InstanceLoad(service: service.load, status: status)
    }

    /// A configuration that names it is in force.
    public func isNamed(at now: Instant) {
        _ = named.compareExchange(expected: 0, desired: max(1, now.nanoseconds), ordering: .relaxed)
    }

    /// How long that is.
    public func age(at now: Instant) -> TimeAmount {
        let since = named.load(ordering: .relaxed)
        return since == 0 ? .zero : now.since(Instant(nanoseconds: since))
    }

    // Health.

    /// As it is now, for reports and for whoever checks it.
    public var health: InstanceHealth { machine.withLock { $0 } }

    /// A request was answered, with whatever status. One atomic load while the instance is well.
    public func answered(at now: Instant) -> HealthChange? {
        guard wantsAnswers.load(ordering: .relaxed) else { return nil }
        return change(at: now) { $0.trafficAnswered(at: now) }
    }

    /// A request got no answer: no connection, none in time, cut off.
    public func failed(after duration: TimeAmount, at now: Instant, random: inout RandomSource) -> HealthChange? {
        change(at: now) { machine in machine.trafficFailed(after: duration, at: now, random: &random) }
    }

    /// An administrator takes it out of the traffic, or lets it in again.
    public func setDraining(_ isDraining: Bool, at now: Instant) {
        change(at: now) { $0.setDraining(isDraining) }
    }

    /// Any other event. What comes of it is seen by the next pick on every worker.
    @discardableResult
    public func change<Result: Sendable>(at now: Instant, _ event: (inout InstanceHealth) -> Result) -> Result {
        machine.withLock { machine in
            let result = event(&machine)
            wantsAnswers.store(!machine.isClean, ordering: .relaxed)
            publish(machine, now)
            return result
        }
    }

    /// A request has put it in doubt. One load once the checker has been told, however many requests fail.
    /// - Returns: whether the checker is still to be told.
    public func raiseHurry() -> Bool {
        if isHurried.load(ordering: .relaxed) { return false }
        return !isHurried.exchange(true, ordering: .acquiringAndReleasing)
    }

    /// The checker looks now: what comes from here on is news. - Returns: whether it had been told anything.
    @discardableResult
    public func clearHurry() -> Bool { isHurried.exchange(false, ordering: .acquiringAndReleasing) }

    private func publish(_ machine: borrowing InstanceHealth, _ now: Instant) {
        let startsSlowly = machine.slowStartSince != nil
        switch machine.phase {
        case .healthy: load.healthChanged(to: .healthy, startsSlowly: startsSlowly, at: now)
        case .degraded: load.healthChanged(to: .degraded, startsSlowly: startsSlowly, at: now)
        case .failed: load.healthChanged(to: .failed, at: now)
        case .unknown:
            // Without checks only a request can tell.
            if case .trial = machine.eligibility(at: now) {
                load.healthChanged(to: .degraded, isOnTrial: true, at: now)
            } else {
                load.healthChanged(to: .unknown, at: now)
            }
        }
        if machine.isDraining { load.drained(at: now) } else { load.undrained(at: now) }
    }

    // Addresses.

    public func currentAddresses() -> [SocketAddress] { addresses.withLock { $0 } }

    /// A look-up's answer; an empty one keeps the last good.
    /// - Returns: whether anything changed.
    @discardableResult
    public func setAddresses(_ found: [SocketAddress]) -> Bool {
        guard !found.isEmpty else { return false }
        let changed = addresses.withLock { held in
            guard Set(held) != Set(found) else { return false }
            held = found
            return true
        }
        if changed { addressVersion.add(1, ordering: .releasing) }
        return changed
    }
}
