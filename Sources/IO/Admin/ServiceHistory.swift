import Health
import Primitives
import Resilience
import Upstream

/// What was last heard of services, for whoever asks why they are as they are: the last check and the last change of each
/// instance, the last transition of each circuit breaker.
public struct ServiceHistory: Sendable {
    public struct Check: Sendable {
        public let at: Instant
        public let verdict: CheckJudge.Verdict
        /// How long it took.
        public let duration: TimeAmount
    }

    private struct BreakerKey: Hashable {
        let service: String
        let route: String?
    }

    private var checks: [InstanceState.Key: Check] = [:]
    private var changes: [InstanceState.Key: HealthChange] = [:]
    private var transitions: [BreakerKey: CircuitBreaker.Transition] = [:]

    public init() {}

    public mutating func note(_ event: ServiceEvent, at now: Instant) {
        switch event {
        case .breaker(let service, let route, let transition):
            transitions[BreakerKey(service: service, route: route)] = transition
        case .health(let key, let change): changes[key] = change
        case .checked(let key, let verdict, let duration):
            checks[key] = Check(at: now, verdict: verdict, duration: duration)
        case .ejected, .returned: break
        }
    }

    public func check(of key: InstanceState.Key) -> Check? { checks[key] }
    public func change(of key: InstanceState.Key) -> HealthChange? { changes[key] }
    public func transition(of breaker: NamedBreaker) -> CircuitBreaker.Transition? {
        transitions[BreakerKey(service: breaker.service, route: breaker.route)]
    }

    /// A configuration is in force: what it does not name is forgotten.
    public mutating func keep(instances: Set<InstanceState.Key>, breakers: [NamedBreaker]) {
        checks = checks.filter { instances.contains($0.key) }
        changes = changes.filter { instances.contains($0.key) }
        let named = Set(breakers.map { BreakerKey(service: $0.service, route: $0.route) })
        transitions = transitions.filter { named.contains($0.key) }
    }
}

/// The moment of which a report tells, on both clocks, and what was heard before.
public struct ReportMoment: Sendable {
    public let now: Instant
    public let time: Timestamp
    public let history: ServiceHistory

    public init(now: Instant, time: Timestamp, history: ServiceHistory = ServiceHistory()) {
        self.now = now
        self.time = time
        self.history = history
    }

    /// What a clock on the wall showed then.
    func time(of past: Instant) -> Timestamp {
        let age = Int64(clamping: now.since(past).nanoseconds)
        let (difference, overflow) = time.nanoseconds.subtractingReportingOverflow(age)
        return Timestamp(nanoseconds: overflow ? .min : difference)
    }

    /// Whole seconds until then, rounded up.
    func seconds(until end: Instant) -> Int {
        let left = end.since(now).nanoseconds
        return Int(clamping: left / 1_000_000_000 + (left % 1_000_000_000 == 0 ? 0 : 1))
    }
}
