import Primitives

/// Who is due next: places in somebody's list, each with at most one time, as a binary heap.
///
/// Setting, moving and taking out costs the logarithm of how many there are, and no memory in steady state.
public struct DueQueue: Sendable {
    private struct Entry: Sendable {
        var at: Instant
        var item: Int32
    }

    /// No entry is due before the one at half its place.
    private var heap: [Entry] = []
    /// Where each item stands in the heap; -1 for one that does not.
    private var places: [Int32] = []

    public init() {}

    public var count: Int { heap.count }

    /// Who is due before all others. - Returns: nil when nobody is.
    public var first: (item: Int, at: Instant)? { heap.first.map { (Int($0.item), $0.at) } }

    /// When somebody is due; nil when not at all.
    public func time(of item: Int) -> Instant? {
        guard places.indices.contains(item), places[item] >= 0 else { return nil }
        return heap[Int(places[item])].at
    }

    /// - Parameters:
    ///   - item: not negative, and small: the list of places is as long as the greatest.
    ///   - at: nil takes it out.
    public mutating func set(_ item: Int, at: Instant?) {
        guard let at else { return remove(item) }
        while places.count <= item { places.append(-1) }
        let place = Int(places[item])
        if place >= 0 {
            heap[place].at = at
            settle(place)
        } else {
            heap.append(Entry(at: at, item: Int32(item)))
            places[item] = Int32(heap.count - 1)
            settle(heap.count - 1)
        }
    }

    public mutating func remove(_ item: Int) {
        guard item < places.count, places[item] >= 0 else { return }
        let place = Int(places[item])
        swap(place, heap.count - 1)
        heap.removeLast()
        places[item] = -1
        if place < heap.count { settle(place) }
    }

    /// Moves an entry up or down to where it belongs.
    private mutating func settle(_ start: Int) {
        var place = start
        while place > 0, heap[place].at < heap[(place - 1) / 2].at {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
        while true {
            var earliest = place
            for child in 2 * place + 1...2 * place + 2 where child < heap.count && heap[child].at < heap[earliest].at {
                earliest = child
            }
            guard earliest != place else { return }
            swap(place, earliest)
            place = earliest
        }
    }

    private mutating func swap(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        places[Int(heap[a].item)] = Int32(a)
        places[Int(heap[b].item)] = Int32(b)
    }
}
