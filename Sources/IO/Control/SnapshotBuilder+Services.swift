import Balancing
import Configuration
import Pipeline
import Primitives
import Proxy
import Upstream

/// Services with what answers where they cannot.
extension SnapshotBuilder {
    func services(_ registry: inout InstanceRegistry, at now: Instant) throws(BuildError) -> [ServiceRuntime] {
        var places = ServicePlaces(configuration)
        for index in configuration.services.indices { _ = try service(index, &places, &registry, now) }
        return places.built.compactMap { $0 }
    }

    /// Services in the order of the file, built in the order of their fallbacks, which form no circle.
    private struct ServicePlaces {
        var built: [ServiceRuntime?]
        /// Of each, the index of its first instance among all.
        let firstInstances: [Int]

        init(_ configuration: GatewayConfiguration) {
            built = [ServiceRuntime?](repeating: nil, count: configuration.services.count)
            var first = 0
            firstInstances = configuration.services.map { service in
                defer { first += service.instances.count }
                return first
            }
        }
    }

    private func service(
        _ index: Int, _ places: inout ServicePlaces, _ registry: inout InstanceRegistry, _ now: Instant
    ) throws(BuildError) -> ServiceRuntime {
        if let known = places.built[index] { return known }
        let service = configuration.services[index]
        var fallback: Fallback?
        switch service.fallback {
        case .response(let response): fallback = Fallback(.answer(Self.fallbackAnswer(response)))
        case .service(let other): fallback = Fallback(.service(try self.service(other, &places, &registry, now)))
        case nil: break
        }
        let runtime = ServiceRuntime(
            service, index: index, state: registry.service(service.name, at: now),
            instances: service.instances.map { registry.instance($0, of: service, at: now) },
            firstInstance: places.firstInstances[index], dialects: try dialects(service, index),
            sessions: sessions(service, &registry), fallback: fallback)
        places.built[index] = runtime
        return runtime
    }

    private func sessions(_ service: ServiceConfiguration, _ registry: inout InstanceRegistry) -> StickySessions? {
        guard let sticky = service.sticky else { return nil }
        var policy = StickySessions.Policy(name: Array(sticky.cookie.utf8))
        policy.path = Array(sticky.path.utf8)
        policy.maxAgeSeconds = UInt32(clamping: sticky.maxAge.nanoseconds / 1_000_000_000)
        policy.isHTTPOnly = sticky.isHTTPOnly
        policy.isSecure = sticky.isSecure
        policy.sameSite =
            switch sticky.sameSite {
            case .lax: .lax
            case .strict: .strict
            case .none: .none
            }
        return StickySessions(
            policy, key: registry.sessionKey(service.name, secret: sticky.secret), service: service.name,
            instances: service.instances.map(\.id))
    }

    /// What answers in the place of a route's service, where the route says so itself.
    func fallback(_ fallback: FallbackConfiguration, _ services: [ServiceRuntime]) -> Fallback {
        switch fallback {
        case .response(let response): Fallback(.answer(Self.fallbackAnswer(response)))
        case .service(let index): Fallback(.service(services[index]))
        }
    }

    private static func fallbackAnswer(_ response: FixedResponse) -> Answer {
        var answer = answer(response)
        answer.fields.append((name: "X-Sluice-Fallback", value: "static"))
        return answer
    }

    /// The route's own breaker, or its service's; nil where nobody counts its failures.
    func breaker(
        _ route: RouteConfiguration, _ services: [ServiceRuntime], _ registry: inout InstanceRegistry
    ) -> NamedBreaker? {
        guard case .service(let index) = route.action else { return nil }
        guard let policy = route.breaker else { return route.allowsWebSocket ? nil : services[index].breaker }
        return registry.breaker(ofRoute: route.name, service: services[index].name, policy: policy)
    }
}
