import Admin
import Configuration
import Logs
import Primitives
import Proxy
import Reactor
import Resilience
import Telemetry
import Upstream

/// Services that fail, and what administrators do about them.
extension ControlThread {
    /// Something about a service has changed, and is in force already.
    func receive(_ event: ServiceEvent) {
        for line in ServiceEventLine.lines(for: event, history) { write(line) }
        history.note(event, at: Clock.monotonic)
        switch event {
        case .breaker(let service, let route, let transition):
            store.breakerChanged(service, route: route, from: transition.from, to: transition.to)
            if departure == .none, !reload.isRunning { self.service.ready(statusLine) }
        case .health(let key, let change):
            store.healthChanged(key.service, instance: key.address, to: change.to, change.reason)
        case .ejected(let key, let cause, _, _): store.ejected(key.service, cause)
        case .returned: break
        case .checked(let key, let verdict, _): return store.checked(key.service, passed: verdict == .passed)
        }
        wakeWaiters()
    }

    private func write(_ line: ServiceEventLine) {
        switch line.level {
        case .debug: log.debug(line.message, line.values)
        case .info: log.info(line.message, line.values)
        case .warn: log.warn(line.message, line.values)
        case .error: log.error(line.message, line.values)
        }
    }

    /// Requests that wait for a connection look again: there may be an instance for them now, or none any more.
    private func wakeWaiters() { hub.postToAll(.slotFreed) }

    /// What the configuration in force does not name is forgotten.
    func forgetRemovedServices() {
        let keys = snapshot.services.flatMap { $0.instances.map(\.key) }
        history.keep(instances: Set(keys), breakers: snapshot.breakers)
    }

    /// How the services are at the moment of a scrape.
    var readings: ServiceReadings {
        let now = Clock.monotonic
        let breakers = Dictionary(grouping: snapshot.breakers, by: \.service)
        return ServiceReadings(
            services: zip(configuration.services, snapshot.services).map { configured, service in
                ServiceReadings.Service(
                    name: service.name,
                    instances: service.instances.map { instance in
                        .init(
                            name: instance.key.address, health: instance.health.phase,
                            isDraining: instance.load.status.isDraining, inFlight: instance.load.inFlight)
                    },
                    breakers: (breakers[service.name] ?? []).map { .init(route: $0.route, phase: $0.shared.snapshot.phase) },
                    ejectedCount: service.instances.count { $0.load.status.isEjected },
                    retryBudgetPermille: service.state.budget.remainingPermille(at: now),
                    concurrencyLimit: configured.adaptiveConcurrency == nil ? nil : service.state.concurrency.current)
            })
    }

    /// For the line that the service manager shows.
    var openBreakers: String {
        let count = snapshot.breakers.count { $0.shared.snapshot.phase == .open }
        return count == 0 ? "" : ", \(count) open \(count == 1 ? "breaker" : "breakers")"
    }

    var moment: ReportMoment { ReportMoment(now: Clock.monotonic, time: now, history: history) }

    // The admin API.

    func administer(_ path: ServicePath, _ request: AdminRequest, _ caller: AdminCaller) {
        switch path {
        case .services:
            let moment = moment
            list(request, caller) { (snapshot, page) throws(ListPageError) in
                try ServicesReport.list(snapshot, page, at: moment)
            }
        case .breakers:
            let moment = moment
            list(request, caller) { (snapshot, page) throws(ListPageError) in
                try BreakersReport.list(snapshot, page, at: moment)
            }
        case .service(let name): answer(ServicesReport.one(name, snapshot, at: moment), of: name, caller)
        case .health(let name): answer(ServicesReport.health(name, snapshot, at: moment), of: name, caller)
        case .breaker(let name): showBreakers(of: name, request, caller)
        case .instance(let id, of: let name):
            guard let (_, instance) = find(id, of: name, caller) else { return }
            answer(ServicesReport.instance(instance.key.address, of: name, snapshot, at: moment), of: name, caller)
        case .drain(let id, of: let name): setDraining(true, id, of: name, caller)
        case .undrain(let id, of: let name): setDraining(false, id, of: name, caller)
        case .trip(let name): changeBreaker(of: name, request, caller) { $0.trip(at: $1, random: &$2) }
        case .reset(let name): changeBreaker(of: name, request, caller) { breaker, now, _ in breaker.reset(at: now) }
        }
    }

    private func answer(_ report: Report?, of name: String, _ caller: AdminCaller) {
        guard let report else { return refuseUnknown("service", name, snapshot.services.map(\.name), caller) }
        caller.answer(report)
    }

    /// Names that are listed where one is not known.
    private static var namesMax: Int { 50 }

    private func refuseUnknown(_ what: String, _ name: String, _ known: [String], _ caller: AdminCaller) {
        let shown = known.prefix(Self.namesMax)
        let more = known.count > shown.count ? " and \(known.count - shown.count) more" : ""
        let there = shown.isEmpty ? "" : "; there are: " + shown.joined(separator: ", ") + more
        let message = "there is no \(what) \"\(name)\"\(there)"
        let json = JSONValue.object([
            ("reason", .string("unknown_\(what.prefix { $0 != " " })")), ("known", .array(shown.map { .string($0) })),
        ])
        caller.refuse(404, "NOT_FOUND", message, "", details: Report(json: json, text: Report.lines([message])))
    }

    private func find(_ name: String, _ caller: AdminCaller) -> ServiceRuntime? {
        guard let service = snapshot.services.first(where: { $0.name == name }) else {
            refuseUnknown("service", name, snapshot.services.map(\.name), caller)
            return nil
        }
        return service
    }

    private func find(_ id: String, of name: String, _ caller: AdminCaller) -> (ServiceRuntime, InstanceState)? {
        guard let service = find(name, caller) else { return nil }
        guard let instance = service.instances.first(where: { $0.key.address == id }) else {
            refuseUnknown("instance of \(name)", id, service.instances.map(\.key.address), caller)
            return nil
        }
        return (service, instance)
    }

    // Instances.

    private func setDraining(_ isDraining: Bool, _ id: String, of name: String, _ caller: AdminCaller) {
        guard let (_, instance) = find(id, of: name, caller) else { return }
        if instance.health.isDraining != isDraining {
            instance.setDraining(isDraining, at: Clock.monotonic)
            log.event(
                isDraining ? .warn : .info, isDraining ? "instance drained" : "instance undrained",
                ["service": .string(name), "instance": .string(id), "reason": "administrator"])
            wakeWaiters()
        }
        answer(ServicesReport.instance(id, of: name, snapshot, at: moment), of: name, caller)
    }

    // Circuit breakers.

    /// What `?route=` says; nil without it.
    /// - Throws: for any other parameter.
    private static func route(_ query: String) throws(ListPageError) -> String? {
        var route: String?
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard PercentText.decoded(Array(parts[0])) == "route", parts.count == 2 else {
                throw ListPageError("unknown parameter; known here: route")
            }
            route = PercentText.decoded(Array(parts[1]))
        }
        return route
    }

    private func showBreakers(of name: String, _ request: AdminRequest, _ caller: AdminCaller) {
        do throws(ListPageError) {
            guard try Self.route(request.query) != nil else {
                return answer(BreakersReport.one(name, snapshot, at: moment), of: name, caller)
            }
            guard let breaker = try findBreaker(of: name, request, caller) else { return }
            caller.answer(BreakersReport.one(breaker, at: moment))
        } catch {
            caller.refuse(422, "INVALID_REQUEST", "\(error)", "validation_failed")
        }
    }

    /// Nil when the caller has been told that there is none.
    private func findBreaker(
        of name: String, _ request: AdminRequest, _ caller: AdminCaller
    ) throws(ListPageError) -> NamedBreaker? {
        let route = try Self.route(request.query)
        guard find(name, caller) != nil else { return nil }
        let breakers = snapshot.breakers.filter { $0.service == name }
        if let breaker = breakers.first(where: { $0.route == route }) { return breaker }
        let own = breakers.compactMap(\.route)
        if let route, !configuration.routes.contains(where: { $0.name == route }) {
            refuseUnknown("route with a circuit breaker", route, own, caller)
            return nil
        }
        let which = route.map { "route \($0) of service \(name) has no circuit breaker of its own" }
        let message = which ?? "service \(name) has no circuit breaker: it is switched off"
        let hint = own.isEmpty ? "" : "; there are those of its routes \(own.prefix(Self.namesMax).joined(separator: ", "))"
        caller.refuse(409, "INVALID_REQUEST", message + hint, "no_circuit_breaker")
        return nil
    }

    private func changeBreaker(
        of name: String, _ request: AdminRequest, _ caller: AdminCaller,
        _ change: (SharedCircuitBreaker, Instant, inout RandomSource) -> CircuitBreaker.Transition
    ) {
        do throws(ListPageError) {
            guard let breaker = try findBreaker(of: name, request, caller) else { return }
            let transition = change(breaker.shared, Clock.monotonic, &random)
            receive(.breaker(service: breaker.service, route: breaker.route, transition))
            caller.answer(BreakersReport.changed(breaker, from: "\(transition.from.name)", at: moment))
        } catch {
            caller.refuse(422, "INVALID_REQUEST", "\(error)", "validation_failed")
        }
    }
}
