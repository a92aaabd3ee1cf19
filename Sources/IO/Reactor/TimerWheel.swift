import Primitives

/// Timers of one thread in a hashed wheel: setting, moving and clearing one costs the same however many there are.
///
/// Coarse on purpose: a timer fires up to one tick (10 ms) late, never early. One that lies further off than a turn of the wheel is passed over
/// until its time. (Varghese and Lauck, 1987, scheme 6.) Pure: the caller passes the time in.
public struct TimerWheel: ~Copyable {
    /// A timer's place, -1 for none.
    public typealias ID = Int32

    static let tickNanoseconds: UInt64 = 10_000_000
    static let slots = 8192

    private struct Node {
        var token: UInt64
        var due: UInt64
        var next: Int32
        var previous: Int32
    }

    private var nodes: UnsafeMutablePointer<Node>
    private var nodeCapacity: Int
    private var freeList: Int32 = -1
    private let heads: UnsafeMutablePointer<Int32>
    /// One bit for each slot that holds a timer.
    private let occupied: UnsafeMutablePointer<UInt64>
    /// The first tick that has not been looked at.
    private var tick: UInt64
    /// No timer is due before this tick.
    private var earliest: UInt64 = .max
    public private(set) var count = 0

    public init(now: Instant) {
        nodeCapacity = 64
        nodes = .allocate(capacity: nodeCapacity)
        heads = .allocate(capacity: Self.slots)
        heads.initialize(repeating: -1, count: Self.slots)
        occupied = .allocate(capacity: Self.slots / 64)
        occupied.initialize(repeating: 0, count: Self.slots / 64)
        tick = now.nanoseconds / Self.tickNanoseconds
        linkFree(0..<nodeCapacity)
    }

    deinit {
        nodes.deallocate()
        heads.deallocate()
        occupied.deallocate()
    }

    /// Sets a timer that gives `token` once `due` has passed.
    public mutating func schedule(_ token: Token, at due: Instant) -> ID {
        if freeList < 0 { grow() }
        let id = freeList
        freeList = nodes[Int(id)].next
        nodes[Int(id)].token = token.raw
        count += 1
        link(id, at: due)
        return id
    }

    /// Moves a timer that has not fired.
    public mutating func reschedule(_ id: ID, at due: Instant) {
        unlink(id)
        link(id, at: due)
    }

    /// Clears a timer that has not fired.
    public mutating func cancel(_ id: ID) {
        unlink(id)
        nodes[Int(id)].next = freeList
        freeList = id
        count -= 1
    }

    /// The next timer that is due, which is then gone; nil when none is. Call until nil.
    public mutating func next(now: Instant) -> Token? {
        let current = now.nanoseconds / Self.tickNanoseconds
        if earliest >= current {
            tick = max(tick, current)
            return nil
        }
        // Every slot holds what a whole turn hashed to it, so a turn is the most there is to look at.
        if current > tick, current - tick > UInt64(Self.slots) { tick = current - UInt64(Self.slots) }
        while tick < current {
            let slot = Int(tick % UInt64(Self.slots))
            if occupied[slot >> 6] & (1 << UInt64(slot & 63)) != 0 {
                var id = heads[slot]
                while id >= 0 {
                    let node = nodes[Int(id)]
                    if node.due < current {
                        cancel(id)
                        return Token(raw: node.token)
                    }
                    id = node.next
                }
            }
            tick += 1
        }
        earliest = findEarliest()
        return nil
    }

    /// Milliseconds until there may be something to do, at most `limit`.
    public func timeout(now: Instant, limit: Int32) -> Int32 {
        guard earliest != .max else { return limit }
        let due = (earliest + 1) * Self.tickNanoseconds
        guard due > now.nanoseconds else { return 0 }
        return Int32(clamping: min(UInt64(limit), (due - now.nanoseconds + 999_999) / 1_000_000))
    }

    private mutating func link(_ id: ID, at due: Instant) {
        let dueTick = max(due.nanoseconds / Self.tickNanoseconds, tick)
        let slot = Int(dueTick % UInt64(Self.slots))
        let head = heads[slot]
        nodes[Int(id)].due = dueTick
        nodes[Int(id)].next = head
        nodes[Int(id)].previous = -1
        if head >= 0 { nodes[Int(head)].previous = id }
        heads[slot] = id
        occupied[slot >> 6] |= 1 << UInt64(slot & 63)
        if dueTick < earliest { earliest = dueTick }
    }

    private mutating func unlink(_ id: ID) {
        let node = nodes[Int(id)]
        let slot = Int(node.due % UInt64(Self.slots))
        if node.previous >= 0 { nodes[Int(node.previous)].next = node.next } else { heads[slot] = node.next }
        if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
        if heads[slot] < 0 { occupied[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
    }

    /// The tick of the first occupied slot from `tick` on: a lower bound, since what is in it may belong to a later turn.
    private func findEarliest() -> UInt64 {
        guard count > 0 else { return .max }
        let start = Int(tick % UInt64(Self.slots))
        let words = Self.slots / 64
        for step in 0...words {
            let index = (start / 64 + step) % words
            var word = occupied[index]
            if step == 0 { word &= ~UInt64(0) << UInt64(start & 63) }
            guard word != 0 else { continue }
            let slot = index * 64 + word.trailingZeroBitCount
            return tick + UInt64((slot - start + Self.slots) % Self.slots)
        }
        return .max
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Node>.allocate(capacity: nodeCapacity * 2)
        larger.update(from: nodes, count: nodeCapacity)
        nodes.deallocate()
        nodes = larger
        let old = nodeCapacity
        nodeCapacity *= 2
        linkFree(old..<nodeCapacity)
    }

    private mutating func linkFree(_ range: Range<Int>) {
        for i in range.reversed() {
            nodes[i] = Node(token: 0, due: 0, next: freeList, previous: -1)
            freeList = Int32(i)
        }
    }
}
