import Primitives

/// All traffic since the start in a few numbers.
public struct TrafficSummary: Sendable, Equatable {
    public var requests: UInt64 = 0
    /// Answered with 500 or above.
    public var failed: UInt64 = 0
    /// Client connections that are open.
    public var connections: UInt64 = 0
    /// Below this, in seconds, 95 of 100 requests were answered: interpolated within the histogram's bucket, as Prometheus does. Nil
    /// without a request.
    public var p95Seconds: Double?

    /// The share of failed requests, 0 to 1.
    public var errorRate: Double { requests == 0 ? 0 : Double(failed) / Double(requests) }
}

extension MetricsStore {
    /// Sums the workers' latest snapshots up.
    public mutating func summary(at now: Instant) -> TrafficSummary {
        let total = sum(at: now)
        var summary = TrafficSummary()
        for (i, key) in total.requests.keys.enumerated() {
            summary.requests &+= total.requests.cells[i + 1]
            if SeriesKey.status(key) >= 500 { summary.failed &+= total.requests.cells[i + 1] }
        }
        summary.requests &+= total.requests.cells[0]
        for row in 0...total.listeners.keys.count {
            summary.connections &+= total.listeners.cells[row * total.listeners.width + ListenerCells.connections]
        }
        var buckets = [UInt64](repeating: 0, count: Histogram.latencyBounds.count + 1)
        for row in 0...total.durations.keys.count {
            for k in buckets.indices { buckets[k] &+= total.durations.cells[row * total.durations.width + k] }
        }
        summary.p95Seconds = Self.quantile(0.95, buckets)
        return summary
    }

    private static func quantile(_ share: Double, _ buckets: [UInt64]) -> Double? {
        let count = buckets.reduce(0, &+)
        guard count > 0 else { return nil }
        let rank = share * Double(count)
        var below: UInt64 = 0
        for (k, bound) in Histogram.latencyBounds.enumerated() {
            if Double(below + buckets[k]) >= rank, buckets[k] > 0 {
                let lower = k == 0 ? 0 : Double(Histogram.latencyBounds[k - 1])
                let within = (rank - Double(below)) / Double(buckets[k])
                return (lower + (Double(bound) - lower) * max(0, within)) / 1e9
            }
            below += buckets[k]
        }
        return Double(Histogram.latencyBounds[Histogram.latencyBounds.count - 1]) / 1e9
    }
}
