import Configuration
import Primitives
import Proxy
import Upstream

/// The services of a configuration and what is known of their instances.
public enum ServicesReport {
    /// `GET /services`: a page of them, in the order of the file.
    public static func list(
        _ snapshot: GatewaySnapshot, _ page: ListPage = ListPage(), at moment: ReportMoment
    ) throws(ListPageError) -> Report {
        let services = ServiceHealth.all(snapshot, at: moment)
        let range = try page.range(in: services.map(\.name))
        let next = range.upperBound < services.count ? range.last.map { services[$0].name } : nil
        let json = JSONValue.object([
            ("data", .array(services[range].map(value))), ("next", next.map { .string($0) } ?? .null),
            ("total", .number(services.count)),
        ])
        var text = table(services[range])
        if let next { text += "\(range.count) of \(services.count) services; the next ones: cursor \(next)\n" }
        return Report(json: json, text: text)
    }

    /// `GET /services/{service}`; nil when there is no service of this name.
    public static func one(_ name: String, _ snapshot: GatewaySnapshot, at moment: ReportMoment) -> Report? {
        guard let health = ServiceHealth.all(snapshot, at: moment).first(where: { $0.name == name }) else { return nil }
        return Report(json: value(health), text: table([health]))
    }

    /// `GET /health-check/{service}`; nil when there is no service of this name.
    public static func health(_ name: String, _ snapshot: GatewaySnapshot, at moment: ReportMoment) -> Report? {
        guard let health = ServiceHealth.all(snapshot, at: moment).first(where: { $0.name == name }) else { return nil }
        let json = JSONValue.object([
            ("service", .string(name)), ("status", .string(health.state.rawValue)),
            ("maintenance", .bool(health.isInMaintenance)), ("instances", health.counts),
            ("draining", .number(health.drainingCount)), ("ejected", .number(health.ejectedCount)),
            ("breaker", .string(health.breakerName)),
            ("last_health_check", health.checkedAt.map { .string($0.text) } ?? .null),
            ("timestamp", .string(moment.time.text)),
        ])
        var text = "\(TerminalText.of(name)): \(health.state.rawValue), \(health.healthyCount) of \(health.instances.count) "
        text += "instances healthy"
        if health.drainingCount > 0 { text += ", \(health.drainingCount) draining" }
        if health.ejectedCount > 0 { text += ", \(health.ejectedCount) ejected" }
        if let breaker = health.breaker, breaker.phase != .closed { text += ", breaker \(breaker.word)" }
        if health.isInMaintenance { text += ", in maintenance" }
        return Report(json: json, text: text + "\n")
    }

    /// `POST /services/{service}/instances/{id}/drain` or `undrain`, and `GET` of the instance.
    /// - Returns: nil when the service or the instance is not there.
    public static func instance(
        _ id: String, of service: String, _ snapshot: GatewaySnapshot, at moment: ReportMoment
    ) -> Report? {
        guard let health = ServiceHealth.all(snapshot, at: moment).first(where: { $0.name == service }),
            let view = health.instances.first(where: { $0.id == id }), case .object(let members) = view.json
        else { return nil }
        let left = health.eligibleCount
        var lines = ["\(service), \(id): \(view.word), \(view.inFlight) in flight"]
        var warning: String?
        if left == 0, !health.isInMaintenance {
            warning = "no instance of \(service) takes requests now: they are answered 503, or by a fallback"
        }
        if let warning { lines.append("warning: \(warning)") }
        return Report(
            json: .object(
                [("service", .string(service))] + members + [
                    ("instances_taking_requests", .number(left)), ("warning", warning.map { .string($0) } ?? .null),
                ]), text: Report.lines(lines))
    }

    private static func table(_ services: some Sequence<ServiceHealth>) -> String {
        var table = TextTable([
            "SERVICE", "STATUS", "INSTANCE", "WEIGHT", "VERSION", "CONNECTIONS", "IN FLIGHT", "LAST CHECK", "INSTANCE STATUS",
        ])
        for health in services {
            for instance in health.instances {
                table.add([
                    health.name, health.word, instance.id, "\(instance.weight)", instance.version,
                    "\(instance.connections)", "\(instance.inFlight)", instance.checkWord, instance.word,
                ])
            }
        }
        return table.text
    }

    private static func value(_ health: ServiceHealth) -> JSONValue {
        let versions = Set(health.instances.map(\.version))
        let version = versions.count == 1 ? versions.first ?? "" : ""
        return .object(
            [
                ("name", .string(health.name)), ("url", health.instances.first.map { .string($0.url) } ?? .null),
                ("status", .string(health.state.rawValue)), ("maintenance", .bool(health.isInMaintenance)),
                ("last_health_check", health.checkedAt.map { .string($0.text) } ?? .null),
                ("version", version.isEmpty ? .null : .string(version)), ("tags", .array([])),
            ] + health.members + [("instances", .array(health.instances.map(\.json)))])
    }
}

extension Timestamp {
    /// RFC 3339 in UTC, with milliseconds.
    var text: String {
        var buffer = ByteBuffer(capacity: Timestamp.textBytes)
        appendRFC3339(.milliseconds, into: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }
}
