import Primitives
import Reactor

/// How long the service that is asked may take: as the route says, or, for a fallback, as that service does.
extension Worker {
    @inline(__always)
    func connectTimeout(_ slot: Int) -> TimeAmount {
        let exchange = exchanges.pointer(slot)
        if exchange.pointee.fallbackUsed == .none, let route = exchange.pointee.route { return route.pointee.connectTimeout }
        return exchange.pointee.service?._withUnsafeGuaranteedRef { $0.timeouts.connect } ?? .forever
    }

    /// Until the answer's head, in this try.
    @inline(__always)
    func responseTimeout(_ slot: Int) -> TimeAmount {
        let exchange = exchanges.pointer(slot)
        guard let service = exchange.pointee.service else { return .forever }
        return service._withUnsafeGuaranteedRef { service in
            if exchange.pointee.fallbackUsed == .none, let route = exchange.pointee.route {
                return min(route.pointee.responseTimeout, service.perTryTimeout)
            }
            return min(service.timeouts.response, service.perTryTimeout)
        }
    }

    /// Between two reads of it.
    @inline(__always)
    func idleTimeout(_ slot: Int) -> TimeAmount {
        let exchange = exchanges.pointer(slot)
        if exchange.pointee.fallbackUsed == .none, let route = exchange.pointee.route { return route.pointee.idleTimeout }
        return exchange.pointee.service?._withUnsafeGuaranteedRef { $0.timeouts.idle } ?? .forever
    }
}
