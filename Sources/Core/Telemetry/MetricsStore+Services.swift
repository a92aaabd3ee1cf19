import Health
import Resilience

/// Events of services that no worker counts. Those of a name that is no longer known are left out.
extension MetricsStore {
    /// A check of an instance has its verdict.
    public mutating func checked(_ service: String, passed: Bool) {
        guard let id = registry.known(service, .service) else { return }
        events.checks.add(1, to: events.checks.cell(of: SeriesKey.check(id, passed: passed)))
    }

    /// A circuit breaker changed its state.
    /// - Parameter route: of a breaker of its own; nil for the service's.
    public mutating func breakerChanged(
        _ service: String, route: String?, from: CircuitBreaker.Phase, to: CircuitBreaker.Phase
    ) {
        guard let id = registry.known(service, .service), let route = registry.known(route ?? "", .route) else { return }
        events.breakers.add(1, to: events.breakers.cell(of: SeriesKey.breaker(route, id, from: from, to: to)))
    }

    public mutating func healthChanged(
        _ service: String, instance: String, to phase: InstanceHealth.Phase, _ reason: HealthChange.Reason
    ) {
        guard let id = registry.known(service, .service), let instance = registry.known(instance, owner: id, .instance)
        else { return }
        events.health.add(1, to: events.health.cell(of: SeriesKey.health(id, instance, to: phase, reason)))
    }

    /// An instance was taken out for its bad answers.
    public mutating func ejected(_ service: String, _ cause: OutlierDetector.Cause) {
        guard let id = registry.known(service, .service) else { return }
        events.ejections.add(1, to: events.ejections.cell(of: SeriesKey.ejection(id, cause)))
    }
}
