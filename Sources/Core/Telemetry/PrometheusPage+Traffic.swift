import HTTPMessages
import Primitives

/// What the workers have counted, and the process itself.
extension PrometheusPage {
    mutating func requests(_ total: MetricsRows, _ names: LabelRegistry) {
        counter(.requests, total.requests) { labels, key in
            labels.add("listener", key.map { names.name(SeriesKey.requestListener($0), .listener) })
            labels.add("route", key.map { names.name(SeriesKey.route($0), .route) })
            labels.add("service", key.map { names.name(SeriesKey.service($0), .service) })
            labels.add("method", key.map { PrometheusPage.method(SeriesKey.method($0)) })
            labels.add("status", key.map { String(SeriesKey.status($0)) })
            labels.add("reason", key.map { PrometheusPage.reason(SeriesKey.reason($0)) })
        }
        histogram(.requestDuration, total.durations, at: 0, Histogram.latencyBounds, unit: .seconds) { labels, key in
            labels.add("route", key.map { names.name(SeriesKey.route($0), .route) })
            labels.add("service", key.map { names.name(SeriesKey.service($0), .service) })
            labels.add("method", key.map { PrometheusPage.method(SeriesKey.method($0)) })
            labels.add("status_class", key.map { PrometheusPage.statusClass(SeriesKey.durationClass($0)) })
        }
        let route: (inout [UInt8], UInt64?) -> Void = { labels, key in
            labels.add("route", key.map { names.name(UInt32(truncatingIfNeeded: $0), .route) })
        }
        histogram(.overhead, total.routes, at: RouteCells.overhead, Histogram.overheadBounds, unit: .seconds, route)
        histogram(.requestSize, total.routes, at: RouteCells.requestSize, Histogram.sizeBounds, unit: .bytes, route)
        histogram(.responseSize, total.routes, at: RouteCells.responseSize, Histogram.sizeBounds, unit: .bytes, route)
        gauge(.inFlight, total.routes, at: RouteCells.inFlight, route)
        header(.rejects)
        for reason in Reason.allCases where total.rejects[Int(reason.rawValue)] > 0 {
            labels.removeAll(keepingCapacity: true)
            labels.add("reason", "\(reason.name)")
            sample(.rejects, total.rejects[Int(reason.rawValue)])
        }
    }

    mutating func upstream(_ total: MetricsRows, _ names: LabelRegistry) {
        counter(.upstreamRequests, total.upstreams) { labels, key in
            labels.add("service", key.map { names.name(SeriesKey.upstreamService($0), .service) })
            labels.add("instance", key.map { names.name(SeriesKey.upstreamInstance($0), .instance) })
            labels.add("status_class", key.map { PrometheusPage.statusClass(SeriesKey.upstreamClass($0)) })
            labels.add("outcome", key.map { PrometheusPage.reason(SeriesKey.reason($0)) })
        }
        let service: (inout [UInt8], UInt64?) -> Void = { labels, key in
            labels.add("service", key.map { names.name(UInt32(truncatingIfNeeded: $0), .service) })
        }
        let services = total.services
        histogram(.upstreamDuration, services, at: ServiceCells.duration, Histogram.latencyBounds, unit: .seconds, service)
        histogram(.upstreamConnect, services, at: ServiceCells.connect, Histogram.waitBounds, unit: .seconds, service)
        header(.upstreamConnections)
        eachRow(services, service) { page, row in
            let labelCount = page.labels.count
            for state in UpstreamConnectionState.allCases {
                page.labels.removeLast(page.labels.count - labelCount)
                page.labels.add("state", "\(state.name)")
                page.sample(.upstreamConnections, level: services.cells[row + ServiceCells.connections + Int(state.rawValue)])
            }
        }
        gauge(.queueLength, services, at: ServiceCells.queueLength, service)
        histogram(.queueWait, services, at: ServiceCells.queueWait, Histogram.waitBounds, unit: .seconds, service)
        counter(.retries, total.retries) { labels, key in
            labels.add("service", key.map { names.name(SeriesKey.upstreamService($0), .service) })
            labels.add("reason", key.map { PrometheusPage.reason(SeriesKey.retryReason($0)) })
            labels.add("result", key.map { RetryResult(rawValue: SeriesKey.retryResult($0)).map { "\($0.name)" } ?? "" })
        }
    }

    mutating func clients(_ total: MetricsRows, _ names: LabelRegistry) {
        let listeners = total.listeners
        let listener: (inout [UInt8], UInt64?) -> Void = { labels, key in
            labels.add("listener", key.map { names.name(UInt32(truncatingIfNeeded: $0), .listener) })
        }
        gauge(.connections, listeners, at: ListenerCells.connections, listener)
        header(.connectionsTotal)
        eachRow(listeners, listener) { page, row in
            let labelCount = page.labels.count
            for result in ConnectionResult.allCases {
                page.labels.removeLast(page.labels.count - labelCount)
                page.labels.add("result", "\(result.name)")
                page.sample(.connectionsTotal, listeners.cells[row + ListenerCells.results + Int(result.rawValue)])
            }
        }
        counter(.administered, total.administered) { labels, key in
            labels.add("status", key.map { "\($0)" })
        }
        header(.acceptErrors)
        for error in AcceptError.allCases where total.acceptErrors[Int(error.rawValue)] > 0 {
            labels.removeAll(keepingCapacity: true)
            labels.add("errno", "\(error.name)")
            sample(.acceptErrors, total.acceptErrors[Int(error.rawValue)])
        }
    }

    mutating func itself(_ total: MetricsRows, _ store: borrowing MetricsStore) {
        header(.loopLag)
        for (worker, turn) in store.longestTurns.enumerated() {
            guard let turn else { continue }
            labels.removeAll(keepingCapacity: true)
            labels.add("worker", String(worker))
            sample(.loopLag, nanoseconds: turn)
        }
        let configuration = store.configuration
        header(.configReloads)
        for (result, count) in [("success", configuration.reloadsSucceeded), ("error", configuration.reloadsFailed)] {
            labels.removeAll(keepingCapacity: true)
            labels.add("result", result)
            sample(.configReloads, count)
        }
        header(.buildInfo)
        labels.removeAll(keepingCapacity: true)
        labels.add("version", store.build.version)
        labels.add("revision", store.build.revision)
        sample(.buildInfo, 1)
        labels.removeAll(keepingCapacity: true)
        single(.logDropped, total.logDropped &+ store.process.logLinesLost)
        single(.configGeneration, configuration.generation)
        single(.configSuccessful, configuration.lastReloadSucceeded ? 1 : 0)
        single(.configSuccessTime, nanoseconds: UInt64(max(0, configuration.lastSuccess.nanoseconds)))
        single(.metricsOverflow, total.overflowed &+ store.events.overflowed)
        single(.metricsSeries, series)
        single(.processCPU, nanoseconds: store.process.cpu.nanoseconds)
        single(.processResident, store.process.residentBytes)
        single(.processVirtual, store.process.virtualBytes)
        single(.processDescriptors, store.process.openDescriptors)
        single(.processDescriptorsMax, store.process.descriptorsMax)
        single(.processStart, nanoseconds: UInt64(max(0, store.process.start.nanoseconds)))
    }

    // Label values.

    private static func method(_ raw: UInt8) -> String { Method(rawValue: raw).map { "\($0.name)" } ?? "" }

    private static func reason(_ raw: UInt8) -> String { Reason(rawValue: raw).map { "\($0.name)" } ?? "" }

    private static func statusClass(_ digit: Int) -> String { digit == 0 ? "" : "\(digit)xx" }
}
