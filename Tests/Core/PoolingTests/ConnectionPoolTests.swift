import Primitives
import Testing

@testable import Pooling

@Suite struct ConnectionPoolTests {
    private func pool(requests: Int = 100) -> ConnectionPool {
        ConnectionPool(policy: .init(idleTimeout: .seconds(30), requestsPerConnection: requests))
    }

    private let good = ConnectionPool.Usage(responseEnded: true, requestSent: true, allowsReuse: true, requests: 1)

    @Test
    func
        `a connection is parked exactly when the response ended, the request was sent, both sides allow it and it has requests left`()
    {  // 37
        for bits in 0..<16 {
            var pool = pool(requests: 10)
            pool.opened()
            let usage = ConnectionPool.Usage(
                responseEnded: bits & 1 != 0, requestSent: bits & 2 != 0, allowsReuse: bits & 4 != 0,
                requests: bits & 8 != 0 ? 9 : 10)
            let verdict = pool.checkIn(7, after: usage)
            #expect(verdict == (bits == 15 ? .park : .close), "\(usage)")
            #expect(pool.openCount == (bits == 15 ? 1 : 0))
            #expect(pool.lentCount == 0)
        }
    }

    @Test func `the connection that was used last is lent first and the one that idled longest goes first`() {
        var pool = pool()
        for index in 1...3 {
            pool.opened()
            #expect(pool.checkIn(Int32(index), after: good) == .park)
        }
        #expect(pool.lease() == 3)
        #expect(pool.takeOldestIdle() == 1)
        #expect(pool.lease() == 2)
        #expect(pool.lease() == nil)
        #expect(pool.lentCount == 2)
    }

    @Test func `an idle connection that closed is never lent`() {  // 36
        var pool = pool()
        for index in 1...3 {
            pool.opened()
            _ = pool.checkIn(Int32(index), after: good)
        }
        #expect(pool.idleClosed(2) == true)
        #expect(pool.idleClosed(2) == false)
        #expect(pool.lease() == 3)
        #expect(pool.lease() == 1)
        #expect(pool.lease() == nil)
    }

    @Test func `a retired pool hands its idle connections out, parks nothing, and works again once revived`() {
        var pool = pool()
        pool.opened()
        pool.opened()
        _ = pool.checkIn(1, after: good)
        #expect(pool.retire() == [1])
        #expect(pool.isRetired)
        #expect(pool.checkIn(2, after: good) == .close)
        #expect(pool.openCount == 0)
        pool.revive(policy: .init(idleTimeout: .seconds(1), requestsPerConnection: 5))
        pool.opened()
        #expect(pool.checkIn(3, after: good) == .park)
        #expect(pool.policy.requestsPerConnection == 5)
        #expect(pool.takeIdle() == [3])
    }

    @Test func `leases and returns conserve the connections`() {
        for seed in 0..<200 {
            var random = RandomSource(seed: UInt64(seed))
            var pool = pool()
            var lent: [Int32] = []
            var idle: [Int32] = []
            var next: Int32 = 0
            for _ in 0..<300 {
                switch Int.random(in: 0..<5, using: &random) {
                case 0:
                    pool.opened()
                    lent.append(next)
                    next += 1
                case 1:
                    let taken = pool.lease()
                    #expect(taken == idle.popLast())
                    if let taken { lent.append(taken) }
                case 2:
                    guard let back = lent.popLast() else { continue }
                    if pool.checkIn(back, after: good) == .park { idle.append(back) }
                case 3:
                    guard lent.popLast() != nil else { continue }
                    pool.lentClosed()
                default:
                    guard let gone = idle.randomElement(using: &random) else { continue }
                    #expect(pool.idleClosed(gone) == true)
                    idle.removeAll { $0 == gone }
                }
                #expect(pool.idleCount == idle.count && pool.lentCount == lent.count, "seed \(seed)")
            }
        }
    }
}

@Suite struct WaitQueueTests {
    @Test func `those who wait are served in their order, whoever leaves in between`() {
        var queue = WaitQueue()
        for waiter in 1...5 { queue.append(WaitQueue.Waiter(waiter)) }
        #expect(queue.popFirst() == 1)
        #expect(queue.remove(3) == true)
        #expect(queue.remove(3) == false)
        queue.prepend(1)
        #expect(queue.count == 4)
        var order: [WaitQueue.Waiter] = []
        while let next = queue.popFirst() { order.append(next) }
        #expect(order == [1, 2, 4, 5])
        #expect(queue.isEmpty)
        queue.prepend(9)
        #expect(queue.remove(9) == true)
        #expect(queue.isEmpty)
    }

    @Test func `a queue that is always in use does not grow with what has passed through it`() {
        var queue = WaitQueue()
        for waiter in 0..<50_000 {
            queue.append(WaitQueue.Waiter(waiter))
            if waiter >= 10 { #expect(queue.popFirst() == WaitQueue.Waiter(waiter - 10)) }
        }
        #expect(queue.count == 10)
    }
}
