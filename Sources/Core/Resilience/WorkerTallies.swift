import Primitives

/// One `WorkerTally` for each worker.
///
/// A worker's own tally is reached without a reference count, which would cost ten times what the counting does: `kept` holds
/// every tally for as long as this lives, and neither is ever changed.
struct WorkerTallies: Sendable {
    private let kept: [WorkerTally]
    private let borrowed: [Borrowed]

    private struct Borrowed: @unchecked Sendable {
        let tally: Unmanaged<WorkerTally>
    }

    init(workers: Int) {
        kept = (0..<workers).map { _ in WorkerTally() }
        borrowed = kept.map { Borrowed(tally: .passUnretained($0)) }
    }

    /// - Parameter worker: who calls, below the number of workers; only it may.
    @inline(__always)
    func add(by worker: Int, at now: Instant, bucket: UInt64) {
        borrowed[worker].tally._withUnsafeGuaranteedRef { $0.add(at: now, bucket: bucket) }
    }

    func sum(at now: Instant, since: Instant?, bucket: UInt64) -> UInt64 {
        kept.reduce(0) { $0 + $1.sum(at: now, since: since, bucket: bucket) }
    }
}
