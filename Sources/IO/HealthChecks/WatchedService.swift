import Configuration
import Health
import Upstream

/// A service of the configuration as whoever checks it must know it.
public struct WatchedService: Sendable {
    public struct Instance: Sendable {
        public let state: InstanceState
        /// What `Host` says in a check that names no other.
        public let authority: [UInt8]
        /// How it is spoken to: whether checks are encrypted, and over which version of HTTP they go.
        public let dialect: BackendDialect

        public init(state: InstanceState, authority: [UInt8], dialect: BackendDialect = BackendDialect()) {
            self.state = state
            self.authority = authority
            self.dialect = dialect
        }
    }

    public let state: ServiceState
    /// Breakers of routes that lead to it; its own is in its state.
    public let breakers: [NamedBreaker]
    public let health: HealthPolicy
    /// Nil for no checks.
    public let check: CheckConfiguration?
    public let instances: [Instance]

    /// - Parameter health: whether it has checks is taken from `check`: an instance that waits for a check which never comes
    ///   would get no traffic for ever.
    public init(
        state: ServiceState, breakers: [NamedBreaker] = [], health: HealthPolicy, check: CheckConfiguration?,
        instances: [Instance]
    ) {
        self.state = state
        self.breakers = breakers.filter { $0 !== state.breaker }
        var health = health
        health.hasChecks = check != nil
        self.health = health
        self.check = check
        self.instances = instances
    }

    /// All breakers that the service's checks have a say in.
    var allBreakers: [NamedBreaker] { [state.breaker] + breakers }
}
