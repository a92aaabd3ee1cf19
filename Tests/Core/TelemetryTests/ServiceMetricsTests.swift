import Health
import Primitives
import Resilience
import Testing

@testable import Telemetry

struct ServiceMetricsTests {
    private func time(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private static func names(_ services: [String]) -> MetricsLabels.Names {
        MetricsLabels.Names(
            routes: ["r"], services: services, instances: services.indices.map { (service: $0, name: "10.0.0.1:80") })
    }

    private func store() -> MetricsStore {
        var store = MetricsStore(workers: 2)
        _ = store.adopt(Self.names(["a", "b"]), generation: 1, at: time(0))
        return store
    }

    private func samples(_ store: inout MetricsStore, at seconds: UInt64 = 0) -> [String: Double] {
        MetricsPage(&store, at: time(seconds)).samples
    }

    @Test func `what the workers refuse, replace and see fail is added up by service`() {
        var store = store()
        let labels = store.adopt(Self.names(["a", "b"]), generation: 2, at: time(0))
        for worker in 0..<2 {
            var metrics = WorkerMetrics()
            metrics.breakerRejected(labels.services[0])
            metrics.concurrencyLimited(labels.services[1])
            metrics.fallbackServed(labels.services[0], .static)
            metrics.fallbackServed(labels.services[0], .service)
            metrics.fallbackServed(labels.services[0], .service)
            metrics.passiveEvidence(labels.services[1], failed: true)
            metrics.passiveEvidence(labels.services[1], failed: false)
            metrics.shed(.bulk)
            metrics.shed(.bulk)
            metrics.shed(.standard)
            store.receive(metrics.snapshot(), worker: worker)
        }
        let samples = samples(&store)
        let expected: [String: Double] = [
            #"sluice_circuit_breaker_rejected_total{service="a"}"#: 2, #"sluice_circuit_breaker_rejected_total{service="b"}"#: 0,
            #"sluice_concurrency_limited_total{service="a"}"#: 0, #"sluice_concurrency_limited_total{service="b"}"#: 2,
            #"sluice_fallbacks_total{service="a",kind="static"}"#: 2, #"sluice_fallbacks_total{service="a",kind="service"}"#: 4,
            #"sluice_health_checks_total{service="b",result="failed",type="passive"}"#: 2,
            #"sluice_requests_shed_total{priority="bulk"}"#: 4, #"sluice_requests_shed_total{priority="default"}"#: 2,
            #"sluice_requests_shed_total{priority="critical"}"#: 0,
        ]
        for (name, value) in expected { #expect(samples[name] == value, "\(name)") }
        // The histograms of the same rows are untouched.
        #expect(samples[#"sluice_upstream_queue_wait_seconds_count{service="a"}"#] == nil)
    }

    @Test func `checks, changes of state and ejections are counted under the names of the configuration`() {
        var store = store()
        for _ in 0..<3 { store.checked("a", passed: true) }
        store.checked("a", passed: false)
        store.breakerChanged("a", route: nil, from: .closed, to: .open)
        store.breakerChanged("a", route: "r", from: .halfOpen, to: .closed)
        store.healthChanged("b", instance: "10.0.0.1:80", to: .failed, .trafficFailed)
        store.healthChanged("b", instance: "10.0.0.1:80", to: .healthy, .trialFailed)
        store.ejected("b", .serverErrors)
        store.ejected("b", .unreachable)
        let samples = samples(&store)
        let expected: [String: Double] = [
            #"sluice_health_checks_total{service="a",result="passed",type="active"}"#: 3,
            #"sluice_health_checks_total{service="a",result="failed",type="active"}"#: 1,
            #"sluice_circuit_breaker_transitions_total{service="a",route="",from="closed",to="open"}"#: 1,
            #"sluice_circuit_breaker_transitions_total{service="a",route="r",from="half_open",to="closed"}"#: 1,
            #"sluice_instance_health_changes_total{service="b",instance="10.0.0.1:80",to="failed",reason="traffic_failed"}"#: 1,
            #"sluice_instance_health_changes_total{service="b",instance="10.0.0.1:80",to="healthy",reason="trial_failed"}"#: 1,
            #"sluice_outlier_ejections_total{service="b",cause="server_errors"}"#: 1,
            #"sluice_outlier_ejections_total{service="b",cause="unreachable"}"#: 1,
        ]
        for (name, value) in expected { #expect(samples[name] == value, "\(name)") }
    }

    @Test func `every phase, reason and cause is read back as it was counted`() {
        var store = store()
        for to in InstanceHealth.Phase.allCases {
            for reason in HealthChange.Reason.allCases { store.healthChanged("a", instance: "10.0.0.1:80", to: to, reason) }
        }
        for from in CircuitBreaker.Phase.allCases {
            for to in CircuitBreaker.Phase.allCases { store.breakerChanged("a", route: "r", from: from, to: to) }
        }
        let samples = samples(&store)
        for to in InstanceHealth.Phase.allCases {
            for reason in HealthChange.Reason.allCases {
                let labels = "service=\"a\",instance=\"10.0.0.1:80\",to=\"\(to.name)\",reason=\"\(reason.name)\""
                #expect(samples["sluice_instance_health_changes_total{\(labels)}"] == 1)
            }
        }
        for from in CircuitBreaker.Phase.allCases {
            for to in CircuitBreaker.Phase.allCases {
                let labels = "service=\"a\",route=\"r\",from=\"\(from.name)\",to=\"\(to.name)\""
                #expect(samples["sluice_circuit_breaker_transitions_total{\(labels)}"] == 1)
            }
        }
    }

    @Test func `events live through a reload, stay ten minutes after their service, and those of strangers count nowhere`() {
        var store = store()
        store.checked("a", passed: true)
        store.ejected("b", .unreachable)
        store.checked("nobody", passed: true)
        store.breakerChanged("a", route: "nobody", from: .closed, to: .open)
        store.healthChanged("a", instance: "nobody", to: .failed, .checksFailed)
        let check = #"sluice_health_checks_total{service="a",result="passed",type="active"}"#
        let ejection = #"sluice_outlier_ejections_total{service="b",cause="unreachable"}"#
        _ = store.adopt(Self.names(["a"]), generation: 2, at: time(10))
        store.checked("a", passed: true)
        store.ejected("b", .unreachable)
        var now = samples(&store, at: 600)
        #expect(now[check] == 2 && now[ejection] == 2)
        #expect(!now.keys.contains { $0.contains("nobody") || $0.hasPrefix("sluice_circuit_breaker_transitions_total") })
        now = samples(&store, at: 611)
        #expect(now[check] == 2 && now[ejection] == nil)
        store.ejected("b", .unreachable)
        #expect(samples(&store, at: 612)[ejection] == nil)
    }

    @Test func `states are one-hot, and follow the readings of the scrape`() {
        var store = store()
        store.services = ServiceReadings(services: [
            .init(
                name: "a",
                instances: [
                    .init(name: "10.0.0.1:80", health: .failed, isDraining: false, inFlight: 0),
                    .init(name: "10.0.0.2:80", health: .healthy, isDraining: true, inFlight: 7),
                ], breakers: [.init(phase: .halfOpen), .init(route: "r", phase: .closed)], ejectedCount: 1,
                retryBudgetPermille: 50, concurrencyLimit: nil),
            .init(name: "b", concurrencyLimit: 25),
        ])
        var now = samples(&store)
        for (state, value) in [("closed", 0.0), ("open", 0), ("half_open", 1)] {
            #expect(now["sluice_circuit_breaker_state{service=\"a\",route=\"\",state=\"\(state)\"}"] == value)
        }
        #expect(now[#"sluice_circuit_breaker_state{service="a",route="r",state="closed"}"#] == 1)
        for (state, value) in [("unknown", 0.0), ("healthy", 0), ("degraded", 0), ("failed", 1)] {
            #expect(now["sluice_instance_health{service=\"a\",instance=\"10.0.0.1:80\",state=\"\(state)\"}"] == value)
        }
        #expect(now[#"sluice_instance_draining{service="a",instance="10.0.0.1:80"}"#] == 0)
        #expect(now[#"sluice_instance_draining{service="a",instance="10.0.0.2:80"}"#] == 1)
        #expect(now[#"sluice_instance_requests_in_flight{service="a",instance="10.0.0.2:80"}"#] == 7)
        #expect(now[#"sluice_service_ejected_instances{service="a"}"#] == 1)
        #expect(now[#"sluice_retry_budget_remaining_ratio{service="a"}"#] == 0.05)
        #expect(now[#"sluice_retry_budget_remaining_ratio{service="b"}"#] == 1)
        #expect(now[#"sluice_concurrency_limit{service="a"}"#] == nil && now[#"sluice_concurrency_limit{service="b"}"#] == 25)

        store.services = ServiceReadings(services: [.init(name: "b")])
        now = samples(&store)
        #expect(!now.keys.contains { $0.hasPrefix("sluice_instance_health{") || $0.hasPrefix("sluice_circuit_breaker_state{") })
        #expect(!now.keys.contains { $0.contains("service=\"a\"") && $0.hasPrefix("sluice_retry_budget") })
    }

    @Test func `instances above the limit of series are added up by state, so that the page stays bounded`() {
        var store = store()
        let count = 3000
        store.services = ServiceReadings(services: [
            .init(
                name: "a",
                instances: (0..<count).map {
                    .init(name: "i\($0)", health: $0 % 3 == 0 ? .failed : .healthy, isDraining: true, inFlight: 2)
                })
        ])
        let now = samples(&store)
        let health = now.filter { $0.key.hasPrefix("sluice_instance_health{") }
        #expect(health.count == 2004 && health.values.reduce(0, +) == Double(count))
        let rest = #"sluice_instance_health{service="__overflow__",instance="__overflow__",state="#
        #expect(health["\(rest)\"failed\"}"] == 833 && health["\(rest)\"healthy\"}"] == 1667)
        let draining = now.filter { $0.key.hasPrefix("sluice_instance_draining{") }
        #expect(draining.count == 2001)
        #expect(now[#"sluice_instance_requests_in_flight{service="__overflow__",instance="__overflow__"}"#] == 2000)
    }
}
