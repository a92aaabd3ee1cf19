import Primitives

/// When a circuit breaker opens, for how long, and what closes it.
public struct BreakerPolicy: Sendable, Hashable {
    /// Failures in a row that open it.
    public var failureThreshold = 5
    /// Successes of probes that close it.
    public var successThreshold = 3
    /// The first opening; later ones double.
    public var openTimeout = TimeAmount.seconds(60)
    public var openTimeoutMax = TimeAmount.seconds(300)
    /// Share of failures in the window that opens it, in 1/1000.
    public var errorRatePermille = 500
    public var window = TimeAmount.seconds(10)
    /// Calls in the window below which no share counts: ratios of tiny samples trip.
    public var minimumRequests = 20
    /// Probes in flight at once, over all workers.
    public var halfOpenMax = 3
    /// A probe without an outcome counts as failed after this. Not below the time that the service gives an answer.
    public var probeTimeout = TimeAmount.seconds(30)
    /// Calls that take longer are slow; nil: none is.
    public var slowCallDuration: TimeAmount?
    /// Share of slow calls in the window that opens it, in 1/1000. Only where `slowCallDuration` is set.
    public var slowRatePermille = 1000
    /// Passing checks half open it before its time.
    public var probeEarly = true
    /// Checks that pass sooner after the opening say nothing yet: they may have begun before it.
    public var probeEarlyAfter = TimeAmount.seconds(1)

    public init() {}
}
