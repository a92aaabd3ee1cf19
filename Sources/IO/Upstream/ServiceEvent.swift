import Health
import Primitives
import Resilience

/// Something that administrators want to know of a service: for a line in the log and a counter.
public enum ServiceEvent: Sendable {
    /// A circuit breaker changed its state.
    case breaker(service: String, route: String?, CircuitBreaker.Transition)
    case health(InstanceState.Key, HealthChange)
    case ejected(InstanceState.Key, OutlierDetector.Cause, until: Instant, at: Instant)
    /// Its ejection is over.
    case returned(InstanceState.Key)
    /// A check has its verdict; the time is how long it took.
    case checked(InstanceState.Key, CheckJudge.Verdict, TimeAmount)
}
