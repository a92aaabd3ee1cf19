/// What is to happen when, in virtual time: a heap of actions. Those of one instant happen in the order in which they were set.
struct Schedule {
    /// Plain numbers, so that moving one about the heap costs nothing.
    private struct Entry {
        var time: UInt64
        var number: UInt64
        var slot: Int
    }

    private var heap: [Entry] = []
    private var actions: [(() -> Void)?] = []
    private var free: [Int] = []
    private var counter: UInt64 = 0

    var earliest: UInt64? { heap.first?.time }

    mutating func add(at time: UInt64, _ action: @escaping () -> Void) {
        counter += 1
        let slot = free.popLast() ?? actions.count
        if slot == actions.count { actions.append(action) } else { actions[slot] = action }
        heap.append(Entry(time: time, number: counter, slot: slot))
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes the first action out; nil when there is none.
    mutating func removeFirst() -> (() -> Void)? {
        guard !heap.isEmpty else { return nil }
        heap.swapAt(0, heap.count - 1)
        let slot = heap.removeLast().slot
        defer {
            actions[slot] = nil
            free.append(slot)
        }
        var parent = 0
        while true {
            var least = parent
            if 2 * parent + 1 < heap.count, precedes(2 * parent + 1, least) { least = 2 * parent + 1 }
            if 2 * parent + 2 < heap.count, precedes(2 * parent + 2, least) { least = 2 * parent + 2 }
            guard least != parent else { return actions[slot] }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        heap[a].time != heap[b].time ? heap[a].time < heap[b].time : heap[a].number < heap[b].number
    }
}
