import Synchronization

/// How many connections to one instance the whole process may hold, shared by its workers.
///
/// A worker that finds no slot leaves its mark; whoever gives a slot back then learns whom to wake. Marks are set before the last
/// try and looked at after the release, so that no wake-up is lost.
public final class ConnectionSlots: Sendable {
    /// Workers beyond this many share marks.
    public static let marks = 64

    private let open = Atomic<Int>(0)
    private let waiting = Atomic<UInt64>(0)
    private let limit: Atomic<Int>

    public init(limit: Int) { self.limit = Atomic(limit) }

    public var openCount: Int { open.load(ordering: .relaxed) }

    /// More are open than a lowered limit allows.
    public var isOverLimit: Bool { open.load(ordering: .relaxed) > limit.load(ordering: .relaxed) }

    /// A reload may change the limit; connections above it go as they come back.
    public func setLimit(_ newLimit: Int) { limit.store(newLimit, ordering: .relaxed) }

    public func tryAcquire() -> Bool {
        let most = limit.load(ordering: .relaxed)
        var current = open.load(ordering: .relaxed)
        while current < most {
            let (exchanged, original) = open.compareExchange(
                expected: current, desired: current + 1, ordering: .sequentiallyConsistent)
            if exchanged { return true }
            current = original
        }
        return false
    }

    /// - Returns: a worker that waits for a slot, whose mark is now cleared; nil when none does.
    /// - Parameter worker: who gives it back; it comes last, or it would only ever serve itself.
    public func release(by worker: Int) -> Int? {
        open.subtract(1, ordering: .sequentiallyConsistent)
        return takeWaiting(after: worker)
    }

    /// A worker that waits, whose mark is now cleared, if there is a slot for it.
    public func nextWaiting(after worker: Int) -> Int? {
        open.load(ordering: .sequentiallyConsistent) < limit.load(ordering: .relaxed) ? takeWaiting(after: worker) : nil
    }

    /// Whether another worker than `worker` waits.
    public func othersWait(than worker: Int) -> Bool {
        let marks = waiting.load(ordering: .relaxed)
        return marks & ~(1 << UInt64(worker % Self.marks)) != 0
    }

    /// Call before the last `tryAcquire`, and wait when that fails.
    public func markWaiting(_ worker: Int) {
        waiting.bitwiseOr(1 << UInt64(worker % Self.marks), ordering: .sequentiallyConsistent)
    }

    /// The first mark behind that of `last`, round and round.
    private func takeWaiting(after last: Int) -> Int? {
        let first = (last + 1) % Self.marks
        var marks = waiting.load(ordering: .sequentiallyConsistent)
        while marks != 0 {
            let turned = marks >> UInt64(first) | (first == 0 ? 0 : marks << UInt64(Self.marks - first))
            let worker = (turned.trailingZeroBitCount + first) % Self.marks
            let (exchanged, original) = waiting.compareExchange(
                expected: marks, desired: marks & ~(1 << UInt64(worker)), ordering: .sequentiallyConsistent)
            if exchanged { return worker }
            marks = original
        }
        return nil
    }
}
