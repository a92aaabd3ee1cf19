import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

@Suite struct MetricsStoreTests {
    private func time(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private let requests =
        #"sluice_http_requests_total{listener="web",route="r",service="s",method="GET",status="200",reason="ok"}"#

    @Test func `a counter goes on over a reload, also for requests that end under the old configuration`() {
        var store = MetricsStore(workers: 1)
        var worker = WorkerMetrics()
        let old = store.adopt(.init(listeners: ["web"], routes: ["x", "r"], services: ["s"]), generation: 1, at: time(0))
        worker.requestEnded(.plain(old, route: 1), wasStarted: false)
        let new = store.adopt(.init(listeners: ["web"], routes: ["r", "y"], services: ["s"]), generation: 2, at: time(1))
        worker.adopt(new)
        worker.requestEnded(.plain(old, route: 1), wasStarted: false)
        worker.requestEnded(.plain(new, route: 0), wasStarted: false)
        store.receive(worker.snapshot(), worker: 0)
        #expect(MetricsPage(&store).samples[requests] == 3)
    }

    @Test func `a removed name is shown for ten minutes, and begins anew when it comes back after that`() {
        var store = MetricsStore(workers: 1)
        var worker = WorkerMetrics()
        func adopt(_ routes: [String], _ now: UInt64) -> MetricsLabels {
            let labels = store.adopt(.init(listeners: ["web"], routes: routes, services: ["s"]), generation: now, at: time(now))
            worker.adopt(labels)
            return labels
        }
        func shown(_ now: UInt64) -> Double? {
            store.receive(worker.snapshot(), worker: 0)
            return MetricsPage(&store, at: time(now)).samples[requests]
        }
        let first = adopt(["r"], 0)
        worker.requestEnded(.plain(first), wasStarted: false)
        let without = adopt(["other"], 100)
        worker.requestEnded(.plain(without), wasStarted: false)
        worker.requestEnded(.plain(first), wasStarted: false)
        #expect(shown(699) == 2)
        let back = adopt(["r"], 699)
        worker.requestEnded(.plain(back), wasStarted: false)
        #expect(shown(5000) == 3)
        _ = adopt(["other"], 5000)
        #expect(shown(5599) == 3)
        #expect(shown(5600) == nil)
        // A request of the first configuration that ends only now must not bring the old series back.
        worker.requestEnded(.plain(first), wasStarted: false)
        #expect(shown(5601) == nil)
        let again = adopt(["r"], 5602)
        worker.requestEnded(.plain(again), wasStarted: false)
        #expect(shown(5603) == 1)
    }

    @Test func `a worker gives the room of removed names back`() {
        var store = MetricsStore(workers: 1, lifetimeOfRemoved: .seconds(10))
        var worker = WorkerMetrics()
        for generation in UInt64(1)...60 {
            let routes = (0..<100).map { "r\(generation)-\($0)" }
            let labels = store.adopt(
                .init(listeners: ["web"], routes: routes, services: ["s"]), generation: generation, at: time(generation * 100))
            worker.adopt(labels)
            for i in routes.indices { worker.requestEnded(.plain(labels, route: i), wasStarted: false) }
        }
        store.receive(worker.snapshot(), worker: 0)
        let page = MetricsPage(&store, at: time(6010))
        #expect(page.samples["sluice_metrics_overflow_total"] == 0)
        #expect(page.samples.keys.filter { $0.hasPrefix("sluice_http_requests_total") }.count == 100)
    }

    @Test func `workers add up, and a snapshot that is lost or late does no harm`() {
        var store = MetricsStore(workers: 2)
        var a = WorkerMetrics()
        var b = WorkerMetrics()
        let labels = store.adopt(.init(listeners: ["web"], routes: ["r"], services: ["s"]), generation: 1, at: time(0))
        a.requestEnded(.plain(labels), wasStarted: false)
        _ = a.snapshot()
        a.requestEnded(.plain(labels), wasStarted: false)
        b.requestEnded(.plain(labels), wasStarted: false)
        store.receive(a.snapshot(), worker: 0)
        #expect(MetricsPage(&store).samples[requests] == 2)
        store.receive(b.snapshot(), worker: 1)
        #expect(MetricsPage(&store).samples[requests] == 3)
        #expect(MetricsPage(&store).samples[requests] == 3)
    }

    @Test func `gauges go up and down over workers, reloads and the limit of series, and end at zero`() {
        var store = MetricsStore(workers: 2)
        var a = WorkerMetrics()
        var b = WorkerMetrics()
        let names = (0..<3000).map { "r\($0)" }
        let old = store.adopt(.init(listeners: ["web"], routes: names, services: ["s"]), generation: 1, at: time(0))
        for i in names.indices { a.requestStarted(old.routes[i]) }
        for i in names.indices.reversed() { b.requestStarted(old.routes[i]) }
        a.connection(old.listeners[0], .accepted)
        a.upstreamConnections(old.services[0], .connecting, changedBy: 1)
        b.queueLength(old.services[0], changedBy: 2)
        for route in old.routes { a.tunnelBegan(route) }
        for route in old.routes.reversed() { b.tunnelBegan(route) }
        store.receive(a.snapshot(), worker: 0)
        store.receive(b.snapshot(), worker: 1)
        let busy = MetricsPage(&store)
        #expect(busy.sum("sluice_http_requests_in_flight") == 6000)
        #expect(busy.sum("sluice_tunnels_open") == 6000)
        #expect(busy.samples[#"sluice_connections{listener="web"}"#] == 1)
        #expect(busy.samples[#"sluice_upstream_connections{service="s",state="connecting"}"#] == 1)
        #expect(busy.samples[#"sluice_upstream_queue_length{service="s"}"#] == 2)
        let new = store.adopt(.init(listeners: ["web"], routes: names, services: ["s"]), generation: 2, at: time(1))
        a.adopt(new)
        b.adopt(new)
        for i in names.indices {
            a.requestEnded(.plain(old, route: i), wasStarted: true)
            b.requestEnded(.plain(old, route: i), wasStarted: true)
        }
        a.connectionClosed(new.listeners[0])
        a.upstreamConnections(old.services[0], .connecting, changedBy: -1)
        b.queueLength(new.services[0], changedBy: -2)
        for route in new.routes { a.tunnelEnded(route) }
        for route in old.routes { b.tunnelEnded(route) }
        store.receive(a.snapshot(), worker: 0)
        store.receive(b.snapshot(), worker: 1)
        let idle = MetricsPage(&store)
        let gauges = [
            "sluice_http_requests_in_flight", "sluice_connections", "sluice_upstream_connections", "sluice_upstream_queue_length",
            "sluice_tunnels_open",
        ]
        for gauge in gauges {
            #expect(idle.samples.filter { $0.key.hasPrefix(gauge + "{") }.allSatisfy { $0.value == 0 }, "\(gauge)")
        }
        #expect(idle.sum("sluice_http_requests_total") == 6000)
    }

    @Test func `no counter ever goes back, whatever workers do between scrapes`() {
        var random = RandomSource(seed: 13)
        var store = MetricsStore(workers: 3)
        var a = WorkerMetrics()
        var b = WorkerMetrics()
        var c = WorkerMetrics()
        func names(_ pool: Int) -> MetricsLabels.Names {
            // 900 routes of a pool of 1000, in any order: with their statuses, more series than the limit.
            .init(listeners: ["web"], routes: (0..<pool).map { "r\($0)" }.shuffled(using: &random).dropLast(100), services: ["s"])
        }
        var generations = [store.adopt(names(1000), generation: 1, at: time(0))]
        var before: [String: Double] = [:]
        for round in 1...25 {
            for _ in 0..<2000 {
                let labels = generations[Int.random(in: max(0, generations.count - 3)..<generations.count, using: &random)]
                let figures = RequestFigures.plain(
                    labels, route: Int.random(in: 0..<labels.routes.count, using: &random),
                    status: UInt16.random(in: 200..<206, using: &random))
                switch random.next() % 3 {
                case 0: a.requestEnded(figures, wasStarted: false)
                case 1: b.requestEnded(figures, wasStarted: false)
                default: c.requestEnded(figures, wasStarted: false)
                }
            }
            store.receive(a.snapshot(), worker: 0)
            if round % 2 == 0 { store.receive(b.snapshot(), worker: 1) }
            if round % 3 == 0 { store.receive(c.snapshot(), worker: 2) }
            let now = MetricsPage(&store, at: time(UInt64(round))).counters
            let fallen = before.filter { (now[$0.key] ?? -1) < $0.value }
            #expect(fallen.isEmpty, "round \(round)")
            before = now
            if round % 5 == 0 {
                generations.append(store.adopt(names(1000), generation: UInt64(round), at: time(UInt64(round))))
                a.adopt(generations[generations.count - 1])
                b.adopt(generations[generations.count - 1])
                c.adopt(generations[generations.count - 1])
            }
        }
        #expect((before["sluice_metrics_overflow_total"] ?? 0) > 0)
    }

    /// Hardening 187.
    @Test func `the page stays bounded whatever clients and backends send`() {
        var random = RandomSource(seed: 187)
        var store = MetricsStore(workers: 1)
        var worker = WorkerMetrics()
        let labels = store.adopt(
            .init(listeners: ["web"], routes: (0..<50).map { "r\($0)" }, services: ["s"], instances: [(service: 0, name: "i")]),
            generation: 1, at: time(0))
        func burden(_ rounds: Int) -> Int {
            for _ in 0..<rounds {
                var figures = RequestFigures.plain(labels, route: Int.random(in: 0..<50, using: &random))
                let token = (0..<Int.random(in: 1..<8, using: &random)).map { _ in UInt8.random(in: 65...90, using: &random) }
                figures.method =
                    Bool.random(using: &random) ? Method(token.span.bytes) : Method.allCases.randomElement(using: &random) ?? .get
                figures.status = UInt16.random(in: 0..<1024, using: &random)
                figures.reason = Reason.allCases[Int.random(in: 0..<Reason.allCases.count, using: &random)]
                figures.duration = TimeAmount(nanoseconds: random.next())
                figures.bytesIn = random.next()
                worker.requestEnded(figures, wasStarted: false)
                worker.upstreamEnded(
                    service: labels.services[0], instance: labels.instances[0], status: figures.status, outcome: figures.reason,
                    duration: figures.duration)
                worker.rejected(figures.reason)
            }
            store.receive(worker.snapshot(), worker: 0)
            return MetricsPage(&store).text.split(separator: "\n").count
        }
        let first = burden(50_000)
        let second = burden(50_000)
        #expect(second == first)
        #expect(first < 40_000)
        let page = MetricsPage(&store)
        #expect(page.samples.keys.filter { $0.hasPrefix("sluice_http_requests_total{") }.count == 2001)
        #expect(page.sum("sluice_http_requests_total") == 100_000)
        #expect((page.samples["sluice_metrics_overflow_total"] ?? 0) > 0)
    }

    @Test func `a name like the overflow series is counted in it, and an empty one as none`() {
        var store = MetricsStore(workers: 1)
        var worker = WorkerMetrics()
        let labels = store.adopt(
            .init(listeners: ["web"], routes: ["__overflow__", ""], services: []), generation: 1, at: time(0))
        #expect(labels.routes[0] == Label(id: 1, index: 0))
        #expect(labels.routes[1] == Label(id: 0, index: 1))
        for i in 0..<2 { worker.requestEnded(.plain(labels, route: i), wasStarted: false) }
        store.receive(worker.snapshot(), worker: 0)
        #expect(MetricsPage(&store).sum("sluice_http_requests_total") == 2)
    }

    @Test func `names beyond those that can be told apart are counted together`() {
        var store = MetricsStore(workers: 1)
        let labels = store.adopt(.init(listeners: (0..<300).map { "l\($0)" }), generation: 1, at: time(0))
        #expect(Set(labels.listeners.map(\.id)).count == 255)
        #expect(labels.listeners[299].id == Label.overflow.id)
    }

    @Test func `instances of one name in two services are two`() {
        var store = MetricsStore(workers: 1)
        let labels = store.adopt(
            .init(services: ["a", "b"], instances: [(service: 0, name: "http://x"), (service: 1, name: "http://x")]),
            generation: 1,
            at: time(0))
        #expect(labels.instances[0].id != labels.instances[1].id)
    }
}
