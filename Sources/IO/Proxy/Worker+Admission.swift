import Balancing
import Exchange
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Resilience
import Upstream

/// Before a request may go to its service: what it is placed by, and whether breaker and limit let it.
extension Worker {
    /// The request is to go to this service, from the first byte on.
    func aim(_ slot: Int, at service: Unmanaged<ServiceRuntime>) {
        service._withUnsafeGuaranteedRef { aim(slot, $0) }
        exchanges.pointer(slot).pointee.service = service
        if let transitions { noteAccepted(slot, transitions) }
    }

    @inline(never)
    private func noteAccepted(_ slot: Int, _ transitions: TransitionLog) {
        let exchange = exchanges.pointer(slot)
        guard let service = exchange.pointee.service else { return }
        let deadline = exchange.pointee.requestDeadline
        transitions.accepted(
            slot, token: exchange.pointee.context.exchangeToken, service: service._withUnsafeGuaranteedRef { $0.name },
            deadline: deadline == .never ? .forever : deadline.since(now), isSafe: exchange.pointee.machine.isRepeatable)
    }

    private func aim(_ slot: Int, _ service: ServiceRuntime) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.context.serviceIndex = service.index
        service.budget._withUnsafeGuaranteedRef { $0.requestBegan(by: index, at: now) }
        place(slot, service)
        guard exchange.pointee.fallbackUsed == .none else { return }
        let hasBody = exchange.pointee.head.framing.hasBody
        let isRepeatable =
            service.trustsIdempotencyKey && exchange.pointee.head.headers.firstIndex(of: .idempotencyKey) != nil
        exchange.pointee.machine = ProxyExchange(
            method: exchange.pointee.head.method, isRepeatable: isRepeatable, hasBody: hasBody,
            isLast: !exchange.pointee.head.wantsKeepAlive)
        exchange.pointee.keepsBody = hasBody && (isRepeatable || exchange.pointee.head.method.isIdempotent)
    }

    /// Finds what the balancer looks at.
    private func place(_ slot: Int, _ service: ServiceRuntime) {
        let exchange = exchanges.pointer(slot)
        switch service.placement {
        case .none: exchange.pointee.hashKey = nil
        case .clientAddress: exchange.pointee.hashKey = HashKey(exchange.pointee.context.clientAddress)
        case .path: exchange.pointee.hashKey = HashKey(exchange.pointee.head.bytes(exchange.pointee.head.path))
        case .header(let name): exchange.pointee.hashKey = headerKey(exchange.pointee.head, name)
        case .cookie(let name): exchange.pointee.hashKey = cookieKey(exchange.pointee.head, name)
        case .parameter(let name): exchange.pointee.hashKey = parameterKey(exchange.pointee.head, name)
        }
        exchange.pointee.session = -1
        exchange.pointee.owesCookie = false
        if service.hasSessions { readSession(slot, service) }
    }

    private func headerKey(_ head: borrowing RequestHead, _ name: [UInt8]) -> HashKey? {
        guard let index = head.headers.firstIndex(named: name.span.bytes) else { return nil }
        return HashKey(head.headers.value(index))
    }

    private func cookieKey(_ head: borrowing RequestHead, _ name: [UInt8]) -> HashKey? {
        for i in 0..<head.headers.count where head.headers.fields[i].id == .cookie {
            if let value = PlacedText.cookie(named: name.span.bytes, in: head.headers.value(i)) { return HashKey(value) }
        }
        return nil
    }

    private func parameterKey(_ head: borrowing RequestHead, _ name: [UInt8]) -> HashKey? {
        guard let query = head.query, let value = PlacedText.parameter(named: name.span.bytes, in: head.bytes(query)) else {
            return nil
        }
        return HashKey(value)
    }

    private func readSession(_ slot: Int, _ service: ServiceRuntime) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.owesCookie = true
        guard let sessions = service.sessions else { return }
        for i in 0..<exchange.pointee.head.headers.count where exchange.pointee.head.headers.fields[i].id == .cookie {
            let reading = sessions.read(exchange.pointee.head.headers.value(i), atUnixSeconds: wallClock / 1_000_000_000)
            guard case .session(let instance, let isAging) = reading else { continue }
            exchange.pointee.session = Int32(instance)
            exchange.pointee.owesCookie = isAging
            return
        }
    }

    /// Binds the client to the instance that answers, where that is news to it.
    func addSessionCookie(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let instance = Int(exchange.pointee.instance)
        guard exchange.pointee.owesCookie || exchange.pointee.session != Int32(instance), instance >= 0,
            let service = exchange.pointee.service
        else { return }
        service._withUnsafeGuaranteedRef { service in
            guard let sessions = service.sessions else { return }
            let isSecure = exchange.pointee.context.clientScheme == .https
            response.headers.addComposed(.setCookie) {
                sessions.appendCookie(
                    for: instance, atUnixSeconds: wallClock / 1_000_000_000, isSecure: isSecure, to: &$0)
            }
        }
    }

    /// What keeps a try from being made: an open breaker, or as many requests in flight as the service can take. Asked before
    /// each try, and again where time has passed until it is sent.
    @inline(__always)
    func barred(_ slot: Int) -> Refusal? {
        let refusal = barredByBreakerOrLimit(slot)
        if let transitions, refusal == nil {
            transitions.admitted(slot, isProbe: exchanges.pointer(slot).pointee.permit != nil)
        }
        return refusal
    }

    @inline(__always)
    private func barredByBreakerOrLimit(_ slot: Int) -> Refusal? {
        let exchange = exchanges.pointer(slot)
        if let breaker = exchange.pointee.breaker {
            let isClosed = breaker._withUnsafeGuaranteedRef { $0.shared.isClosed }
            if !isClosed, let refusal = barredByBreaker(slot, breaker) { return refusal }
        }
        guard let service = exchange.pointee.service else { return nil }
        return service._withUnsafeGuaranteedRef { service in
            guard service.adaptsConcurrency, service.state.load.inFlight >= service.state.concurrency.current else { return nil }
            metrics.concurrencyLimited(serviceLabel(slot))
            return .concurrencyLimit
        }
    }

    @inline(never)
    private func barredByBreaker(_ slot: Int, _ breaker: Unmanaged<NamedBreaker>) -> Refusal? {
        let exchange = exchanges.pointer(slot)
        return breaker._withUnsafeGuaranteedRef { breaker in
            if let permit = exchange.pointee.permit {
                if breaker.shared.holds(permit) { return nil }
                // The half-open state that gave it is over. Whoever is a probe of the next one is counted there.
                exchange.pointee.permit = nil
            }
            let decision = breaker.shared.admit(at: now, random: &random)
            if let transition = decision.transition { breakerChanged(breaker, transition) }
            switch decision.admission {
            case .admit: return nil
            case .admitProbe(let permit):
                exchange.pointee.permit = permit
                exchange.pointee.triedAt = now
                return nil
            case .reject(let seconds):
                metrics.breakerRejected(serviceLabel(slot))
                return .circuitOpen(retryAfterSeconds: seconds)
            }
        }
    }

    /// The breaker has opened, or half opened, while the request waited or its connection was being made.
    func stillMayBeSent(_ slot: Int) -> Refusal? {
        guard let breaker = exchanges.pointer(slot).pointee.breaker,
            !breaker._withUnsafeGuaranteedRef({ $0.shared.isClosed })
        else { return nil }
        let permit = exchanges.pointer(slot).pointee.permit
        let refusal = barredByBreaker(slot, breaker)
        if let transitions, let new = exchanges.pointer(slot).pointee.permit, new != permit {
            transitions.admitted(slot, isProbe: true)
        }
        return refusal
    }
}
