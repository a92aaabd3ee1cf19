import Foundation
import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

@Suite struct PrometheusTextTests {
    /// A store in which every metric has a sample.
    private func full() -> MetricsStore {
        var store = MetricsStore(workers: 2)
        let labels = store.adopt(
            .init(
                listeners: ["web"], routes: ["users", "odd \"\\\n"], services: ["s"],
                instances: [(service: 0, name: "http://10.0.0.5:8080")]),
            generation: 3, at: Instant(nanoseconds: 0))
        var worker = WorkerMetrics()
        worker.requestStarted(labels.routes[0])
        worker.requestStarted(labels.routes[0])
        worker.requestEnded(.plain(labels), wasStarted: true)
        worker.requestEnded(.plain(labels, route: 1, status: 404), wasStarted: false)
        worker.rejected(.badRequest)
        worker.administered(status: 401)
        worker.upstreamEnded(
            service: labels.services[0], instance: labels.instances[0], status: 200, outcome: .ok, duration: .milliseconds(2))
        worker.upstreamEnded(
            service: labels.services[0], instance: labels.instances[0], status: 0, outcome: .connectRefused, duration: .zero)
        worker.upstreamConnected(labels.services[0], after: TimeAmount(nanoseconds: 300_000))
        worker.queueWaited(labels.services[0], for: .seconds(3600))
        worker.retried(labels.services[0], .connectRefused, .success)
        worker.upstreamConnections(labels.services[0], .idle, changedBy: 4)
        worker.queueLength(labels.services[0], changedBy: 1)
        worker.breakerRejected(labels.services[0])
        worker.shed(.bulk)
        worker.connection(labels.listeners[0], .accepted)
        worker.connection(labels.listeners[0], .overClientLimit)
        worker.acceptFailed(AcceptError(errno: 24))
        worker.handshakeEnded(labels.listeners[0], version: .tls13, isResumed: true)
        worker.handshakeFailed(labels.listeners[0], .plainHTTP)
        worker.upstreamHandshakeFailed(labels.services[0], .certificateExpired)
        worker.sessionEnded(labels.listeners[0], .tooManyResets)
        worker.streamsReset(labels.listeners[0], .malformed, count: 2)
        worker.tunnelBegan(labels.routes[0])
        worker.tunnelMessages(labels.routes[0], in: 3, out: 4)
        worker.logDropped(5)
        worker.loopTurned(TimeAmount(nanoseconds: 1_500_000))
        worker.loopTurned(TimeAmount(nanoseconds: 500_000))
        store.receive(worker.snapshot(), worker: 1)
        store.checked("s", passed: true)
        store.breakerChanged("s", route: nil, from: .closed, to: .open)
        store.healthChanged("s", instance: "http://10.0.0.5:8080", to: .failed, .checksFailed)
        store.ejected("s", .serverErrors)
        store.services = ServiceReadings(services: [
            .init(
                name: "s",
                instances: [.init(name: "http://10.0.0.5:8080", health: .degraded, isDraining: true, inFlight: 3)],
                breakers: [.init(phase: .open)], ejectedCount: 1, retryBudgetPermille: 875, concurrencyLimit: 40)
        ])
        store.certificates = CertificateReadings(certificates: [
            .init(listener: "web", subject: "CN=api.example.com,O=A \"B\"", expirySeconds: 1_790_000_000)
        ])
        store.build.version = "0.1.0"
        store.build.revision = "abc"
        store.configuration.generation = 3
        store.configuration.reloadsSucceeded = 3
        store.configuration.lastSuccess = Timestamp(seconds: 1_782_909_296)
        store.process.cpu = .milliseconds(12_340)
        store.process.residentBytes = 9_000_000
        return store
    }

    @Test func `the page shows what was recorded`() {
        var store = full()
        let samples = MetricsPage(&store).samples
        let expected: [String: Double] = [
            #"sluice_http_requests_total{listener="web",route="users",service="s",method="GET",status="200",reason="ok"}"#: 1,
            #"sluice_http_request_duration_seconds_bucket{route="users",service="s",method="GET",status_class="2xx",le="0.0025"}"#:
                0,
            #"sluice_http_request_duration_seconds_bucket{route="users",service="s",method="GET",status_class="2xx",le="0.005"}"#:
                1,
            #"sluice_http_request_duration_seconds_bucket{route="users",service="s",method="GET",status_class="2xx",le="30"}"#: 1,
            #"sluice_http_request_duration_seconds_sum{route="users",service="s",method="GET",status_class="2xx"}"#: 0.003,
            #"sluice_http_overhead_seconds_bucket{route="users",le="0.0001"}"#: 1,
            #"sluice_http_request_size_bytes_bucket{route="users",le="100"}"#: 1,
            #"sluice_http_response_size_bytes_bucket{route="users",le="1000"}"#: 0,
            #"sluice_http_response_size_bytes_bucket{route="users",le="100000000"}"#: 1,
            #"sluice_http_response_size_bytes_sum{route="users"}"#: 2000,
            #"sluice_http_requests_in_flight{route="users"}"#: 1,
            #"sluice_http_requests_in_flight{route="odd \"\\\n"}"#: 0,
            #"sluice_http_reject_total{reason="bad_request"}"#: 1,
            #"sluice_upstream_requests_total{service="s",instance="http://10.0.0.5:8080",status_class="2xx",outcome="ok"}"#: 1,
            #"sluice_upstream_requests_total{service="s",instance="http://10.0.0.5:8080",status_class="",outcome="connect_refused"}"#:
                1,
            #"sluice_upstream_duration_seconds_count{service="s"}"#: 2,
            #"sluice_upstream_connect_duration_seconds_bucket{service="s",le="0.0005"}"#: 1,
            #"sluice_upstream_queue_wait_seconds_bucket{service="s",le="5"}"#: 0,
            #"sluice_upstream_queue_wait_seconds_bucket{service="s",le="+Inf"}"#: 1,
            #"sluice_upstream_queue_wait_seconds_sum{service="s"}"#: 3600,
            #"sluice_upstream_retries_total{service="s",reason="connect_refused",result="success"}"#: 1,
            #"sluice_upstream_connections{service="s",state="idle"}"#: 4,
            #"sluice_upstream_queue_length{service="s"}"#: 1,
            #"sluice_connections{listener="web"}"#: 1,
            #"sluice_connections_total{listener="web",result="accepted"}"#: 1,
            #"sluice_connections_total{listener="web",result="over_client_limit"}"#: 1,
            #"sluice_accept_errors_total{errno="EMFILE"}"#: 1,
            #"sluice_http_requests_by_protocol_total{listener="web",protocol="1.1"}"#: 2,
            #"sluice_tls_handshakes_total{listener="web",version="TLSv1.3",resumed="true"}"#: 1,
            #"sluice_tls_handshake_failures_total{listener="web",reason="plain_http"}"#: 1,
            #"sluice_upstream_tls_handshake_failures_total{service="s",reason="certificate_expired"}"#: 1,
            #"sluice_h2_conn_closed_total{listener="web",reason="too_many_resets"}"#: 1,
            #"sluice_h2_streams_reset_total{listener="web",reason="stream_malformed"}"#: 2,
            #"sluice_tls_certificate_expiry_timestamp_seconds{listener="web",subject="CN=api.example.com,O=A \"B\""}"#:
                1_790_000_000,
            #"sluice_tls_certificate_reloads_total{result="error"}"#: 0,
            #"sluice_tunnels_open{route="users"}"#: 1,
            #"sluice_tunnel_messages_total{route="users",direction="out"}"#: 4,
            "sluice_log_dropped_total": 5,
            #"sluice_worker_loop_lag_seconds{worker="1"}"#: 0.0015,
            #"sluice_config_reloads_total{result="success"}"#: 3,
            "sluice_config_last_reload_success_timestamp_seconds": 1_782_909_296,
            "sluice_config_last_reload_successful": 1,
            #"sluice_build_info{version="0.1.0",revision="abc"}"#: 1,
            "process_cpu_seconds_total": 12.34,
            "process_resident_memory_bytes": 9_000_000,
            "sluice_metrics_overflow_total": 0,
        ]
        for (name, value) in expected { #expect(samples[name] == value, "\(name)") }
    }

    @Test func `the longest turn of a loop is told once`() {
        var store = MetricsStore(workers: 1)
        var worker = WorkerMetrics()
        worker.loopTurned(.milliseconds(7))
        store.receive(worker.snapshot(), worker: 0)
        #expect(MetricsPage(&store).samples[#"sluice_worker_loop_lag_seconds{worker="0"}"#] == 0.007)
        store.receive(worker.snapshot(), worker: 0)
        #expect(MetricsPage(&store).samples[#"sluice_worker_loop_lag_seconds{worker="0"}"#] == 0)
    }

    @Test func `every bucket holds the ones below it, and the last all`() {
        var store = full()
        let page = MetricsPage(&store)
        var last: (series: Substring, value: Double)?
        for line in page.text.split(separator: "\n") where line.contains("_bucket{") {
            guard let le = line.range(of: "le=\""), let space = line.lastIndex(of: " ") else { continue }
            let series = line[..<le.lowerBound]
            let value = Double(line[line.index(after: space)...]) ?? -1
            if let last, last.series == series { #expect(value >= last.value, "\(line)") }
            last = (series, value)
            if line.contains("le=\"+Inf\"") {
                let name = series.dropLast().replacingOccurrences(of: "_bucket{", with: "_count{") + "}"
                #expect(page.samples[name] == value, "\(name)")
            }
        }
    }

    @Test func `counters end in _total and no gauge does`() {
        for family in MetricFamily.allCases { #expect(!"\(family.name)".hasSuffix("_total")) }
        var store = full()
        for (name, type) in MetricsPage(&store).types { #expect(name.hasSuffix("_total") == (type == "counter"), "\(name)") }
    }

    @Test func `OpenMetrics names families without _total, bounds as floats, and ends with EOF`() {
        var store = full()
        let page = MetricsPage(&store, openMetrics: true)
        #expect(page.text.hasSuffix("\n# EOF\n"))
        #expect(page.types["sluice_http_requests"] == "counter")
        #expect(page.types["sluice_http_requests_total"] == nil)
        #expect(page.types["sluice_connections"] == "gauge")
        #expect(page.types["sluice_connections_total"] == "unknown")
        #expect(page.samples[#"sluice_http_request_size_bytes_bucket{route="users",le="100.0"}"#] == 1)
        #expect(page.samples[#"sluice_http_overhead_seconds_bucket{route="users",le="0.0001"}"#] == 1)
        #expect(page.samples.keys.contains { $0.hasPrefix("sluice_http_requests_total{") })
        #expect(!MetricsPage(&store).text.contains("# EOF"))
    }

    @Test(arguments: [
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5", true), ("Application/OpenMetrics-Text", true),
        ("text/plain", false), ("application/openmetrics-tex", false), ("", false),
    ])
    func `a scraper that names OpenMetrics gets it`(accept: String, expected: Bool) {
        let bytes = Array(accept.utf8)
        let wants = PrometheusText.wantsOpenMetrics(accept: bytes.span.bytes)
        #expect(wants == expected)
    }

    @Test func `the number of series is told`() {
        var store = full()
        let page = MetricsPage(&store)
        var series: Set<String> = []
        for name in page.samples.keys {
            guard let brace = name.firstIndex(of: "{") else { continue }
            let family = name[..<brace].replacing("_bucket", with: "").replacing("_sum", with: "").replacing("_count", with: "")
            let labels = name[brace...].split(separator: ",le=")[0].trimmingCharacters(in: CharacterSet(charactersIn: "{}"))
            series.insert(family + labels)
        }
        #expect(page.samples["sluice_metrics_series"] == Double(series.count))
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/promtool")))
    func `promtool has nothing to find fault with`() throws {
        var store = full()
        let promtool = Process()
        promtool.executableURL = URL(fileURLWithPath: "/usr/bin/promtool")
        promtool.arguments = ["check", "metrics"]
        let input = Pipe()
        let output = Pipe()
        promtool.standardInput = input
        promtool.standardOutput = output
        promtool.standardError = output
        try promtool.run()
        input.fileHandleForWriting.write(Data(MetricsPage(&store).text.utf8))
        try input.fileHandleForWriting.close()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        promtool.waitUntilExit()
        #expect(promtool.terminationStatus == 0, "\(said)")
        #expect(said.isEmpty, "\(said)")
    }

    @Test func `docs/metrics.md lists exactly what is shown, with type and labels`() throws {
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/metrics.md"), encoding: .utf8)
        var documented: [String: [String]] = [:]
        for line in text.split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " ")) }
            let labels = cells[2].split(separator: ",").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " `")) }
            documented[cells[0].replacing("`", with: "")] = [cells[1]] + labels.filter { $0 != "" }.sorted()
        }
        var store = full()
        let page = MetricsPage(&store)
        var shown: [String: [String]] = [:]
        for (name, type) in page.types {
            let sample = type == "histogram" ? name + "_count" : name
            guard let found = page.samples.keys.first(where: { $0 == sample || $0.hasPrefix(sample + "{") }) else {
                Issue.record("\(name) has no sample")
                continue
            }
            let names = found.matches(of: /[{,]([a-z_]+)="/).map { String($0.1) }
            shown[name] = [type] + names.sorted()
        }
        #expect(shown.count == MetricFamily.allCases.count)
        for (name, form) in shown { #expect(documented[name] == form, "\(name)") }
        for name in documented.keys { #expect(shown[name] != nil, "\(name) is not shown") }
    }
}
