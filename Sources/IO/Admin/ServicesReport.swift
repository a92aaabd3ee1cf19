import Configuration
import Primitives
import Proxy
import Upstream

/// The services of a configuration and what is known of their instances.
public enum ServicesReport {
    /// `GET /internal/services`: a page of them, in the order of the file.
    public static func list(_ snapshot: GatewaySnapshot, _ page: ListPage = ListPage()) throws(ListPageError) -> Report {
        let services = snapshot.configuration.services
        let range = try page.range(in: services.map(\.name))
        let next = range.upperBound < services.count ? range.last.map { services[$0].name } : nil
        var table = TextTable(["SERVICE", "STATUS", "INSTANCE", "WEIGHT", "VERSION", "CONNECTIONS", "INSTANCE STATUS"])
        var data: [JSONValue] = []
        for (index, health) in ServiceHealth.all(snapshot).enumerated() where range.contains(index) {
            let runtime = snapshot.services[index]
            for (i, instance) in services[index].instances.enumerated() {
                table.add([
                    health.name, health.word, instance.address.text, "\(instance.weight)", instance.version,
                    "\(runtime.instances[i].slots.openCount)", health.instances[i].rawValue,
                ])
            }
            data.append(value(services[index], runtime, health))
        }
        let json = JSONValue.object([
            ("data", .array(data)), ("next", next.map { .string($0) } ?? .null), ("total", .number(services.count)),
        ])
        var text = table.text
        if let next { text += "\(range.count) of \(services.count) services; the next ones: cursor \(next)\n" }
        return Report(json: json, text: text)
    }

    /// `GET /health-check/{service}`; nil when there is no service of this name.
    public static func health(_ name: String, _ snapshot: GatewaySnapshot, now: Timestamp) -> Report? {
        guard let health = ServiceHealth.all(snapshot).first(where: { $0.name == name }) else { return nil }
        let json = JSONValue.object([
            ("service", .string(name)), ("status", .string(health.state.rawValue)),
            ("maintenance", .bool(health.isInMaintenance)), ("instances", health.counts),
            ("timestamp", .string(now.text)),
        ])
        let note = health.isInMaintenance ? ", in maintenance" : ""
        let text =
            "\(TerminalText.of(name)): \(health.state.rawValue), \(health.healthyCount) of \(health.instances.count) "
            + "instances healthy\(note)\n"
        return Report(json: json, text: text)
    }

    private static func value(
        _ configuration: ServiceConfiguration, _ runtime: ServiceRuntime, _ health: ServiceHealth
    ) -> JSONValue {
        let versions = Set(configuration.instances.map(\.version))
        let version = versions.count == 1 ? versions.first ?? "" : ""
        let instances = configuration.instances.enumerated().map { index, instance in
            JSONValue.object([
                ("id", .string(instance.address.text)), ("url", .string(instance.address.url)),
                ("weight", .number(instance.weight)), ("version", instance.version.isEmpty ? .null : .string(instance.version)),
                ("status", .string(health.instances[index].rawValue)),
                // Not counted yet for the process as a whole.
                ("in_flight", .null), ("connections", .number(runtime.instances[index].slots.openCount)),
            ])
        }
        return .object([
            ("name", .string(configuration.name)),
            ("url", configuration.instances.first.map { .string($0.address.url) } ?? .null),
            ("status", .string(health.state.rawValue)), ("maintenance", .bool(health.isInMaintenance)),
            ("last_health_check", .null), ("version", version.isEmpty ? .null : .string(version)), ("tags", .array([])),
            ("instances", .array(instances)),
        ])
    }
}

extension InstanceAddress {
    /// As the file writes it.
    var url: String {
        switch self {
        case .ip, .name: "http://\(text)"
        case .unix: text
        }
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
