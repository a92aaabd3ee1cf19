import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

/// A page of metrics as a scraper reads it.
struct MetricsPage {
    var text: String
    /// By name with labels, as written.
    var samples: [String: Double] = [:]
    var types: [String: String] = [:]

    init(_ store: inout MetricsStore, at now: Instant = Instant(nanoseconds: 0), openMetrics: Bool = false) {
        var buffer = ByteBuffer(capacity: 16)
        PrometheusText.render(&store, at: now, openMetrics: openMetrics, into: &buffer)
        text = String(decoding: buffer.bytes.array(), as: UTF8.self)
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                #expect(types[String(words[2])] == nil, "\(words[2]) twice")
                types[String(words[2])] = String(words[3])
            }
            guard !line.hasPrefix("#") else { continue }
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                Issue.record("not a sample: \(line)")
                continue
            }
            if samples.updateValue(value, forKey: String(line[..<space])) != nil { Issue.record("\(line[..<space]) twice") }
        }
    }

    /// Counters and buckets, which may only go up.
    var counters: [String: Double] {
        samples.filter { name, _ in
            ["_total", "_bucket", "_count", "_sum"].contains { name.prefix { $0 != "{" }.hasSuffix($0) }
        }
    }

    func sum(_ name: String) -> Double {
        samples.reduce(0) { $1.key == name || $1.key.hasPrefix(name + "{") ? $0 + $1.value : $0 }
    }
}

extension RequestFigures {
    /// A request of no account.
    static func plain(_ labels: MetricsLabels, route: Int = 0, status: UInt16 = 200) -> RequestFigures {
        RequestFigures(
            listener: labels.listeners.first ?? .none, route: labels.routes[route], service: labels.services.first ?? .none,
            method: .get, status: status, reason: .ok, duration: .milliseconds(3), overhead: TimeAmount(nanoseconds: 50_000),
            bytesIn: 100, bytesOut: 2000)
    }
}
