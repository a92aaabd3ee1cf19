import Primitives

/// When an instance counts as well, slow or dead, and how it is checked.
public struct HealthPolicy: Sendable, Hashable {
    /// Without active checks only traffic is evidence.
    public var hasChecks = true
    /// Between two checks of an instance that is well.
    public var interval = TimeAmount.seconds(30)
    /// Between two checks while in doubt.
    public var fastInterval = TimeAmount.seconds(1)
    public var timeout = TimeAmount.seconds(5)
    /// While in doubt, unless the instance is known to take longer.
    public var fastTimeout = TimeAmount.seconds(1)
    /// Checks in a row that bring a failed instance back.
    public var rise = 2
    /// Failures that take an instance out: checks in a row, and in traffic in a row, added up.
    public var fall = 3
    /// The longest wait before a failed instance is looked at again.
    public var backoffMax = TimeAmount.seconds(30)
    /// An average answer in traffic that takes longer is slow; nil: none is.
    public var degradedLatency: TimeAmount?
    /// Share of server errors in traffic that degrades, in 1/1000.
    public var degradedErrorPermille = 100
    /// The weight of a degraded instance, in 1/1000 of its own.
    public var degradedShare = 500
    /// A degraded instance is well after this long below 80 % of what degraded it.
    public var calmTime = TimeAmount.seconds(10)
    /// For how long the weight of an instance that came back grows; zero: not at all.
    public var slowStart = TimeAmount.zero
    /// More than four changes between up and failed in this time double `rise`, up to 16.
    public var flapWindow = TimeAmount.seconds(60)

    public init() {}
}
