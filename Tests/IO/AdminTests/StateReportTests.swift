import Primitives
import Proxy
import Testing

@testable import Admin

/// Services and the process.
struct StateReportTests {
    private static func gateway() throws -> GatewaySnapshot {
        try snapshot(
            """
            listeners: [{name: web, address: "127.0.0.1:8000"}]
            services:
              users: {instances: [{url: "http://10.1.0.5:8080", weight: 2, version: v1}, {url: "unix:/run/users.sock"}]}
              named: {instances: [{url: "http://app.internal:8080"}]}
              mixed: {instances: [{url: "http://app.internal:8080"}, {url: "http://10.1.0.9"}]}
              drained: {instances: [{url: "http://10.1.0.8", weight: 0, version: v3}]}
              closed: {instances: [{url: "http://10.1.0.7"}], maintenance: true}
            routes:
              - {name: users, match: {path: "/users/*"}, service: users}
              - {name: half, match: {path: "/half/*"}, service: users, maintenance: true}
              - {name: closed, match: {path: "/closed/*"}, service: closed}
            """)
    }

    private static let reading = StatusReading(
        version: "1.2.3", startedAt: Timestamp(seconds: 1_000), uptimeSeconds: 61, generation: 4, workers: 2, requestCount: 10,
        activeConnections: 3, isDraining: false, lastReloadSucceeded: false, lastReloadAt: Timestamp(seconds: 1_030))

    private let moment = ReportMoment(now: Instant(nanoseconds: 0), time: Timestamp(seconds: 0))

    @Test func `instances are healthy until their name has no address, and maintenance is no failure`() throws {
        let services = try ServicesReport.list(Self.gateway(), at: moment).json["data"].elements
        #expect(services.map { $0["status"].string } == ["HEALTHY", "UNKNOWN", "DEGRADED", "HEALTHY", "HEALTHY"])
        #expect(services.map { $0["maintenance"].text } == ["false", "false", "false", "true", "true"])
        #expect(services[2]["instances"].elements.map { $0["status"].string } == ["UNKNOWN", "HEALTHY"])
    }

    private static let unchecked =
        #""draining": false, "ejected": false, "takes_requests": true, "in_flight": 0, "connections": 0, "#
        + #""last_health_check": null, "last_health_check_result": null, "last_change": null}, "#

    @Test func `a service is listed with its instances`() throws {
        let report = try ServicesReport.list(Self.gateway(), at: moment)
        #expect(report.json["total"].number == 5 && report.json["next"].isNull)
        #expect(
            report.json["data"][0].text
                == #"{"name": "users", "url": "http://10.1.0.5:8080", "status": "HEALTHY", "maintenance": false, "#
                + #""last_health_check": null, "version": null, "tags": [], "draining": 0, "ejected": 0, "in_flight": 0, "#
                + #""waiting": 0, "breaker": "closed", "breaker_seconds_left": 0, "open_route_breakers": [], "#
                + #""retry_budget_remaining": 1, "concurrency_limit": null, "instances": ["#
                + #"{"id": "10.1.0.5:8080", "url": "http://10.1.0.5:8080", "weight": 2, "version": "v1", "status": "HEALTHY", "#
                + Self.unchecked + #"{"id": "unix:/run/users.sock", "url": "unix:/run/users.sock", "weight": 1, "#
                + #""version": null, "status": "HEALTHY", "# + Self.unchecked.dropLast(2) + "]}")
        #expect(report.json["data"][3]["version"].string == "v3")
        #expect(report.text.split(separator: "\n").count == 8)
    }

    @Test func `open connections are counted`() throws {
        let snapshot = try Self.gateway()
        #expect(snapshot.services[0].instances[1].slots.tryAcquire() == true)
        let instances = try ServicesReport.list(snapshot, at: moment).json["data"][0]["instances"]
        #expect(instances[0]["connections"].number == 0 && instances[1]["connections"].number == 1)
    }

    @Test func `the health of one service is told by its name, and nothing of one that is not there`() throws {
        let snapshot = try Self.gateway()
        let report = try #require(ServicesReport.health("mixed", snapshot, at: moment))
        #expect(
            report.json.text
                == #"{"service": "mixed", "status": "DEGRADED", "maintenance": false, "instances": {"healthy": 1, "total": 2}, "#
                + #""draining": 0, "ejected": 0, "breaker": "closed", "last_health_check": null, "#
                + #""timestamp": "1970-01-01T00:00:00.000Z"}"#)
        #expect(report.text == "mixed: DEGRADED, 1 of 2 instances healthy\n")
        #expect(ServicesReport.health("nobody", snapshot, at: moment) == nil)
    }

    @Test func `the status tells of the process, the last reload and the services`() throws {
        let report = StatusReport.make(Self.reading, try Self.gateway(), at: moment)
        let json = report.json
        #expect(json["status"].string == "degraded" && json["version"].string == "1.2.3" && json["uptime"].number == 61)
        #expect(json["generation"].number == 4 && json["config_generation"].number == 4 && json["workers"].number == 2)
        #expect(json["request_count"].number == 10 && json["active_connections"].number == 3 && json["redis"].string == "off")
        #expect(json["last_reload"].text == #"{"succeeded": false, "at": "1970-01-01T00:17:10.000Z"}"#)
        #expect(
            json["services"]["closed"].text
                == #"{"state": "HEALTHY", "maintenance": true, "instances": {"healthy": 1, "total": 1}, "draining": 0, "#
                + #""ejected": 0, "in_flight": 0, "waiting": 0, "breaker": "closed", "breaker_seconds_left": 0, "#
                + #""open_route_breakers": [], "retry_budget_remaining": 1, "concurrency_limit": null}"#)
        #expect(report.text.contains("configuration       generation 4, last load refused at 1970-01-01T00:17:10.000Z\n"))
        #expect(report.text.contains("\nclosed   HEALTHY (maintenance)  1/1 healthy"))
    }

    @Test func `a draining process says so`() throws {
        var reading = Self.reading
        reading.isDraining = true
        #expect(StatusReport.make(reading, try Self.gateway(), at: moment).json["status"].string == "draining")
    }

    @Test func `the older health form names the dependencies`() throws {
        let report = StatusReport.health(
            Self.reading, try routed("- {name: a, match: {path: /a}, service: users}"), at: moment)
        #expect(
            report.json.text
                == #"{"status": "healthy", "timestamp": "1970-01-01T00:00:00.000Z", "dependencies": {"redis": "off", "services": {"users": "HEALTHY"}}}"#
        )
        #expect(report.text == "healthy\n")
    }

    @Test func `the older metrics form has four numbers, and no percentile without a request`() {
        #expect(
            StatusReport.metrics(requestCount: 1000, errorRate: 0.0125, p95Seconds: 0.25, activeConnections: 4).json.text
                == #"{"request_count": 1000, "error_rate": 0.013, "response_time_p95": 0.25, "active_connections": 4}"#)
        let none = StatusReport.metrics(requestCount: 0, errorRate: 0, p95Seconds: nil, activeConnections: 0)
        #expect(none.json["response_time_p95"].isNull && none.text.contains("response time p95   -\n"))
    }
}
