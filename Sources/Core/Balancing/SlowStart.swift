import Primitives

/// How an instance that comes back, or joins, is given its share step by step (Envoy's formula).
public struct SlowStart: Hashable, Sendable {
    public var window: TimeAmount
    /// Above 1 the share grows fast at first, below 1 late.
    public var aggression: Double
    /// The share to begin with; at 0 nothing would ever warm up.
    public var leastFactor: Double

    public init(window: TimeAmount, aggression: Double = 1, leastFactor: Double = 0.1) {
        self.window = window
        self.aggression = aggression.isFinite && aggression > 0 ? aggression : 1
        self.leastFactor = min(max(leastFactor, 0.01), 1)
    }

    /// What the weight is to be multiplied by: max(10 %, (t / window)^(1 / aggression)).
    public func factor(since start: Instant, at now: Instant) -> Double {
        let elapsed = now.since(start)
        guard elapsed < window else { return 1 }
        guard elapsed > .zero else { return leastFactor }
        let part = Double(elapsed.nanoseconds) / Double(window.nanoseconds)
        return min(1, max(leastFactor, aggression == 1 ? part : Exponential.power(part, 1 / aggression)))
    }
}
