import Primitives

/// Decides when the service manager gets a sign of life: once every worker has answered since the last one, and never otherwise.
///
/// A worker answers from its loop, so a single one that hangs ends the signs, and the manager restarts the service.
struct Watchdog {
    /// Three rounds fit into the manager's patience.
    private static var roundsPerTimeout: UInt64 { 3 }

    private let interval: TimeAmount
    private var missing: Set<Int> = []
    private(set) var nextRound: Instant

    /// - Returns: nil where nobody watches.
    init?(timeout: TimeAmount?, now: Instant) {
        guard let timeout else { return nil }
        interval = TimeAmount(nanoseconds: max(1_000_000, timeout.nanoseconds / Self.roundsPerTimeout))
        nextRound = now
    }

    /// - Returns: whether the workers are to be asked.
    mutating func roundIsDue(at now: Instant, workers: Set<Int>) -> Bool {
        guard now >= nextRound else { return false }
        nextRound = now + interval
        // Those that still owe an answer have been asked.
        guard missing.isEmpty else { return false }
        missing = workers
        return true
    }

    /// - Returns: whether all have answered, so that the sign is to be given.
    mutating func beat(worker: Int) -> Bool { missing.remove(worker) != nil && missing.isEmpty }

    /// A worker that has ended as it should owes nothing.
    mutating func ended(worker: Int) -> Bool { beat(worker: worker) }
}
