import Configuration
import Primitives
import Proxy
import Upstream

/// A service at one moment: how its instances are, and whether its circuit breaker lets requests pass.
struct ServiceHealth {
    let name: String
    /// `FAILED` when no instance takes requests, `DEGRADED` when some do not, or not all that they should, or when the breaker is
    /// not closed.
    let state: HealthState
    let instances: [InstanceView]
    /// No request is sent to it because the file says so: it is switched off, its routes answer in its place, or every weight
    /// is 0. That is no failure.
    let isInMaintenance: Bool
    /// Nil where the file switches it off.
    let breaker: BreakerView?
    /// Those of its routes that are not closed.
    let openRouteBreakers: [BreakerView]
    /// What is left of its retry budget, 0 to 1.
    let retryBudget: Double
    /// Requests that wait for a connection.
    let waitingCount: Int
    /// Nil where the adaptive limit is off.
    let concurrencyLimit: Int?

    /// Of all services, in the order of the file.
    static func all(_ snapshot: GatewaySnapshot, at moment: ReportMoment) -> [ServiceHealth] {
        let configuration = snapshot.configuration
        var isRouted = [Bool](repeating: false, count: configuration.services.count)
        var isServed = isRouted
        for route in configuration.routes {
            guard case .service(let index) = route.action, isRouted.indices.contains(index) else { continue }
            isRouted[index] = true
            if case .off = route.maintenance { isServed[index] = true }
        }
        var breakers: [String: [BreakerView]] = [:]
        for breaker in snapshot.breakers { breakers[breaker.service, default: []].append(BreakerView(breaker, at: moment)) }
        return zip(configuration.services, snapshot.services).map { service, runtime in
            ServiceHealth(
                service, runtime, breakers[service.name] ?? [], isReplaced: isRouted[runtime.index] && !isServed[runtime.index],
                at: moment)
        }
    }

    /// - Parameter isReplaced: all of its routes answer 503 in its place.
    private init(
        _ configuration: ServiceConfiguration, _ runtime: ServiceRuntime, _ breakers: [BreakerView], isReplaced: Bool,
        at moment: ReportMoment
    ) {
        name = configuration.name
        instances = zip(configuration.instances, runtime.instances).map { InstanceView($0, $1, at: moment) }
        let weighted = instances.filter { $0.weight > 0 }
        isInMaintenance = !configuration.enabled || isReplaced || weighted.isEmpty
        breaker = breakers.first { $0.route == nil }
        openRouteBreakers = breakers.filter { $0.route != nil && $0.phase != .closed }
        retryBudget = Double(runtime.state.budget.remainingPermille(at: moment.now)) / 1000
        waitingCount = max(0, runtime.state.waitingCount)
        concurrencyLimit = configuration.adaptiveConcurrency == nil ? nil : runtime.state.concurrency.current
        state = Self.state(weighted.isEmpty ? instances : weighted, isClosed: breaker.map { $0.phase == .closed } ?? true)
    }

    private static func state(_ instances: [InstanceView], isClosed: Bool) -> HealthState {
        if instances.allSatisfy({ $0.state == .unknown }) { return .unknown }
        let usable = instances.filter(\.isUsable)
        if usable.isEmpty { return .failed }
        return isClosed && usable.count == instances.count && usable.allSatisfy { $0.state == .healthy } ? .healthy : .degraded
    }

    var healthyCount: Int { instances.count { $0.state == .healthy } }
    var drainingCount: Int { instances.count(where: \.isDraining) }
    var ejectedCount: Int { instances.count(where: \.isEjected) }
    var eligibleCount: Int { instances.count(where: \.takesRequests) }

    /// When one of them was last checked.
    var checkedAt: Timestamp? { instances.compactMap(\.checkedAt).max() }

    var breakerName: String { breaker?.stateName ?? "off" }

    var counts: JSONValue {
        .object([("healthy", .number(healthyCount)), ("total", .number(instances.count))])
    }

    /// What the reports on services have in common.
    var members: [(String, JSONValue)] {
        [
            ("draining", .number(drainingCount)), ("ejected", .number(ejectedCount)),
            ("in_flight", .number(instances.reduce(0) { $0 + $1.inFlight })), ("waiting", .number(waitingCount)),
            ("breaker", .string(breakerName)), ("breaker_seconds_left", .number(breaker?.secondsLeft ?? 0)),
            ("open_route_breakers", .array(openRouteBreakers.compactMap { $0.route.map { .string($0) } })),
            ("retry_budget_remaining", .decimal(retryBudget)),
            ("concurrency_limit", concurrencyLimit.map { .number($0) } ?? .null),
        ]
    }

    // For people.

    var word: String { isInMaintenance ? "\(state.rawValue) (maintenance)" : state.rawValue }

    var instancesWord: String {
        var words = ["\(healthyCount)/\(instances.count) healthy"]
        if drainingCount > 0 { words.append("\(drainingCount) draining") }
        if ejectedCount > 0 { words.append("\(ejectedCount) ejected") }
        return words.joined(separator: ", ")
    }

    var breakerWord: String {
        let own = breaker?.word ?? "off"
        return ([own] + openRouteBreakers.map { "route \($0.route ?? ""): \($0.word)" }).joined(separator: "; ")
    }

    var budgetWord: String { "\(Int(retryBudget * 100)) %" }
}
