import Proxy
import Upstream

extension GatewaySnapshot {
    /// The circuit breakers that are switched on: each service's own and behind it those of its routes, in the order of the file.
    public var breakers: [NamedBreaker] {
        var ofRoutes: [String: [NamedBreaker]] = [:]
        for index in 0..<routeCount {
            // A route without one of its own counts at the service's.
            guard let breaker = route(index).breaker, breaker.route != nil else { continue }
            ofRoutes[breaker.service, default: []].append(breaker)
        }
        return services.flatMap { service in
            let own = configuration.services[service.index].breaker == nil ? [] : [service.state.breaker]
            return own + (ofRoutes[service.name] ?? [])
        }
    }
}
