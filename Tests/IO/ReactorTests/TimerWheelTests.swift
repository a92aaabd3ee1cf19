import Primitives
import Testing

@testable import Reactor

@Suite struct TimerWheelTests {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: 5_000_000_000) + .milliseconds(milliseconds) }

    private func token(_ index: Int) -> Token { Token(.exchange, index: index, generation: 1) }

    @Test func `a timer fires behind its time and within two ticks of it`() {
        var wheel = TimerWheel(now: at(0))
        _ = wheel.schedule(token(1), at: at(100))
        #expect(wheel.next(now: at(99)) == nil)
        #expect(wheel.next(now: at(100)) == nil)
        #expect(wheel.next(now: at(120)) == token(1))
        #expect(wheel.next(now: at(200)) == nil)
        #expect(wheel.count == 0)
    }

    @Test func `the wait for the next timer ends when it is due, and is the limit where there is none`() {
        var wheel = TimerWheel(now: at(0))
        #expect(wheel.timeout(now: at(0), limit: 1000) == 1000)
        _ = wheel.schedule(token(1), at: at(100))
        let wait = wheel.timeout(now: at(0), limit: 1000)
        #expect(wait >= 100 && wait <= 120)
        #expect(wheel.timeout(now: at(500), limit: 1000) == 0)
    }

    @Test func `every timer of a random crowd fires once, in time, and no cleared one does`() {
        for seed in 0..<30 {
            var random = RandomSource(seed: UInt64(seed))
            var wheel = TimerWheel(now: at(0))
            var due: [Int: (id: TimerWheel.ID, at: UInt64)] = [:]
            var now: UInt64 = 0
            var next = 0
            for _ in 0..<2000 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0...4:
                    // Some far beyond a turn of the wheel, which is 82 s.
                    let when = now + UInt64.random(in: 0..<(Bool.random(using: &random) ? 2_000 : 300_000), using: &random)
                    due[next] = (wheel.schedule(token(next), at: at(when)), when)
                    next += 1
                case 5:
                    guard let (key, entry) = due.randomElement(using: &random) else { continue }
                    let when = now + UInt64.random(in: 0..<100_000, using: &random)
                    wheel.reschedule(entry.id, at: at(when))
                    due[key] = (entry.id, when)
                case 6:
                    guard let (key, entry) = due.randomElement(using: &random) else { continue }
                    wheel.cancel(entry.id)
                    due[key] = nil
                default:
                    now += UInt64.random(in: 0..<3_000, using: &random)
                    while let fired = wheel.next(now: at(now)) {
                        let entry = due.removeValue(forKey: fired.index)
                        #expect(entry != nil, "seed \(seed): fired twice, or after it was cleared")
                        #expect((entry?.at ?? 0) <= now, "seed \(seed): early")
                    }
                    for entry in due.values { #expect(entry.at + 20 >= now, "seed \(seed): late") }
                }
                #expect(wheel.count == due.count)
            }
        }
    }

    @Test func `a deadline that moves back fires at its new time, and one that is cleared never`() {
        var wheel = TimerWheel(now: at(0))
        var deadline = Deadline()
        deadline.set(at(100), token(1), on: &wheel)
        deadline.set(at(1000), token(1), on: &wheel)
        #expect(wheel.next(now: at(130)) == token(1))
        #expect(deadline.fired(at: at(130), token(1), on: &wheel) == false)
        #expect(wheel.next(now: at(900)) == nil)
        #expect(wheel.next(now: at(1030)) == token(1))
        #expect(deadline.fired(at: at(1030), token(1), on: &wheel) == true)
        deadline.set(at(2000), token(1), on: &wheel)
        deadline.set(at(1500), token(1), on: &wheel)
        #expect(wheel.next(now: at(1530)) == token(1))
        deadline.clear()
        #expect(deadline.fired(at: at(1530), token(1), on: &wheel) == false)
        #expect(wheel.count == 0)
    }
}

@Suite struct SlabTests {
    @Test func `a token of a freed record finds nothing, also when its place is taken again`() {  // 218
        var slab = Slab<Int> { 0 }
        let first = slab.allocate()
        let token = Token(.client, index: first.index, generation: first.generation)
        slab.pointer(first.index).pointee = 7
        #expect(slab.isLive(token) == true)
        slab.free(first.index)
        #expect(slab.isLive(token) == false)
        let second = slab.allocate()
        #expect(second.index == first.index && second.generation != first.generation)
        #expect(slab.isLive(token) == false)
        #expect(slab.isLive(Token(.client, index: 1 << 30, generation: 0)) == false)
    }

    @Test func `records do not move while the slab grows`() {
        var slab = Slab<Int> { 0 }
        var places: [(UnsafeMutablePointer<Int>, Int)] = []
        for value in 0..<1000 {
            let place = slab.pointer(slab.allocate().index)
            place.pointee = value
            places.append((place, value))
        }
        #expect(places.allSatisfy { $0.0.pointee == $0.1 })
        #expect(slab.liveCount == 1000)
        for index in 0..<1000 { slab.free(index) }
        #expect(slab.liveCount == 0 && slab.capacity >= 1000)
    }

    @Test func `a token keeps its kind, place and generation`() {
        for kind in [Token.Kind.mailbox, .listener, .client, .backend, .exchange] {
            let token = Token(kind, index: 0x0fff_ffff, generation: 0x1ab_cdef)
            #expect(token.kind == kind && token.index == 0x0fff_ffff && token.generation == 0xab_cdef)
        }
        #expect(Token(raw: .max).kind == nil)
    }
}
