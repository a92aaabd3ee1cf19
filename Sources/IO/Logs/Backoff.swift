import Primitives

/// When a lost receiver is tried again: at once where the connection had held for a while, otherwise after half a second, then
/// after twice as long each time, up to half a minute.
struct Backoff {
    static var firstWait: TimeAmount { .milliseconds(500) }
    static var longestWait: TimeAmount { .seconds(30) }
    /// A connection that held for as long was a good one; a shorter one counts as one more failure, or a receiver that accepts
    /// and closes would be asked without end.
    static var goodAfter: TimeAmount { .seconds(10) }

    private var wait = Backoff.firstWait

    /// A try to connect has failed.
    /// - Returns: when to try again.
    mutating func failed(at now: Instant) -> Instant {
        let next = now + wait
        wait = min(TimeAmount(nanoseconds: wait.nanoseconds * 2), Self.longestWait)
        return next
    }

    /// A connection that was made at `since` is lost.
    mutating func lost(since: Instant, at now: Instant) -> Instant {
        guard now.since(since) >= Self.goodAfter else { return failed(at: now) }
        wait = Self.firstWait
        return now
    }
}
