import Balancing
import Configuration
import Pooling
import Primitives
import Reactor
import Resilience
import Upstream

/// The services and instances that outlive a configuration, by their names: what a reload finds again keeps its connections, its
/// addresses, its turn, its health and its breaker.
struct InstanceRegistry {
    /// Threads that count requests.
    let workers: Int
    private var instances: [InstanceState.Key: InstanceState] = [:]
    private var services: [String: ServiceState] = [:]
    private var routeBreakers: [String: NamedBreaker] = [:]
    /// Keys of sessions whose service names no secret.
    private var sessionKeys: [String: SipHash.Key] = [:]
    /// Instances that no configuration names any more, while connections or requests of an older one still use them: should they come
    /// back, the limit on connections counts all of them.
    private var departed: [InstanceState.Key: Departed] = [:]
    /// Instances of the configuration in force.
    private var inForce: Set<InstanceState.Key> = []
    /// Services of the configuration in force: who joins one of them joins a service at work.
    private var serving: Set<String> = []

    /// Where round robin begins, and keys that nobody is to know.
    private let draw: () -> UInt64

    private struct Departed {
        weak var state: InstanceState?
    }

    init(workers: Int, draw: @escaping () -> UInt64 = { randomSeed() }) {
        self.workers = workers
        self.draw = draw
    }

    mutating func service(_ name: String, at now: Instant) -> ServiceState {
        if let known = services[name] { return known }
        let state = ServiceState(name: name, firstTurn: draw(), workers: workers, at: now)
        services[name] = state
        return state
    }

    mutating func instance(
        _ configuration: InstanceConfiguration, of service: ServiceConfiguration, at now: Instant
    ) -> InstanceState {
        let key = InstanceState.Key(service: service.name, address: configuration.id)
        if let known = instances[key] { return known }
        if let known = departed[key]?.state {
            instances[key] = known
            return known
        }
        let state = InstanceState(
            key: key, maxConnections: service.pool.maxConnections, addresses: Self.literalAddresses(configuration.address),
            service: self.service(service.name, at: now), health: service.health, isAdded: serving.contains(service.name),
            at: now)
        instances[key] = state
        return state
    }

    /// The breaker of a route that asked for its own.
    mutating func breaker(ofRoute route: String, service: String, policy: BreakerPolicy) -> NamedBreaker {
        if let known = routeBreakers[route], known.service == service { return known }
        let breaker = NamedBreaker(service: service, route: route, policy: policy, workers: workers)
        routeBreakers[route] = breaker
        return breaker
    }

    /// What signs the cookies of a service.
    mutating func sessionKey(_ service: String, secret: Secret?) -> SipHash.Key {
        if let secret {
            let tag = SipHash.tag(secret.bytes.span.bytes, key: SipHash.Key(first: 0, second: 1))
            return SipHash.Key(first: tag.first, second: tag.second)
        }
        if let known = sessionKeys[service] { return known }
        let key = SipHash.Key(first: draw(), second: draw())
        sessionKeys[service] = key
        return key
    }

    /// Takes a configuration's numbers over and forgets what it does not name; not before nothing can go wrong with it any more.
    mutating func adopt(_ configuration: GatewayConfiguration, at now: Instant) {
        var named: Set<InstanceState.Key> = []
        for service in configuration.services {
            var states: [InstanceState] = []
            for instance in service.instances {
                let state = self.instance(instance, of: service, at: now)
                named.insert(state.key)
                states.append(state)
                state.isNamed(at: now)
                // Who left and comes back was taken out by the file, and is let in again by it.
                if !inForce.contains(state.key) { state.setDraining(false, at: now) }
                state.slots.setLimit(service.pool.maxConnections)
                state.change(at: now) { $0.adopt(service.health, at: now) }
            }
            adopt(service, states, at: now)
        }
        departed = departed.filter { $0.value.state != nil && !named.contains($0.key) }
        for (key, state) in instances where !named.contains(key) { departed[key] = Departed(state: state) }
        instances = instances.filter { named.contains($0.key) }
        inForce = named
        serving = Set(configuration.services.map(\.name))
        services = services.filter { serving.contains($0.key) }
        sessionKeys = sessionKeys.filter { serving.contains($0.key) }
        var breakers: [String: NamedBreaker] = [:]
        for route in configuration.routes {
            guard let policy = route.breaker, let known = routeBreakers[route.name] else { continue }
            known.shared.adopt(policy, at: now)
            breakers[route.name] = known
        }
        routeBreakers = breakers
    }

    private mutating func adopt(_ configuration: ServiceConfiguration, _ instances: [InstanceState], at now: Instant) {
        let state = service(configuration.name, at: now)
        if let policy = configuration.breaker {
            state.breaker.shared.adopt(policy, at: now)
        } else if !state.breaker.shared.isClosed {
            // Switched off: it begins anew should it ever be switched on again.
            _ = state.breaker.shared.reset(at: now)
        }
        state.budget.adopt(configuration.retry.budget)
        state.outliers.adopt(configuration.outliers, instances: instances, at: now)
        if let policy = configuration.adaptiveConcurrency { state.concurrency.adopt(policy, at: now) }
    }

    /// Empty for a name, which has to be looked up first.
    private static func literalAddresses(_ address: InstanceAddress) -> [SocketAddress] {
        switch address {
        case .ip(let ip, let port): [SocketAddress(ip, port: port)]
        case .unix(let path): SocketAddress(unixPath: path).map { [$0] } ?? []
        case .name: []
        }
    }
}
