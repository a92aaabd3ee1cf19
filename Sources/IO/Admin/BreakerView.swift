import Primitives
import Resilience
import Upstream

/// A circuit breaker at one moment, in the words of the reports.
struct BreakerView {
    let service: String
    let route: String?
    let phase: CircuitBreaker.Phase
    /// Until it is tested again; 0 unless it is open.
    let secondsLeft: Int
    let probesInFlight: Int
    let policy: BreakerPolicy
    private let transition: (change: CircuitBreaker.Transition, time: Timestamp)?

    init(_ breaker: NamedBreaker, at moment: ReportMoment) {
        let machine = breaker.shared.snapshot
        service = breaker.service
        route = breaker.route
        phase = machine.phase
        secondsLeft = machine.openUntil.map { moment.seconds(until: $0) } ?? 0
        probesInFlight = machine.probesInFlight
        policy = machine.policy
        transition = moment.history.transition(of: breaker).map { ($0, moment.time(of: $0.at)) }
    }

    var stateName: String { "\(phase.name)" }

    /// `open, 42 s left`.
    var word: String {
        switch phase {
        case .closed: stateName
        case .open: "\(stateName), \(secondsLeft) s left"
        case .halfOpen: "\(stateName), \(probesInFlight) of \(policy.halfOpenMax) probes"
        }
    }

    var since: Timestamp? { transition?.time }
    var reason: String? { transition.map { "\($0.change.reason.name)" } }

    /// How a list names it, and its cursor: no name holds a space.
    static func listName(_ breaker: NamedBreaker) -> String {
        breaker.route.map { "\(breaker.service) \($0)" } ?? breaker.service
    }

    var json: JSONValue {
        .object([
            ("service", .string(service)), ("route", route.map { .string($0) } ?? .null), ("state", .string(stateName)),
            ("seconds_left", .number(secondsLeft)), ("probes_in_flight", .number(probesInFlight)),
            ("since", since.map { .string($0.text) } ?? .null), ("reason", reason.map { .string($0) } ?? .null),
            ("failure_threshold", .number(policy.failureThreshold)),
            ("error_rate_threshold", .decimal(Double(policy.errorRatePermille) / 1000)),
            ("success_threshold", .number(policy.successThreshold)),
            ("open_timeout_seconds", .decimal(Double(policy.openTimeout.nanoseconds) / 1e9)),
        ])
    }
}
