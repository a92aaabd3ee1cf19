import Primitives
import Synchronization

/// One retry budget for all workers. A request costs a count in memory of its own worker; only retries take the lock.
public final class SharedRetryBudget: Sendable {
    private let bucket: Atomic<UInt64>
    private let tallies: WorkerTallies
    private let budget: Mutex<RetryBudget>

    public init(policy: RetryBudget.Policy, workers: Int) {
        budget = Mutex(RetryBudget(policy: policy))
        bucket = Atomic(WindowCounter.bucket(of: policy.window))
        tallies = WorkerTallies(workers: workers)
    }

    /// - Parameter worker: who calls, below the number of workers.
    public func requestBegan(by worker: Int, at now: Instant) {
        tallies.add(by: worker, at: now, bucket: bucket.load(ordering: .relaxed))
    }

    public func withdraw(at now: Instant) -> Bool {
        let elsewhere = requests(at: now)
        return budget.withLock { $0.withdraw(at: now, requestsElsewhere: elsewhere) }
    }

    public func retryEnded() { budget.withLock { $0.retryEnded() } }

    public func remainingPermille(at now: Instant) -> Int {
        let elsewhere = requests(at: now)
        return budget.withLock { $0.remainingPermille(at: now, requestsElsewhere: elsewhere) }
    }

    public var retriesInFlight: Int { budget.withLock { $0.inFlight } }

    public func adopt(_ policy: RetryBudget.Policy) {
        budget.withLock {
            $0.adopt(policy)
            bucket.store(WindowCounter.bucket(of: policy.window), ordering: .relaxed)
        }
    }

    private func requests(at now: Instant) -> UInt64 {
        tallies.sum(at: now, since: nil, bucket: bucket.load(ordering: .relaxed))
    }
}
