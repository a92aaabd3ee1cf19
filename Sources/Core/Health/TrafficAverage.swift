import Primitives

/// Requests, errors and latency of the last seconds, of which older ones count less: after 10 s about half.
struct TrafficAverage: Sendable, Hashable {
    private static let memory = 10_000_000_000.0
    private(set) var requests = 0.0
    private var errors = 0.0
    private var latency = 0.0
    private var updated: Instant?

    mutating func add(requests more: Int, errors moreErrors: Int, latency moreLatency: TimeAmount, at now: Instant) {
        decay(to: now)
        requests += Double(max(0, more))
        errors += Double(max(0, moreErrors))
        latency += Double(moreLatency.nanoseconds)
    }

    mutating func decay(to now: Instant) {
        if let updated {
            let factor = Self.memory / (Self.memory + Double(now.since(updated).nanoseconds))
            requests *= factor
            errors *= factor
            latency *= factor
        }
        updated = now
    }

    /// In 1/1000; zero below 20 requests, of which one error would be too many.
    var errorPermille: Double { requests < 20 ? 0 : errors / requests * 1000 }

    /// Nanoseconds; zero below 5 requests.
    var meanLatency: Double { requests < 5 ? 0 : latency / requests }
}
