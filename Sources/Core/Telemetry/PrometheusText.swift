import HTTPMessages
import Primitives

/// Writes all metrics in the text format that Prometheus scrapes (version 0.0.4), or as OpenMetrics 1.0.
///
/// Label values come from the configuration and from enums, never from a request, so that the page has a bounded length.
public enum PrometheusText {
    /// The value of every label of the series that takes what went over a limit.
    static var overflow: String { "__overflow__" }

    public static func contentType(openMetrics: Bool) -> StaticString {
        openMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8"
    }

    /// Whether a field value of `Accept` names OpenMetrics. Scrapers name it only when they want it.
    public static func wantsOpenMetrics(accept: RawSpan) -> Bool {
        let name: StaticString = "application/openmetrics-text"
        let n = name.utf8CodeUnitCount
        guard accept.byteCount >= n else { return false }
        for i in 0...(accept.byteCount - n) where accept.extracting(i..<i + n).equals(ignoringCase: name) { return true }
        return false
    }

    /// Sums up and appends the whole page.
    public static func render(_ store: inout MetricsStore, at now: Instant, openMetrics: Bool, into buffer: inout ByteBuffer) {
        let total = store.sum(at: now)
        var page = PrometheusPage(openMetrics: openMetrics)
        page.requests(total, store.registry)
        page.upstream(total, store.registry)
        page.clients(total, store.registry)
        page.itself(total, store)
        buffer.append(page.out.bytes)
        if openMetrics { buffer.append("# EOF\n") }
    }
}

/// A page in the making.
private struct PrometheusPage: ~Copyable {
    var out = ByteBuffer(capacity: 32_768)
    let openMetrics: Bool
    /// Series with labels so far.
    private var series: UInt64 = 0
    /// The labels of the row at hand.
    private var labels: [UInt8] = []

    init(openMetrics: Bool) { self.openMetrics = openMetrics }

    // The parts of the page.

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
        single(.metricsOverflow, total.overflowed)
        single(.metricsSeries, series)
        single(.processCPU, nanoseconds: store.process.cpu.nanoseconds)
        single(.processResident, store.process.residentBytes)
        single(.processVirtual, store.process.virtualBytes)
        single(.processDescriptors, store.process.openDescriptors)
        single(.processDescriptorsMax, store.process.descriptorsMax)
        single(.processStart, nanoseconds: UInt64(max(0, store.process.start.nanoseconds)))
    }

    // Rows and samples.

    private mutating func eachRow(
        _ rows: SeriesRows, _ describe: (inout [UInt8], UInt64?) -> Void,
        _ body: (inout PrometheusPage, Int) -> Void
    ) {
        for (i, key) in rows.keys.enumerated() {
            labels.removeAll(keepingCapacity: true)
            describe(&labels, key)
            body(&self, (i + 1) * rows.width)
        }
        if rows.hasOverflow {
            labels.removeAll(keepingCapacity: true)
            describe(&labels, nil)
            body(&self, 0)
        }
    }

    private mutating func counter(
        _ family: MetricFamily, _ rows: SeriesRows, _ describe: (inout [UInt8], UInt64?) -> Void
    ) {
        header(family)
        eachRow(rows, describe) { page, row in page.sample(family, rows.cells[row]) }
    }

    private mutating func gauge(
        _ family: MetricFamily, _ rows: SeriesRows, at offset: Int, _ describe: (inout [UInt8], UInt64?) -> Void
    ) {
        header(family)
        eachRow(rows, describe) { page, row in page.sample(family, level: rows.cells[row + offset]) }
    }

    private enum Unit { case seconds, bytes }

    /// A histogram that has counted nothing is left out.
    private mutating func histogram(
        _ family: MetricFamily, _ rows: SeriesRows, at offset: Int, _ bounds: [UInt64], unit: Unit,
        _ describe: (inout [UInt8], UInt64?) -> Void
    ) {
        header(family)
        eachRow(rows, describe) { page, row in
            let start = row + offset
            var count: UInt64 = 0
            for k in 0...bounds.count { count &+= rows.cells[start + k] }
            guard count > 0 else { return }
            page.series += 1
            var cumulated: UInt64 = 0
            for (k, bound) in bounds.enumerated() {
                cumulated &+= rows.cells[start + k]
                page.name(family, "_bucket")
                page.out.append(ASCII.comma)
                page.out.append("le=\"")
                page.bound(bound, unit)
                page.out.append("\"} ")
                page.out.append(decimal: cumulated)
                page.out.append(ASCII.lf)
            }
            page.name(family, "_bucket")
            page.out.append(",le=\"+Inf\"} ")
            page.out.append(decimal: count)
            page.out.append(ASCII.lf)
            page.name(family, "_sum")
            page.out.append("} ")
            page.value(rows.cells[start + bounds.count + 1], unit)
            page.out.append(ASCII.lf)
            page.name(family, "_count")
            page.out.append("} ")
            page.out.append(decimal: count)
            page.out.append(ASCII.lf)
        }
    }

    /// The name and the labels up to where `le` or the closing brace goes.
    private mutating func name(_ family: MetricFamily, _ suffix: StaticString) {
        out.append(family.name)
        out.append(suffix)
        out.append(UInt8(0x7b))
        out.append(labels)
    }

    private mutating func header(_ family: MetricFamily) {
        // OpenMetrics names a family of counters without the suffix of its samples, and wants each name once: where a gauge has
        // the name already, the counter stays under its full name, as a family of unknown type.
        let isUnknown = openMetrics && family.sharesName
        for word: StaticString in ["# HELP ", "# TYPE "] {
            out.append(word)
            out.append(family.name)
            if family.kind == .counter && (!openMetrics || isUnknown) { out.append("_total") }
            out.append(ASCII.space)
            let isHelp = word.utf8Start[2] == 0x48
            out.append(isHelp ? family.help : isUnknown ? "unknown" : family.kind.name)
            out.append(ASCII.lf)
        }
    }

    private mutating func begin(_ family: MetricFamily) {
        out.append(family.name)
        if family.kind == .counter { out.append("_total") }
        if !labels.isEmpty {
            series += 1
            out.append(UInt8(0x7b))
            out.append(labels)
            out.append(UInt8(0x7d))
        }
        out.append(ASCII.space)
    }

    private mutating func sample(_ family: MetricFamily, _ value: UInt64) {
        begin(family)
        out.append(decimal: value)
        out.append(ASCII.lf)
    }

    /// A gauge that went up and down by wrapping addition. Below zero it stands when a name went and its last request ended
    /// after.
    private mutating func sample(_ family: MetricFamily, level: UInt64) {
        sample(family, UInt64(max(0, Int64(bitPattern: level))))
    }

    private mutating func sample(_ family: MetricFamily, nanoseconds: UInt64) {
        begin(family)
        seconds(nanoseconds)
        out.append(ASCII.lf)
    }

    private mutating func single(_ family: MetricFamily, _ value: UInt64) {
        header(family)
        sample(family, value)
    }

    private mutating func single(_ family: MetricFamily, nanoseconds: UInt64) {
        header(family)
        sample(family, nanoseconds: nanoseconds)
    }

    // Numbers.

    private mutating func value(_ number: UInt64, _ unit: Unit) {
        switch unit {
        case .seconds: seconds(number)
        case .bytes: out.append(decimal: number)
        }
    }

    /// OpenMetrics writes a bound as a float always.
    private mutating func bound(_ number: UInt64, _ unit: Unit) {
        value(number, unit)
        let isWhole =
            switch unit {
            case .seconds: number % 1_000_000_000 == 0
            case .bytes: true
            }
        if openMetrics && isWhole { out.append(".0") }
    }

    /// Exact, without trailing zeros.
    private mutating func seconds(_ nanoseconds: UInt64) {
        out.append(decimal: nanoseconds / 1_000_000_000)
        var rest = nanoseconds % 1_000_000_000
        guard rest > 0 else { return }
        out.append(ASCII.dot)
        var unit: UInt64 = 100_000_000
        while rest > 0 {
            out.append(UInt8(truncatingIfNeeded: 48 + rest / unit))
            rest %= unit
            unit /= 10
        }
    }

    // Label values.

    private static func method(_ raw: UInt8) -> String { Method(rawValue: raw).map { "\($0.name)" } ?? "" }

    private static func reason(_ raw: UInt8) -> String { Reason(rawValue: raw).map { "\($0.name)" } ?? "" }

    private static func statusClass(_ digit: Int) -> String { digit == 0 ? "" : "\(digit)xx" }
}

extension [UInt8] {
    /// Appends `name="value"` with a comma before it unless it is the first; nil is the value of the overflow series.
    fileprivate mutating func add(_ name: StaticString, _ value: String?) {
        if !isEmpty { append(ASCII.comma) }
        name.withUTF8Buffer { append(contentsOf: $0) }
        append(ASCII.equals)
        append(ASCII.quote)
        for byte in (value ?? PrometheusText.overflow).utf8 {
            switch byte {
            case ASCII.backslash: append(contentsOf: [ASCII.backslash, ASCII.backslash])
            case ASCII.quote: append(contentsOf: [ASCII.backslash, ASCII.quote])
            case ASCII.lf: append(contentsOf: [ASCII.backslash, 0x6e])
            default: append(byte)
            }
        }
        append(ASCII.quote)
    }
}
