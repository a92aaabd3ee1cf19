import Configuration
import Primitives
import Proxy
import Upstream

/// The words for the state of a service or an instance (behaviour of health checks).
enum HealthState: String {
    case healthy = "HEALTHY"
    case degraded = "DEGRADED"
    case failed = "FAILED"
    case unknown = "UNKNOWN"
}

/// What can be said of a service without active checks: an instance is good until its name has no address.
struct ServiceHealth {
    let name: String
    let state: HealthState
    let instances: [HealthState]
    /// No request is sent to it because the file says so: it is switched off, its routes answer in its place, or every weight
    /// is 0. That is no failure.
    let isInMaintenance: Bool

    /// Of all services, in the order of the file.
    static func all(_ snapshot: GatewaySnapshot) -> [ServiceHealth] {
        let configuration = snapshot.configuration
        var isRouted = [Bool](repeating: false, count: configuration.services.count)
        var isServed = isRouted
        for route in configuration.routes {
            guard case .service(let index) = route.action, isRouted.indices.contains(index) else { continue }
            isRouted[index] = true
            if case .off = route.maintenance { isServed[index] = true }
        }
        return zip(configuration.services, snapshot.services).map { service, runtime in
            ServiceHealth(service, runtime, isReplaced: isRouted[runtime.index] && !isServed[runtime.index])
        }
    }

    /// - Parameter isReplaced: all of its routes answer 503 in its place.
    private init(_ configuration: ServiceConfiguration, _ runtime: ServiceRuntime, isReplaced: Bool) {
        name = configuration.name
        instances = runtime.instances.map { $0.currentAddresses().isEmpty ? .unknown : .healthy }
        isInMaintenance = !configuration.enabled || isReplaced || !runtime.takesTraffic.contains(true)
        if instances.allSatisfy({ $0 == .unknown }) {
            state = .unknown
        } else {
            state = instances.contains(.unknown) ? .degraded : .healthy
        }
    }

    var healthyCount: Int { instances.count { $0 == .healthy } }

    var counts: JSONValue {
        .object([("healthy", .number(healthyCount)), ("total", .number(instances.count))])
    }

    /// For people.
    var word: String { isInMaintenance ? "\(state.rawValue) (maintenance)" : state.rawValue }
}
