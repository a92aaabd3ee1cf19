import Primitives

/// The one deadline of a request, which queue, tries and further hops share.
public struct RequestDeadline: Sendable, Hashable {
    public let instant: Instant

    /// - Parameters:
    ///   - timeout: of the route or service; `forever` when there is none.
    ///   - announced: what a trusted peer says is left (`X-Request-Timeout`). It can only shorten.
    public init(arrived: Instant, timeout: TimeAmount, announced: TimeAmount? = nil) {
        instant = arrived + min(timeout, announced ?? .forever)
    }

    public func remaining(at now: Instant) -> TimeAmount { instant == .never ? .forever : instant.since(now) }

    public func hasPassed(at now: Instant) -> Bool { now >= instant }

    /// The end of a stage that may take `timeout`, and not longer than the request.
    public func bounding(_ timeout: TimeAmount, from now: Instant) -> Instant { min(instant, now + timeout) }

    /// What the next hop is told, in whole milliseconds, rounded down so that it gives up before we do; nil when there is no
    /// deadline.
    public func millisecondsToAnnounce(at now: Instant) -> UInt64? {
        instant == .never ? nil : remaining(at: now).nanoseconds / 1_000_000
    }
}
