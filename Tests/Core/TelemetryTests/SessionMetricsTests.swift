import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

@Suite struct SessionMetricsTests {
    private func time(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private static let names = MetricsLabels.Names(listeners: ["plain", "secure"], routes: ["r", "live"], services: ["s"])

    @Test func `handshakes are counted by version and resumption, over all workers, on listeners that have had one`() {
        var store = MetricsStore(workers: 2)
        let labels = store.adopt(Self.names, generation: 1, at: time(0))
        for worker in 0..<2 {
            var metrics = WorkerMetrics()
            metrics.connection(labels.listeners[0], .accepted)
            metrics.handshakeEnded(labels.listeners[1], version: .tls12, isResumed: false)
            for _ in 0..<2 { metrics.handshakeEnded(labels.listeners[1], version: .tls12, isResumed: true) }
            for _ in 0..<3 { metrics.handshakeEnded(labels.listeners[1], version: .tls13, isResumed: false) }
            for _ in 0..<4 { metrics.handshakeEnded(labels.listeners[1], version: .tls13, isResumed: true) }
            store.receive(metrics.snapshot(), worker: worker)
        }
        let shown = MetricsPage(&store).samples.filter { $0.key.hasPrefix("sluice_tls_handshakes_total{") }
        #expect(
            shown == [
                #"sluice_tls_handshakes_total{listener="secure",version="TLSv1.2",resumed="false"}"#: 2,
                #"sluice_tls_handshakes_total{listener="secure",version="TLSv1.2",resumed="true"}"#: 4,
                #"sluice_tls_handshakes_total{listener="secure",version="TLSv1.3",resumed="false"}"#: 6,
                #"sluice_tls_handshakes_total{listener="secure",version="TLSv1.3",resumed="true"}"#: 8,
            ])
    }

    @Test func `every fault is counted under its own word, with clients, backends and HTTP/2 connections apart`() {
        var store = MetricsStore(workers: 1)
        let labels = store.adopt(Self.names, generation: 1, at: time(0))
        var metrics = WorkerMetrics()
        for fault in HandshakeFault.allCases {
            for _ in 0...Int(fault.rawValue) { metrics.handshakeFailed(labels.listeners[1], fault) }
            for _ in 0...(Int(fault.rawValue) + 100) { metrics.upstreamHandshakeFailed(labels.services[0], fault) }
        }
        for fault in SessionFault.allCases {
            for _ in 0...(Int(fault.rawValue) + 200) { metrics.sessionEnded(labels.listeners[0], fault) }
        }
        for fault in StreamFault.allCases {
            metrics.streamsReset(labels.listeners[0], fault, count: UInt64(fault.rawValue) + 301)
        }
        store.receive(metrics.snapshot(), worker: 0)
        let samples = MetricsPage(&store).samples
        for fault in HandshakeFault.allCases {
            let count = Double(fault.rawValue) + 1
            let client = "sluice_tls_handshake_failures_total{listener=\"secure\",reason=\"\(fault.name)\"}"
            let backend = "sluice_upstream_tls_handshake_failures_total{service=\"s\",reason=\"\(fault.name)\"}"
            #expect(samples[client] == count, "\(client)")
            #expect(samples[backend] == count + 100, "\(backend)")
        }
        for fault in SessionFault.allCases {
            let name = "sluice_h2_conn_closed_total{listener=\"plain\",reason=\"\(fault.name)\"}"
            #expect(samples[name] == Double(fault.rawValue) + 201, "\(name)")
        }
        for fault in StreamFault.allCases {
            let name = "sluice_h2_streams_reset_total{listener=\"plain\",reason=\"\(fault.name)\"}"
            #expect(samples[name] == Double(fault.rawValue) + 301, "\(name)")
        }
    }

    @Test func `the words of faults are their own`() {
        let sessions = SessionFault.allCases.map { "\($0.name)" } + StreamFault.allCases.map { "\($0.name)" }
        for names in [HandshakeFault.allCases.map { "\($0.name)" }, sessions] {
            #expect(Set(names).count == names.count)
            #expect(names.allSatisfy { $0.utf8.allSatisfy { (0x61...0x7a).contains($0) || $0 == ASCII.underscore } })
        }
    }

    @Test func `a tunnel is open from its beginning to its end, and its messages are counted in both directions`() {
        var store = MetricsStore(workers: 2)
        let labels = store.adopt(Self.names, generation: 1, at: time(0))
        var a = WorkerMetrics()
        var b = WorkerMetrics()
        a.requestStarted(labels.routes[0])
        for _ in 0..<3 { a.tunnelBegan(labels.routes[1]) }
        b.tunnelBegan(labels.routes[1])
        a.tunnelMessages(labels.routes[1], in: 5, out: 7)
        b.tunnelMessages(labels.routes[1], in: 1, out: 0)
        a.tunnelEnded(labels.routes[1])
        store.receive(a.snapshot(), worker: 0)
        store.receive(b.snapshot(), worker: 1)
        var shown = MetricsPage(&store).samples.filter { $0.key.hasPrefix("sluice_tunnel") }
        #expect(
            shown == [
                #"sluice_tunnels_open{route="live"}"#: 3, #"sluice_tunnels_total{route="live"}"#: 4,
                #"sluice_tunnel_messages_total{route="live",direction="in"}"#: 6,
                #"sluice_tunnel_messages_total{route="live",direction="out"}"#: 7,
            ])
        for _ in 0..<2 { a.tunnelEnded(labels.routes[1]) }
        b.tunnelEnded(labels.routes[1])
        store.receive(a.snapshot(), worker: 0)
        store.receive(b.snapshot(), worker: 1)
        shown = MetricsPage(&store).samples
        #expect(shown[#"sluice_tunnels_open{route="live"}"#] == 0)
        #expect(shown[#"sluice_tunnels_total{route="live"}"#] == 4)
    }

    @Test func `requests are counted by the version that the client spoke`() {
        var store = MetricsStore(workers: 1)
        let labels = store.adopt(Self.names, generation: 1, at: time(0))
        var metrics = WorkerMetrics()
        metrics.connection(labels.listeners[0], .proxyHeaderInvalid)
        for (version, count) in [(HTTPVersion.http10, 1), (.http11, 2), (.http2, 3)] {
            var figures = RequestFigures.plain(labels)
            figures.version = version
            for _ in 0..<count { metrics.requestEnded(figures, wasStarted: false) }
        }
        store.receive(metrics.snapshot(), worker: 0)
        let samples = MetricsPage(&store).samples
        for (word, count) in [("1.0", 1.0), ("1.1", 2), ("2", 3)] {
            #expect(samples["sluice_http_requests_by_protocol_total{listener=\"plain\",protocol=\"\(word)\"}"] == count)
        }
        // The other cells of the row are untouched.
        #expect(samples[#"sluice_connections{listener="plain"}"#] == 0)
        #expect(samples[#"sluice_connections_total{listener="plain",result="proxy_header_invalid"}"#] == 1)
    }

    @Test func `all of it lives through a reload, and goes ten minutes after its name`() {
        var store = MetricsStore(workers: 1)
        var metrics = WorkerMetrics()
        let old = store.adopt(Self.names, generation: 1, at: time(0))
        func count() {
            metrics.handshakeEnded(old.listeners[1], version: .tls13, isResumed: false)
            metrics.handshakeFailed(old.listeners[1], .timeout)
            metrics.upstreamHandshakeFailed(old.services[0], .timeout)
            metrics.sessionEnded(old.listeners[1], .stalled)
            metrics.streamsReset(old.listeners[1], .stalled, count: 1)
            metrics.tunnelBegan(old.routes[1])
        }
        let names = [
            #"sluice_tls_handshakes_total{listener="secure",version="TLSv1.3",resumed="false"}"#,
            #"sluice_tls_handshake_failures_total{listener="secure",reason="timeout"}"#,
            #"sluice_upstream_tls_handshake_failures_total{service="s",reason="timeout"}"#,
            #"sluice_h2_conn_closed_total{listener="secure",reason="stalled"}"#,
            #"sluice_h2_streams_reset_total{listener="secure",reason="stream_stalled"}"#, #"sluice_tunnels_total{route="live"}"#,
        ]
        func shown(_ seconds: UInt64) -> [Double?] {
            store.receive(metrics.snapshot(), worker: 0)
            let samples = MetricsPage(&store, at: time(seconds)).samples
            return names.map { samples[$0] }
        }
        count()
        metrics.adopt(store.adopt(Self.names, generation: 2, at: time(1)))
        count()
        #expect(shown(2) == names.map { _ in 2 })
        metrics.adopt(store.adopt(.init(listeners: ["plain"], routes: ["r"]), generation: 3, at: time(10)))
        count()
        #expect(shown(609) == names.map { _ in 3 })
        #expect(shown(610) == names.map { _ in nil })
        metrics.adopt(store.adopt(Self.names, generation: 4, at: time(620)))
        #expect(shown(621) == names.map { _ in nil })
    }

    @Test func `faults above the limit of series are counted together`() {
        var store = MetricsStore(workers: 1)
        let labels = store.adopt(.init(listeners: (0..<150).map { "l\($0)" }), generation: 1, at: time(0))
        var metrics = WorkerMetrics()
        for listener in labels.listeners {
            for fault in HandshakeFault.allCases { metrics.handshakeFailed(listener, fault) }
        }
        store.receive(metrics.snapshot(), worker: 0)
        let page = MetricsPage(&store)
        let all = Double(150 * HandshakeFault.allCases.count)
        #expect(page.sum("sluice_tls_handshake_failures_total") == all)
        let rest = #"sluice_tls_handshake_failures_total{listener="__overflow__",reason="__overflow__"}"#
        #expect(page.samples[rest] == all - 2000)
        #expect(page.samples["sluice_metrics_overflow_total"] == all - 2000)
    }

    @Test func `of two certificates of one name on one listener, the page shows the one that ends first, once`() {
        var store = MetricsStore(workers: 1)
        store.certificates = CertificateReadings(
            certificates: [
                .init(listener: "a", subject: "CN=x", expirySeconds: 1_900_000_000),
                .init(listener: "a", subject: "CN=x", expirySeconds: 1_800_000_000),
                .init(listener: "b", subject: "CN=x", expirySeconds: 1_950_000_000),
                // 9999-12-31, and a date before 1970.
                .init(listener: "b", subject: "", expirySeconds: 253_402_300_799),
                .init(listener: "b", subject: "CN=\"o\\d\n\"", expirySeconds: -5),
            ], reloadsSucceeded: 4, reloadsFailed: 2)
        let samples = MetricsPage(&store).samples
        let name = "sluice_tls_certificate_expiry_timestamp_seconds"
        #expect(
            samples.filter { $0.key.hasPrefix(name) } == [
                name + #"{listener="a",subject="CN=x"}"#: 1_800_000_000, name + #"{listener="b",subject="CN=x"}"#: 1_950_000_000,
                name + #"{listener="b",subject=""}"#: 253_402_300_799,
                name + #"{listener="b",subject="CN=\"o\\d\n\""}"#: 0,
            ])
        #expect(samples[#"sluice_tls_certificate_reloads_total{result="success"}"#] == 4)
        #expect(samples[#"sluice_tls_certificate_reloads_total{result="error"}"#] == 2)
    }

    @Test func `of certificates above the limit of series, the page shows when the first ends`() {
        var store = MetricsStore(workers: 1)
        store.certificates.certificates = (0..<2100).map {
            .init(listener: "a", subject: "CN=\($0)", expirySeconds: 2_000_000_000 - Int64($0))
        }
        let name = "sluice_tls_certificate_expiry_timestamp_seconds"
        let shown = MetricsPage(&store).samples.filter { $0.key.hasPrefix(name) }
        #expect(shown.count == 2001)
        #expect(shown[name + #"{listener="__overflow__",subject="__overflow__"}"#] == 1_999_997_901)
    }
}
