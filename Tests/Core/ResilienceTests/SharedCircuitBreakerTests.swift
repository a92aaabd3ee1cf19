import Primitives
import Testing

@testable import Resilience

@Suite struct SharedCircuitBreakerTests {
    @Test(arguments: 0..<40)
    func `it decides as the machine for one thread does, whichever worker an event comes from`(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var policy = BreakerPolicy()
        policy.openTimeout = .seconds(4)
        policy.failureThreshold = 4
        if seed % 2 == 0 { policy.slowCallDuration = .seconds(2) }
        let shared = SharedCircuitBreaker(policy: policy, workers: 3)
        var plain = CircuitBreaker(policy: policy)
        var dice = (RandomSource(seed: 9), RandomSource(seed: 9))
        var now = second(5)
        var permits: [CircuitBreaker.ProbePermit] = []
        for step in 0..<700 {
            let outcome = CallOutcome(rawValue: UInt8(random.pick(8))) ?? .answered
            switch random.pick(10) {
            case 0, 1:
                let (a, b) = (shared.admit(at: now, random: &dice.0), plain.admit(at: now, random: &dice.1))
                #expect(a == b, "seed \(seed) step \(step)")
                if case .admitProbe(let permit) = a.admission { permits.append(permit) }
            case 2, 3, 4, 5, 6:
                // Only the shared one counts a success that began before it closed.
                let sinceClosed = now.since(plain.closedSince ?? second(0))
                let took = min(.milliseconds(UInt64(random.pick(3000))), sinceClosed)
                let told = random.pick(2) == 0 ? CallOutcome.answered : outcome
                let a = shared.record(told, duration: took, by: random.pick(3), at: now, random: &dice.0)
                #expect(a == plain.record(told, duration: took, at: now, random: &dice.1), "seed \(seed) step \(step)")
            case 7:
                let permit = permits.popLast()
                let a = shared.record(outcome, permit: permit, duration: .zero, by: 0, at: now, random: &dice.0)
                #expect(a == plain.record(outcome, permit: permit, duration: .zero, at: now, random: &dice.1))
            case 8:
                #expect(shared.checksPassed(at: now) == plain.checksPassed(at: now))
            default:
                now = now + .milliseconds(UInt64(random.pick(1500)))
            }
            #expect(shared.isClosed == (plain.phase == .closed))
            #expect(shared.snapshot.phase == plain.phase && shared.snapshot.openUntil == plain.openUntil)
            if shared.snapshot.phase != plain.phase { return }
        }
    }

    @Test func `1000 requests at once on a half-open breaker get 3 probes`() async {  // 204
        let shared = SharedCircuitBreaker(policy: BreakerPolicy(), workers: 8)
        var random = RandomSource(seed: 3)
        _ = shared.trip(at: second(0), random: &random)
        let probes = Count()
        let transitions = Count()
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var random = RandomSource(seed: UInt64(task))
                    for _ in 0..<125 {
                        let decision = shared.admit(at: second(61), random: &random)
                        if case .admitProbe = decision.admission { probes.add(1) }
                        if decision.admission == .admit { probes.add(1000) }
                        if decision.transition != nil { transitions.add(1) }
                    }
                }
            }
        }
        #expect(probes.value == 3)
        #expect(transitions.value == 1)
    }

    @Test func `successes that other workers counted keep one worker's failures below the rate`() {
        var random = RandomSource(seed: 1)
        for (successes, opens) in [(100, false), (20, true)] {
            let shared = SharedCircuitBreaker(policy: BreakerPolicy(), workers: 2)
            for _ in 0..<successes { _ = shared.record(.answered, duration: .zero, by: 1, at: second(1), random: &random) }
            for _ in 0..<20 {
                for _ in 0..<3 { _ = shared.record(.serverError, duration: .zero, by: 0, at: second(2), random: &random) }
                _ = shared.record(.answered, duration: .zero, by: 1, at: second(2), random: &random)
            }
            #expect((shared.snapshot.phase == .open) == (opens || successes < 60), "\(successes)")
        }
    }

    @Test func `permits that are taken and given back by many threads leave none in flight`() async {
        var policy = BreakerPolicy()
        policy.successThreshold = .max
        let shared = SharedCircuitBreaker(policy: policy, workers: 4)
        var random = RandomSource(seed: 3)
        _ = shared.trip(at: second(0), random: &random)
        let most = Count()
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var random = RandomSource(seed: UInt64(worker))
                    for round in 0..<2000 {
                        guard case .admitProbe(let permit) = shared.admit(at: second(61), random: &random).admission else {
                            continue
                        }
                        most.raise(to: shared.snapshot.probesInFlight)
                        let outcome: CallOutcome = round % 2 == 0 ? .answered : .clientGone
                        _ = shared.record(outcome, permit: permit, duration: .zero, by: worker, at: second(61), random: &random)
                    }
                }
            }
        }
        #expect(shared.snapshot.probesInFlight == 0)
        #expect((1...3).contains(most.value))
    }
}
