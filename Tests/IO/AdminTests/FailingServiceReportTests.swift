import Balancing
import Health
import Primitives
import Proxy
import Resilience
import Testing
import Upstream

@testable import Admin

/// Services of which something has failed, as the reports show them.
struct FailingServiceReportTests {
    /// Later than the clock of any machine by which the snapshot was made.
    private let now = Instant(nanoseconds: 1_000_000_000_000_000_000)

    private func gateway() throws -> GatewaySnapshot {
        try snapshot(
            """
            listeners: [{name: web, address: "127.0.0.1:8000"}]
            services:
              users: {instances: [{url: "http://10.1.0.1"}, {url: "http://10.1.0.2"}, {url: "http://10.1.0.3", weight: 0}]}
              orders: {instances: [{url: "http://10.2.0.1"}]}
            routes:
              - {name: users, match: {path: "/users/*"}, service: users}
              - {name: orders, match: {path: "/orders/*"}, service: orders}
            """)
    }

    private func moment(_ history: ServiceHistory = ServiceHistory()) -> ReportMoment {
        ReportMoment(now: now, time: Timestamp(seconds: 1000), history: history)
    }

    private func users(_ snapshot: GatewaySnapshot, _ history: ServiceHistory = ServiceHistory()) throws -> JSONValue {
        try ServicesReport.list(snapshot, at: moment(history)).json["data"][0]
    }

    private func fail(_ instance: InstanceState, _ snapshot: GatewaySnapshot) -> HealthChange? {
        var dice = RandomSource(seed: 1)
        for _ in 0..<10 {
            if let change = instance.failed(after: .zero, at: now, random: &dice) { return change }
        }
        return nil
    }

    @Test func `a service is degraded while some of its instances fail, and failed when none is left`() throws {
        let snapshot = try gateway()
        let service = snapshot.services[0]
        #expect(try users(snapshot)["status"].string == "HEALTHY")
        let change = try #require(fail(service.instances[0], snapshot))
        var history = ServiceHistory()
        history.note(.health(service.instances[0].key, change), at: now)
        var shown = try users(snapshot, history)
        #expect(shown["status"].string == "DEGRADED")
        #expect(shown["instances"].elements.map { $0["status"].string } == ["FAILED", "HEALTHY", "HEALTHY"])
        #expect(shown["instances"].elements.map { $0["takes_requests"].text } == ["false", "true", "false"])
        #expect(
            shown["instances"][0]["last_change"].text
                == #"{"at": "1970-01-01T00:16:40.000Z", "from": "HEALTHY", "to": "FAILED", "reason": "traffic_failed"}"#)
        _ = fail(service.instances[1], snapshot)
        shown = try users(snapshot)
        // The third has weight 0: it is well, and gets nothing.
        #expect(shown["status"].string == "FAILED" && shown["instances"][2]["status"].string == "HEALTHY")
        let report = try #require(ServicesReport.health("users", snapshot, at: moment()))
        #expect(report.text == "users: FAILED, 1 of 3 instances healthy\n")
    }

    @Test func `a drained instance is shown as such, and as healthy as it is`() throws {
        let snapshot = try gateway()
        let instances = snapshot.services[0].instances
        instances[0].setDraining(true, at: now)
        var shown = try users(snapshot)
        #expect(shown["status"].string == "DEGRADED" && shown["draining"].number == 1)
        #expect(shown["instances"][0]["draining"].text == "true" && shown["instances"][0]["status"].string == "HEALTHY")
        #expect(instances[0].load.requestStarted() == .admitted)
        var report = try #require(ServicesReport.instance("10.1.0.1:80", of: "users", snapshot, at: moment()))
        #expect(report.text == "users, 10.1.0.1:80: HEALTHY, draining, 1 in flight\n")
        #expect(report.json["in_flight"].number == 1 && report.json["warning"].isNull)
        #expect(report.json["instances_taking_requests"].number == 1)
        instances[1].setDraining(true, at: now)
        shown = try users(snapshot)
        #expect(shown["status"].string == "FAILED" && shown["draining"].number == 2 && shown["in_flight"].number == 1)
        report = try #require(ServicesReport.instance("10.1.0.2:80", of: "users", snapshot, at: moment()))
        #expect(report.json["warning"].string?.contains("no instance of users takes requests") == true)
        #expect(report.text.contains("warning: no instance of users"))
        instances[0].setDraining(false, at: now)
        #expect(try users(snapshot)["status"].string == "DEGRADED")
        let text = StatusReport.make(Self.reading, snapshot, at: moment()).text
        #expect(text.contains("3/3 healthy, 1 draining"))
        #expect(ServicesReport.instance("10.1.0.9:80", of: "users", snapshot, at: moment()) == nil)
        #expect(ServicesReport.instance("10.1.0.1:80", of: "orders", snapshot, at: moment()) == nil)
    }

    @Test func `an ejected instance is out although it counts as healthy`() throws {
        let snapshot = try gateway()
        snapshot.services[0].instances[1].load.ejected(at: now)
        let shown = try users(snapshot)
        #expect(shown["status"].string == "DEGRADED" && shown["ejected"].number == 1)
        #expect(shown["instances"][1]["ejected"].text == "true" && shown["instances"][1]["takes_requests"].text == "false")
        #expect(try ServicesReport.list(snapshot, at: moment()).text.contains("HEALTHY, ejected"))
    }

    @Test func `the last check is told with its time and what it found`() throws {
        let snapshot = try gateway()
        let key = snapshot.services[0].instances[0].key
        var history = ServiceHistory()
        history.note(.checked(key, .failed(.status), .milliseconds(4)), at: Instant(nanoseconds: now.nanoseconds - 1_500_000_000))
        var shown = try users(snapshot, history)
        #expect(shown["instances"][0]["last_health_check"].string == "1970-01-01T00:16:38.500Z")
        #expect(shown["instances"][0]["last_health_check_result"].string == "status")
        #expect(shown["last_health_check"].string == "1970-01-01T00:16:38.500Z")
        history.note(.checked(key, .passed, .milliseconds(4)), at: now)
        shown = try users(snapshot, history)
        #expect(shown["instances"][0]["last_health_check_result"].string == "passed")
        history.keep(instances: [], breakers: [])
        #expect(try users(snapshot, history)["last_health_check"].isNull)
    }

    @Test func `an open breaker degrades its service and says how long it stays open, and why`() throws {
        let snapshot = try gateway()
        let breaker = snapshot.services[0].state.breaker
        var dice = RandomSource(seed: 1)
        let transition = breaker.shared.trip(at: now, random: &dice)
        var history = ServiceHistory()
        history.note(.breaker(service: "users", route: nil, transition), at: now)
        let until = try #require(breaker.shared.snapshot.openUntil)
        let left = Int((until.nanoseconds - now.nanoseconds + 999_999_999) / 1_000_000_000)
        let shown = try users(snapshot, history)
        #expect(shown["status"].string == "DEGRADED" && shown["breaker"].string == "open")
        #expect(shown["breaker_seconds_left"].number == left && (54...60).contains(left))
        let status = StatusReport.make(Self.reading, snapshot, at: moment(history))
        #expect(status.json["status"].string == "degraded")
        #expect(status.json["services"]["users"]["breaker"].string == "open")
        #expect(status.text.contains("open, \(left) s left"))
        let list = try BreakersReport.list(snapshot, at: moment(history))
        #expect(list.json["total"].number == 2 && list.json["data"][0]["reason"].string == "tripped")
        #expect(list.json["data"][0]["since"].string == "1970-01-01T00:16:40.000Z")
        #expect(list.json["data"][1]["state"].string == "closed" && list.json["data"][1]["since"].isNull)
        #expect(list.text.split(separator: "\n").count == 3)
        let changed = BreakersReport.changed(breaker, from: "closed", at: moment(history))
        #expect(changed.text == "users: open, \(left) s left; was closed\n" && changed.json["from"].string == "closed")
        let one = try #require(BreakersReport.one("users", snapshot, at: moment(history)))
        #expect(one.json["state"].string == "open" && one.json["routes"].elements.isEmpty)
        #expect(BreakersReport.one("nobody", snapshot, at: moment()) == nil)
    }

    @Test func `the list of breakers comes in pages`() throws {
        let snapshot = try gateway()
        let first = try BreakersReport.list(snapshot, ListPage(limit: 1), at: moment())
        #expect(first.json["next"].string == "users" && first.json["data"].elements.count == 1)
        let second = try BreakersReport.list(snapshot, ListPage(limit: 1, after: "users"), at: moment())
        #expect(second.json["next"].isNull && second.json["data"][0]["service"].string == "orders")
        #expect(throws: ListPageError.self) {
            try BreakersReport.list(snapshot, ListPage(limit: 1, after: "gone"), at: moment())
        }
    }

    @Test func `an explanation says how the breaker is and how many instances are left, and answers as the gateway would`() throws
    {
        let snapshot = try gateway()
        let question = try ask(#"{"method": "GET", "url": "http://localhost/users/1"}"#)
        var told = Explanation.make(question, snapshot, instant: now)
        #expect(told.json["upstream"]["breaker"].string == "closed" && told.json["upstream"]["eligible_instances"].number == 2)
        #expect(told.json["answer"].isNull && told.text.contains("; 2 of 2 take requests"))
        snapshot.services[0].instances[0].setDraining(true, at: now)
        told = Explanation.make(question, snapshot, instant: now)
        #expect(told.json["upstream"]["eligible_instances"].number == 1 && told.json["answer"].isNull)
        snapshot.services[0].instances[1].setDraining(true, at: now)
        told = Explanation.make(question, snapshot, instant: now)
        #expect(told.json["answer"]["reason"].string == "no_healthy_instance")
        var dice = RandomSource(seed: 1)
        _ = snapshot.services[0].state.breaker.shared.trip(at: now, random: &dice)
        told = Explanation.make(question, snapshot, instant: now)
        #expect(told.json["answer"]["reason"].string == "circuit_open" && told.json["answer"]["status"].number == 503)
        #expect(told.json["upstream"]["breaker"].string?.hasPrefix("open, ") == true)
        told = Explanation.make(question, snapshot, instant: now + .seconds(61))
        #expect(told.json["answer"]["reason"].string == "no_healthy_instance")
    }

    private static let reading = StatusReading(
        version: "1.2.3", startedAt: Timestamp(seconds: 1_000), uptimeSeconds: 61, generation: 4, workers: 2, requestCount: 10,
        activeConnections: 3, isDraining: false, lastReloadSucceeded: true, lastReloadAt: Timestamp(seconds: 1_030))
}
