import Synchronization

/// What all workers share about one service as a whole; it outlives reloads, as the instances' loads do.
///
/// The turns are counted here, not per worker, so that a round robin is fair over the whole process.
public final class ServiceLoad: Sendable {
    private let turns: Atomic<UInt64>
    private let version = Atomic<UInt64>(1)
    private let sent = Atomic<Int>(0)

    /// - Parameter firstTurn: where the round begins. A random one keeps many gateways that start together apart.
    public init(firstTurn: UInt64 = 0) { turns = Atomic(firstTurn) }

    /// Requests that are with an instance now.
    public var inFlight: Int { sent.load(ordering: .relaxed) }

    /// Counts the changes of the instances' statuses: a worker looks at all of them again only when there was one.
    public var statusVersion: UInt64 { version.load(ordering: .acquiring) }

    func nextTurn() -> UInt64 { turns.wrappingAdd(1, ordering: .relaxed).oldValue }

    func statusChanged() { version.wrappingAdd(1, ordering: .releasing) }

    func requestStarted() { sent.wrappingAdd(1, ordering: .relaxed) }

    func requestEnded() { sent.wrappingSubtract(1, ordering: .relaxed) }
}
