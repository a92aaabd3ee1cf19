import Primitives
import Synchronization

/// The ring of a `WindowCounter` that one worker writes and others read.
///
/// Only its worker may call `add`: a plain load and a plain store are then enough, and no two workers write to one cache line. A
/// reader may miss the event that is being written.
final class WorkerTally: Sendable {
    private let ring = InlineArray<10, Atomic<UInt64>> { _ in Atomic(0) }
    /// The slot that counts now, and the nanoseconds at which it no longer does: most events then need no division.
    private let slot = Atomic<Int>(0)
    private let end = Atomic<UInt64>(0)
    /// Keeps the next object's words out of the last cache line of these.
    private let padding = InlineArray<8, UInt64>(repeating: 0)

    init() {}

    /// - Parameter now: not before that of the last call, or the event is counted in the bucket of the last call.
    func add(at now: Instant, bucket: UInt64) {
        if now.nanoseconds < end.load(ordering: .relaxed) {
            let slot = slot.load(ordering: .relaxed)
            let word = ring[slot].load(ordering: .relaxed)
            if UInt32(truncatingIfNeeded: word) != .max { ring[slot].store(word &+ 1, ordering: .relaxed) }
        } else {
            addToNext(at: now, bucket: bucket)
        }
    }

    private func addToNext(at now: Instant, bucket: UInt64) {
        let span = now.nanoseconds / bucket
        let next = Int(span % UInt64(WindowCounter.buckets))
        let word = WindowCounter.counted(
            ring[next].load(ordering: .relaxed), span: UInt32(truncatingIfNeeded: span))
        ring[next].store(word, ordering: .relaxed)
        slot.store(next, ordering: .relaxed)
        let (begins, overflow) = span.multipliedReportingOverflow(by: bucket)
        end.store(overflow ? .max : begins.addingReportingOverflow(bucket).overflow ? .max : begins + bucket, ordering: .relaxed)
    }

    func sum(at now: Instant, since: Instant?, bucket: UInt64) -> UInt64 {
        var total: UInt64 = 0
        let span = now.nanoseconds / bucket
        let most = WindowCounter.age(span: span, since: since, bucket: bucket)
        for slot in 0..<WindowCounter.buckets {
            total += WindowCounter.count(
                in: ring[slot].load(ordering: .relaxed), span: UInt32(truncatingIfNeeded: span), ageMax: most)
        }
        return total
    }
}
