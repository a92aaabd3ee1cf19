/// What is to happen when, in virtual time: a heap of actions. Those of one instant happen in the order in which they were set.
struct Schedule {
    private struct Entry {
        var time: UInt64
        var number: UInt64
        var action: () -> Void
    }

    private var heap: [Entry] = []
    private var counter: UInt64 = 0

    var earliest: UInt64? { heap.first?.time }

    mutating func add(at time: UInt64, _ action: @escaping () -> Void) {
        counter += 1
        heap.append(Entry(time: time, number: counter, action: action))
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeFirst() -> () -> Void {
        heap.swapAt(0, heap.count - 1)
        let action = heap.removeLast().action
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) { least = child }
            guard least != parent else { return action }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].number) < (heap[b].time, heap[b].number)
    }
}
