import Health
import Primitives
import Resilience

/// Services that fail: breakers, health, ejections, limits.
extension PrometheusPage {
    mutating func services(_ total: MetricsRows, _ store: borrowing MetricsStore) {
        breakers(total, store)
        instances(total, store)
        limits(total, store)
    }

    private mutating func breakers(_ total: MetricsRows, _ store: borrowing MetricsStore) {
        let names = store.registry
        let all = store.services.services.flatMap { service in service.breakers.map { (service: service.name, breaker: $0) } }
        oneOf(.breakerState, all.map(\.breaker.phase), CircuitBreaker.Phase.allCases, \.name) { labels, index in
            labels.add("service", index.map { all[$0].service })
            labels.add("route", index.map { all[$0].breaker.route ?? "" })
        }
        counter(.breakerTransitions, store.events.breakers.rows()) { labels, key in
            labels.add("service", key.map { names.name(SeriesKey.service($0), .service) })
            labels.add("route", key.map { names.name(SeriesKey.route($0), .route) })
            labels.add("from", key.map { PrometheusPage.breaker(SeriesKey.breakerFrom($0)) })
            labels.add("to", key.map { PrometheusPage.breaker(SeriesKey.breakerTo($0)) })
        }
        serviceCounter(.breakerRejected, total.services, at: ServiceCells.breakerRejected, names)
    }

    private mutating func instances(_ total: MetricsRows, _ store: borrowing MetricsStore) {
        let names = store.registry
        let all = store.services.services.flatMap { service in service.instances.map { (service: service.name, instance: $0) } }
        let instance: (inout [UInt8], Int?) -> Void = { labels, index in
            labels.add("service", index.map { all[$0].service })
            labels.add("instance", index.map { all[$0].instance.name })
        }
        oneOf(.instanceHealth, all.map(\.instance.health), InstanceHealth.Phase.allCases, \.name, instance)
        counter(.instanceHealthChanges, store.events.health.rows()) { labels, key in
            labels.add("service", key.map { names.name(SeriesKey.upstreamService($0), .service) })
            labels.add("instance", key.map { names.name(SeriesKey.upstreamInstance($0), .instance) })
            labels.add("to", key.map { InstanceHealth.Phase(rawValue: SeriesKey.healthTo($0)).map { "\($0.name)" } ?? "" })
            labels.add("reason", key.map { HealthChange.Reason(rawValue: SeriesKey.reason($0)).map { "\($0.name)" } ?? "" })
        }
        header(.healthChecks)
        let checks = store.events.checks.rows()
        eachRow(checks) { labels, key in
            labels.add("service", key.map { names.name(SeriesKey.upstreamService($0), .service) })
            labels.add("result", key.map { SeriesKey.checkPassed($0) ? "passed" : "failed" })
            labels.add("type", "active")
        } _: { page, row in
            page.sample(.healthChecks, checks.cells[row])
        }
        eachRow(total.services) { labels, key in
            labels.add("service", key.map { names.name(UInt32(truncatingIfNeeded: $0), .service) })
            labels.add("result", "failed")
            labels.add("type", "passive")
        } _: { page, row in
            page.sample(.healthChecks, total.services.cells[row + ServiceCells.passiveFailures])
        }
        serviceGauge(.ejectedInstances, store.services) { UInt64(max(0, $0.ejectedCount)) }
        counter(.ejections, store.events.ejections.rows()) { labels, key in
            labels.add("service", key.map { names.name(SeriesKey.upstreamService($0), .service) })
            labels.add("cause", key.map { "\(SeriesKey.ejectionCause($0).name)" })
        }
        gauge(.instanceDraining, all.map { $0.instance.isDraining ? 1 : 0 }, instance)
        gauge(.instanceInFlight, all.map { UInt64(max(0, $0.instance.inFlight)) }, instance)
    }

    private mutating func limits(_ total: MetricsRows, _ store: borrowing MetricsStore) {
        let names = store.registry
        header(.retryBudgetRemaining)
        for service in store.services.services.prefix(SeriesTable.seriesMax) {
            labels.removeAll(keepingCapacity: true)
            labels.add("service", service.name)
            let permille = UInt64(min(max(0, service.retryBudgetPermille), 1000))
            sample(.retryBudgetRemaining, nanoseconds: permille * 1_000_000)
        }
        header(.fallbacks)
        eachRow(total.services) { labels, key in
            labels.add("service", key.map { names.name(UInt32(truncatingIfNeeded: $0), .service) })
        } _: { page, row in
            let labelCount = page.labels.count
            for kind in FallbackKind.allCases {
                page.labels.removeLast(page.labels.count - labelCount)
                page.labels.add("kind", "\(kind.name)")
                page.sample(.fallbacks, total.services.cells[row + ServiceCells.fallbacks + Int(kind.rawValue)])
            }
        }
        serviceGauge(.concurrencyLimit, store.services) { $0.concurrencyLimit.map { UInt64(max(0, $0)) } }
        serviceCounter(.concurrencyLimited, total.services, at: ServiceCells.concurrencyLimited, names)
        header(.shed)
        for priority in RequestPriority.allCases {
            labels.removeAll(keepingCapacity: true)
            labels.add("priority", "\(priority.name)")
            sample(.shed, total.sheds[Int(priority.rawValue)])
        }
    }

    private static func breaker(_ raw: UInt8) -> String { CircuitBreaker.Phase(rawValue: raw).map { "\($0.name)" } ?? "" }

    private mutating func serviceCounter(_ family: MetricFamily, _ rows: SeriesRows, at cell: Int, _ names: LabelRegistry) {
        header(family)
        eachRow(rows) { labels, key in
            labels.add("service", key.map { names.name(UInt32(truncatingIfNeeded: $0), .service) })
        } _: { page, row in
            page.sample(family, rows.cells[row + cell])
        }
    }

    /// One sample for each service that has a value.
    private mutating func serviceGauge(
        _ family: MetricFamily, _ readings: ServiceReadings, _ value: (ServiceReadings.Service) -> UInt64?
    ) {
        let shown = readings.services.compactMap { service in value(service).map { (service.name, $0) } }
        gauge(family, shown.map(\.1)) { labels, index in labels.add("service", index.map { shown[$0].0 }) }
    }
}
