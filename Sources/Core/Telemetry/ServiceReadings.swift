import Health
import Resilience

/// How the services of the configuration in force are at one moment, for the gauges of a scrape. What a reload takes out is gone
/// from the next page.
public struct ServiceReadings: Sendable {
    public struct Instance: Sendable {
        public var name: String
        public var health: InstanceHealth.Phase
        public var isDraining: Bool
        public var inFlight: Int

        public init(name: String, health: InstanceHealth.Phase, isDraining: Bool, inFlight: Int) {
            self.name = name
            self.health = health
            self.isDraining = isDraining
            self.inFlight = inFlight
        }
    }

    public struct Breaker: Sendable {
        /// Nil for the service's own.
        public var route: String?
        public var phase: CircuitBreaker.Phase

        public init(route: String? = nil, phase: CircuitBreaker.Phase) {
            self.route = route
            self.phase = phase
        }
    }

    public struct Service: Sendable {
        public var name: String
        public var instances: [Instance]
        /// Those that are switched on.
        public var breakers: [Breaker]
        public var ejectedCount: Int
        /// In 1/1000.
        public var retryBudgetPermille: Int
        /// Nil where the adaptive limit is off.
        public var concurrencyLimit: Int?

        public init(
            name: String, instances: [Instance] = [], breakers: [Breaker] = [], ejectedCount: Int = 0,
            retryBudgetPermille: Int = 1000, concurrencyLimit: Int? = nil
        ) {
            self.name = name
            self.instances = instances
            self.breakers = breakers
            self.ejectedCount = ejectedCount
            self.retryBudgetPermille = retryBudgetPermille
            self.concurrencyLimit = concurrencyLimit
        }
    }

    public var services: [Service] = []

    public init(services: [Service] = []) { self.services = services }
}
