import Primitives
import Proxy

/// What the control thread knows of the process at one moment.
public struct StatusReading: Sendable {
    public var version: String
    public var startedAt: Timestamp
    public var uptimeSeconds: Int
    /// Of the configuration in force; counts from 1.
    public var generation: Int
    public var workers: Int
    /// Requests since the start, all workers together.
    public var requestCount: Int
    public var activeConnections: Int
    public var isDraining: Bool
    public var lastReloadSucceeded: Bool
    /// Of the last reload, or of the start.
    public var lastReloadAt: Timestamp

    public init(
        version: String, startedAt: Timestamp, uptimeSeconds: Int, generation: Int, workers: Int, requestCount: Int,
        activeConnections: Int, isDraining: Bool, lastReloadSucceeded: Bool, lastReloadAt: Timestamp
    ) {
        self.version = version
        self.startedAt = startedAt
        self.uptimeSeconds = uptimeSeconds
        self.generation = generation
        self.workers = workers
        self.requestCount = requestCount
        self.activeConnections = activeConnections
        self.isDraining = isDraining
        self.lastReloadSucceeded = lastReloadSucceeded
        self.lastReloadAt = lastReloadAt
    }
}

/// How the process is, for people and for the programs that watch it.
public enum StatusReport {
    /// `GET /status`.
    public static func make(_ reading: StatusReading, _ snapshot: GatewaySnapshot, at moment: ReportMoment) -> Report {
        let services = ServiceHealth.all(snapshot, at: moment)
        let json = JSONValue.object([
            ("status", .string(word(reading, services))), ("version", .string(reading.version)),
            ("started_at", .string(reading.startedAt.text)), ("uptime", .number(reading.uptimeSeconds)),
            ("generation", .number(reading.generation)), ("config_generation", .number(reading.generation)),
            (
                "last_reload",
                .object([
                    ("succeeded", .bool(reading.lastReloadSucceeded)), ("at", .string(reading.lastReloadAt.text)),
                ])
            ),
            ("workers", .number(reading.workers)), ("request_count", .number(reading.requestCount)),
            ("active_connections", .number(reading.activeConnections)), ("redis", .string("off")),
            (
                "services",
                .object(
                    services.map { health in
                        (
                            health.name,
                            .object(
                                [
                                    ("state", .string(health.state.rawValue)), ("maintenance", .bool(health.isInMaintenance)),
                                    ("instances", health.counts),
                                ] + health.members)
                        )
                    })
            ),
        ])
        return Report(json: json, text: text(reading, services))
    }

    /// `GET /internal/v1/health`.
    public static func health(_ reading: StatusReading, _ snapshot: GatewaySnapshot, at moment: ReportMoment) -> Report {
        let services = ServiceHealth.all(snapshot, at: moment)
        let word = word(reading, services)
        let dependencies = services.map { ($0.name, JSONValue.string($0.state.rawValue)) }
        let json = JSONValue.object([
            ("status", .string(word)), ("timestamp", .string(moment.time.text)),
            ("dependencies", .object([("redis", .string("off")), ("services", .object(dependencies))])),
        ])
        return Report(json: json, text: "\(word)\n")
    }

    /// `GET /internal/v1/metrics`.
    /// - Parameters:
    ///   - errorRate: the share of requests answered with 5xx, 0 to 1.
    ///   - p95Seconds: nil while there was no request.
    public static func metrics(requestCount: Int, errorRate: Double, p95Seconds: Double?, activeConnections: Int) -> Report {
        let json = JSONValue.object([
            ("request_count", .number(requestCount)), ("error_rate", .decimal(errorRate)),
            ("response_time_p95", p95Seconds.map { .decimal($0) } ?? .null), ("active_connections", .number(activeConnections)),
        ])
        let p95 = p95Seconds.map { JSONValue.decimal($0).text + " s" } ?? "-"
        let lines = [
            ("requests", "\(requestCount)"), ("error rate", JSONValue.decimal(errorRate).text), ("response time p95", p95),
            ("active connections", "\(activeConnections)"),
        ]
        return Report(json: json, text: TextList.of(lines))
    }

    /// The process is well while it serves; services that are not all well degrade it.
    private static func word(_ reading: StatusReading, _ services: [ServiceHealth]) -> String {
        if reading.isDraining { return "draining" }
        return services.allSatisfy { $0.state == .healthy } ? "healthy" : "degraded"
    }

    private static func text(_ reading: StatusReading, _ services: [ServiceHealth]) -> String {
        let reload = reading.lastReloadSucceeded ? "applied" : "refused"
        var text = TextList.of([
            ("status", word(reading, services)), ("version", reading.version),
            ("uptime", "\(reading.uptimeSeconds) s, since \(reading.startedAt.text)"),
            ("configuration", "generation \(reading.generation), last load \(reload) at \(reading.lastReloadAt.text)"),
            ("workers", "\(reading.workers)"), ("requests", "\(reading.requestCount)"),
            ("active connections", "\(reading.activeConnections)"), ("redis", "off"),
        ])
        guard !services.isEmpty else { return text }
        var table = TextTable(["SERVICE", "STATE", "INSTANCES", "BREAKER", "RETRY BUDGET"])
        for health in services {
            table.add([health.name, health.word, health.instancesWord, health.breakerWord, health.budgetWord])
        }
        text += "\n" + table.text
        return text
    }
}
