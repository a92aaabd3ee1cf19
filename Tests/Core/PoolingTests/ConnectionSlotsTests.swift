import Synchronization
import Testing

@testable import Pooling

@Suite struct ConnectionSlotsTests {
    /// How many slots are held now, and the most that were at once.
    private final class Held: Sendable {
        let now = Atomic<Int>(0)
        let most = Atomic<Int>(0)
    }

    @Test func `no more than the limit is given out, and what comes back can be had again`() {
        let slots = ConnectionSlots(limit: 2)
        #expect(slots.tryAcquire() && slots.tryAcquire() && !slots.tryAcquire())
        #expect(slots.release(by: 0) == nil)
        #expect(slots.tryAcquire() && !slots.tryAcquire())
        slots.setLimit(3)
        #expect(slots.tryAcquire() && slots.openCount == 3)
    }

    @Test func `a release wakes each worker that waits once, the one that gave back last`() {
        let slots = ConnectionSlots(limit: 1)
        #expect(slots.tryAcquire())
        slots.markWaiting(3)
        slots.markWaiting(70)
        #expect(slots.othersWait(than: 3) && slots.othersWait(than: 70))
        #expect(slots.release(by: 3) == 70 % ConnectionSlots.marks)
        #expect(slots.nextWaiting(after: 3) == 3)
        #expect(slots.nextWaiting(after: 0) == nil)
        #expect(!slots.othersWait(than: 0))
    }

    @Test func `nobody is woken for a slot that is not there`() {
        let slots = ConnectionSlots(limit: 1)
        #expect(slots.tryAcquire())
        slots.markWaiting(5)
        #expect(slots.nextWaiting(after: 0) == nil)
        #expect(slots.othersWait(than: 1))
    }

    @Test func `many threads at once never hold more than the limit`() async {
        let slots = ConnectionSlots(limit: 3)
        let held = Held()
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    for _ in 0..<5000 {
                        guard slots.tryAcquire() else {
                            slots.markWaiting(worker)
                            continue
                        }
                        held.most.max(held.now.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
                        held.now.subtract(1, ordering: .relaxed)
                        _ = slots.release(by: worker)
                    }
                }
            }
        }
        #expect(held.most.load(ordering: .relaxed) <= 3)
        #expect(slots.openCount == 0)
    }
}
