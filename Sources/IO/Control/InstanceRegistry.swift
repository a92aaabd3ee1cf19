import Configuration
import Pooling
import Primitives
import Reactor
import Upstream

/// The services and instances that outlive a configuration, by their names: what a reload finds again keeps its connections, its
/// addresses and its turn.
struct InstanceRegistry {
    private var instances: [InstanceState.Key: InstanceState] = [:]
    private var services: [String: ServiceState] = [:]

    mutating func service(_ name: String) -> ServiceState {
        if let known = services[name] { return known }
        let state = ServiceState(name: name)
        services[name] = state
        return state
    }

    mutating func instance(_ configuration: InstanceConfiguration, of service: ServiceConfiguration) -> InstanceState {
        let key = InstanceState.Key(service: service.name, address: configuration.address.text)
        if let known = instances[key] { return known }
        let state = InstanceState(
            key: key, maxConnections: service.pool.maxConnections, addresses: Self.literalAddresses(configuration.address))
        instances[key] = state
        return state
    }

    /// Takes a configuration's limits over and forgets what it does not name; not before nothing can go wrong with it any more.
    mutating func adopt(_ configuration: GatewayConfiguration) {
        var named: Set<InstanceState.Key> = []
        for service in configuration.services {
            for instance in service.instances {
                let key = InstanceState.Key(service: service.name, address: instance.address.text)
                named.insert(key)
                instances[key]?.slots.setLimit(service.pool.maxConnections)
            }
        }
        instances = instances.filter { named.contains($0.key) }
        let names = Set(configuration.services.map(\.name))
        services = services.filter { names.contains($0.key) }
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
