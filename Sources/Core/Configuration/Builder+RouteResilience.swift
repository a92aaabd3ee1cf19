import Primitives
import Resilience

/// What a route says of failures, in the place of its service.
extension Builder {
    func priority(_ value: Value?) -> RequestPriority? {
        value?.text.flatMap { text in RequestPriority.allCases.first { "\($0.name)" == text } }
    }

    /// - Parameters:
    ///   - action: nil where something is wrong with it.
    ///   - timeouts: those that count for the route.
    mutating func routeResilience(
        _ value: Value, _ action: RouteAction?, _ timeouts: TimeoutsConfiguration, isOff: Bool
    ) -> (breaker: BreakerPolicy?, fallback: FallbackConfiguration?) {
        var service: Int?
        if case .service(let index)? = action {
            service = index
            derive(value.trail, "priority", "\(RequestPriority.standard.name)")
        }
        var result: (breaker: BreakerPolicy?, fallback: FallbackConfiguration?)
        if let block = value["circuit_breaker"] {
            let isOff = isOff || !block.isEnabled || value.entry("service") == nil
            let policy = breaker(block, over: service.flatMap { breakers[$0] }, timeouts, at: block.trail, isOff: isOff)
            result.breaker = block.isEnabled ? policy : nil
        }
        if let block = value["fallback"] {
            let name = value["service"].flatMap { name in name.text.map(name.shown) } ?? ""
            result.fallback = routeFallback(block, service: service, serviceName: name, isOff: isOff)
        }
        return result
    }
}
