import Balancing
import Primitives
import Resilience
import Synchronization

/// One outlier detector for all workers, by the instances themselves instead of their places.
///
/// Success in a row takes no lock. A change is returned to the one caller whose event caused it, and is in force by then.
public final class SharedOutlierDetector: Sendable {
    private struct State {
        var isOn = false
        var detector = OutlierDetector(policy: OutlierDetector.Policy(), instances: 0)
        var instances: [InstanceState] = []
        var places: [ObjectIdentifier: Int] = [:]
    }

    private let state = Mutex(State())
    /// An instance has failures that a success would end.
    private let hasSuspects = Atomic<Bool>(false)

    public init() {}

    /// A configuration is taken over. - Parameter policy: nil for none; whoever is out comes back.
    public func adopt(_ policy: OutlierDetector.Policy?, instances: [InstanceState], at now: Instant) {
        state.withLock { state in
            let places = state.places
            state.detector.adopt(previous: instances.map { places[ObjectIdentifier($0)] })
            state.instances = instances
            state.places = [:]
            for (place, instance) in instances.enumerated() { state.places[ObjectIdentifier(instance)] = place }
            state.isOn = policy != nil
            if let policy { state.detector.policy = policy }
            guard policy == nil else { return }
            state.detector = OutlierDetector(policy: state.detector.policy, instances: instances.count)
            for instance in instances { instance.load.ejectionEnded(at: now) }
        }
    }

    /// A try to an instance ended.
    public func record(
        _ outcome: CallOutcome, _ instance: InstanceState, duration: TimeAmount, at now: Instant, random: inout RandomSource
    ) -> ServiceEvent? {
        if outcome.weight == .nothing { return nil }
        if outcome == .answered, !hasSuspects.load(ordering: .relaxed) { return nil }
        return state.withLock { state in
            guard state.isOn, let place = state.places[ObjectIdentifier(instance)] else { return nil }
            let usable = state.instances.count { $0.load.takesRequests }
            let change = state.detector.record(
                outcome, instance: place, duration: duration, usable: usable, at: now, random: &random)
            noteSuspects(state)
            return change.map { apply($0, state, now) }
        }
    }

    /// Its failures in a row are counted elsewhere.
    public func forgive(_ instance: InstanceState) {
        state.withLock { state in
            guard let place = state.places[ObjectIdentifier(instance)] else { return }
            state.detector.forgive(place)
            noteSuspects(state)
        }
    }

    /// Checks of the instance passed as often as brings one back.
    public func checksPassed(_ instance: InstanceState, at now: Instant) -> ServiceEvent? {
        state.withLock { state in
            guard let place = state.places[ObjectIdentifier(instance)] else { return nil }
            return state.detector.checksPassed(place, at: now).map { apply($0, state, now) }
        }
    }

    public func checkFailed(_ instance: InstanceState) {
        state.withLock { state in
            if let place = state.places[ObjectIdentifier(instance)] { state.detector.checkFailed(place) }
        }
    }

    /// Time has passed; to be called about once a second.
    public func tick(at now: Instant) -> [ServiceEvent] {
        state.withLock { state in
            state.detector.tick(at: now).map { apply($0, state, now) }
        }
    }

    /// How many are out; for reports.
    public var ejectedCount: Int { state.withLock { $0.detector.ejectedCount } }

    private func noteSuspects(_ state: borrowing State) {
        let detector = state.detector
        hasSuspects.store((0..<detector.count).contains { !detector.isClean($0) }, ordering: .relaxed)
    }

    private func apply(_ change: OutlierDetector.Change, _ state: borrowing State, _ now: Instant) -> ServiceEvent {
        switch change {
        case .ejected(let place, let cause, let until):
            let instance = state.instances[place]
            instance.load.ejected(at: now)
            return .ejected(instance.key, cause, until: until, at: now)
        case .returned(let place):
            let instance = state.instances[place]
            instance.load.ejectionEnded(at: now)
            return .returned(instance.key)
        }
    }
}
