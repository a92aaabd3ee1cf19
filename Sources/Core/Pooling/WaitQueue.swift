import Primitives

/// Requests of one worker that wait for a connection to a service: first come, first served, bounded by the caller.
public struct WaitQueue: Sendable {
    /// Whoever waits, as the driver names it.
    public typealias Waiter = UInt64

    private var waiters: [Waiter] = []
    private var head = 0

    public init() {}

    public var count: Int { waiters.count - head }
    public var isEmpty: Bool { count == 0 }

    public mutating func append(_ waiter: Waiter) { waiters.append(waiter) }

    /// Puts a waiter back whose turn it still is.
    public mutating func prepend(_ waiter: Waiter) {
        if head > 0 {
            head -= 1
            waiters[head] = waiter
        } else {
            waiters.insert(waiter, at: 0)
        }
    }

    public mutating func popFirst() -> Waiter? {
        guard head < waiters.count else { return nil }
        let first = waiters[head]
        head += 1
        if head == waiters.count {
            waiters.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 1024, head > waiters.count / 2 {
            waiters.removeFirst(head)
            head = 0
        }
        return first
    }

    /// Its client left, or its time is up.
    /// - Returns: false when it did not wait here.
    public mutating func remove(_ waiter: Waiter) -> Bool {
        guard let at = waiters[head...].firstIndex(of: waiter) else { return false }
        waiters.remove(at: at)
        if head == waiters.count {
            waiters.removeAll(keepingCapacity: true)
            head = 0
        }
        return true
    }
}
