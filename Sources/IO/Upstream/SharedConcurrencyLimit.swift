import Primitives
import Resilience
import Synchronization

/// One adaptive limit for all workers: a word to compare with, and the machine behind a lock for what is measured.
public final class SharedConcurrencyLimit: Sendable {
    private let limit: Atomic<Int>
    private let machine: Mutex<ConcurrencyLimit>

    public init(policy: ConcurrencyLimit.Policy, at now: Instant) {
        let machine = ConcurrencyLimit(policy: policy, at: now)
        limit = Atomic(machine.limit)
        self.machine = Mutex(machine)
    }

    /// Requests that the service may have in flight now.
    public var current: Int { limit.load(ordering: .relaxed) }

    /// A worker that finds another one in the middle of it leaves its sample out: the median does not miss it.
    public func answered(after latency: TimeAmount, at now: Instant, random: inout RandomSource) {
        machine.withLockIfAvailable { machine in
            machine.answered(after: latency, at: now, random: &random)
            limit.store(machine.limit, ordering: .relaxed)
        }
    }

    /// Another configuration; its measurements begin anew where the numbers differ.
    public func adopt(_ policy: ConcurrencyLimit.Policy, at now: Instant) {
        machine.withLock { machine in
            guard machine.policy != policy else { return }
            machine = ConcurrencyLimit(policy: policy, at: now)
            limit.store(machine.limit, ordering: .relaxed)
        }
    }
}
