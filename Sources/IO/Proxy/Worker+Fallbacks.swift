import Balancing
import Exchange
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Telemetry
import Upstream

/// What answers where a service cannot: a fixed response, or another service.
extension Worker {
    /// Lets the fallback answer, if there is one and it still may.
    /// - Returns: false when the service's own failure is to be told.
    func fallsBack(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let fallback = exchange.pointee.fallback else { return false }
        switch exchange.pointee.machine.state {
        case .acquiring, .awaitingHead: break
        case .relaying, .ended: return false
        }
        // Copied out: the exchange, and with it its configuration, may end in here.
        switch fallback._withUnsafeGuaranteedRef({ $0.kind }) {
        case .answer(let answer):
            exchange.pointee.fallback = nil
            exchange.pointee.fallbackUsed = .answer
            metrics.fallbackServed(serviceLabel(slot), .static)
            respond(slot, answer, .fallbackServed)
            return true
        case .service(let service):
            guard exchange.pointee.machine.maySendElsewhere else { return false }
            metrics.fallbackServed(serviceLabel(slot), .service)
            send(slot, to: service)
            return true
        }
    }

    /// The same where there is no time for another service.
    func fallsBackToAnswer(_ slot: Int) -> Bool {
        guard let fallback = exchanges.pointer(slot).pointee.fallback else { return false }
        let isAnswer = fallback._withUnsafeGuaranteedRef { if case .answer = $0.kind { true } else { false } }
        return isAnswer && fallsBack(slot)
    }

    /// As though the route had named this service.
    private func send(_ slot: Int, to service: ServiceRuntime) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.fallbackUsed = .service
        exchange.pointee.machine.sentElsewhere()
        exchange.pointee.tried = TriedInstances()
        exchange.pointee.wantsFresh = false
        exchange.pointee.instance = -1
        exchange.pointee.context.instanceIndex = -1
        exchange.pointee.upstreamStatus = 0
        exchange.pointee.wasUnreachable = false
        exchange.pointee.breaker = service.breaker.map { Unmanaged.passUnretained($0) }
        exchange.pointee.fallback = service.fallback.map { Unmanaged.passUnretained($0) }
        restoreBody(slot)
        aim(slot, at: Unmanaged.passUnretained(service))
        startTry(slot)
    }

    /// Says on a response that it is not of the route's own service.
    func markFallback() {
        let name: StaticString = "X-Sluice-Fallback"
        response.headers.add(
            .other, name: RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount),
            value: RawSpan(
                _unsafeStart: UnsafeRawPointer(Self.serviceWord.utf8Start), byteCount: Self.serviceWord.utf8CodeUnitCount))
    }

    private static var serviceWord: StaticString { "service" }
}
