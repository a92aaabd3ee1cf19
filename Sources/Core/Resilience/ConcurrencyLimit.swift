import Primitives

/// How many requests a service may have in flight, found from how its latency answers to load (a gradient).
///
/// Once per window: `limit = limit × clamp(minimum × 1.25 / median, 0.5, 1) + √limit`, between 3 and 1,000. While the service is
/// quick the limit grows by its root; once the median rises over the quickest time by more than a quarter, it shrinks. The
/// quickest time is measured again every 60 s ± 15 % with only 3 requests in flight, since a service may become slower or quicker
/// for good.
public struct ConcurrencyLimit: Sendable, Hashable {
    public struct Policy: Sendable, Hashable {
        public var least = 3
        public var most = 1000
        public var start = 20
        public var window = TimeAmount.milliseconds(100)
        /// A window with fewer answers goes on.
        public var samplesMin = 10
        public var remeasureAfter = TimeAmount.seconds(60)
        /// Answers that a measurement takes.
        public var measureSamples = 20
        /// A measurement ends after this with what it has.
        public var measureMax = TimeAmount.seconds(2)
        /// What latency may rise over the quickest time, in 1/1000.
        public var tolerancePermille = 250

        public init() {}
    }

    private enum Mode: Sendable, Hashable {
        /// The quickest time is being measured, with `least` in flight. Becomes `tracking`.
        case measuring(until: Instant)
        /// Becomes `measuring`.
        case tracking(minimum: UInt64, windowEnd: Instant, remeasureAt: Instant)
    }

    public let policy: Policy
    private var mode: Mode
    /// What the formula says; applies while tracking.
    private var gradient: Double
    private var samples = LatencySketch()

    public init(policy: Policy, at now: Instant) {
        self.policy = policy
        gradient = Double(min(max(policy.start, policy.least), policy.most))
        mode = .measuring(until: now + policy.measureMax)
    }

    /// Requests that may be in flight now.
    public var limit: Int {
        switch mode {
        case .measuring: policy.least
        case .tracking: Int(gradient)
        }
    }

    /// A request was answered. Failures that took no time say nothing of the load, and are not told.
    public mutating func answered(after latency: TimeAmount, at now: Instant, random: inout RandomSource) {
        samples.add(latency.nanoseconds)
        tick(at: now, random: &random)
    }

    /// Time has passed. A measurement during which nothing was answered goes on: the limit is then not what holds requests back.
    public mutating func tick(at now: Instant, random: inout RandomSource) {
        switch mode {
        case .measuring(let until):
            guard samples.count > 0, samples.count >= policy.measureSamples || now >= until else { return }
            let spread = policy.remeasureAfter.nanoseconds / 100 * 15
            let pause = policy.remeasureAfter.nanoseconds - spread + random.below(2 * spread + 1)
            mode = .tracking(
                minimum: samples.median, windowEnd: now + policy.window,
                remeasureAt: now + TimeAmount(nanoseconds: pause))
            samples = LatencySketch()
        case .tracking(let minimum, let windowEnd, let remeasureAt):
            if now >= remeasureAt {
                mode = .measuring(until: now + policy.measureMax)
                samples = LatencySketch()
                return
            }
            guard now >= windowEnd, samples.count >= policy.samplesMin else { return }
            let tolerated = Double(minimum) * Double(1000 + policy.tolerancePermille) / 1000
            let ratio = min(1, max(0.5, tolerated / Double(max(1, samples.median))))
            gradient = min(Double(policy.most), max(Double(policy.least), gradient * ratio + gradient.squareRoot()))
            mode = .tracking(minimum: minimum, windowEnd: now + policy.window, remeasureAt: remeasureAt)
            samples = LatencySketch()
        }
    }
}
