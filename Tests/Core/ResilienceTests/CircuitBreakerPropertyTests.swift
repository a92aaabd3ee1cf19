import Primitives
import Testing

@testable import Resilience

@Suite struct CircuitBreakerPropertyTests {
    @Test(arguments: 0..<60)
    func `whatever happens, probes stay within their number, permits are conserved, and an open breaker is tested again`(
        seed: Int
    ) {
        var random = RandomSource(seed: UInt64(seed))
        var policy = BreakerPolicy()
        policy.openTimeout = .seconds(UInt64(1 + random.pick(20)))
        policy.halfOpenMax = 1 + random.pick(4)
        policy.successThreshold = 1 + random.pick(4)
        policy.probeTimeout = .seconds(UInt64(1 + random.pick(10)))
        if random.pick(2) == 0 { policy.slowCallDuration = .seconds(1) }
        var breaker = CircuitBreaker(policy: policy)
        var now = second(1)
        var plain = 0
        var permits: [CircuitBreaker.ProbePermit] = []
        var given: Set<CircuitBreaker.ProbePermit> = []
        for step in 0..<800 {
            let before = breaker.phase
            var change: CircuitBreaker.Transition?
            switch random.pick(9) {
            case 0, 1, 2:
                let decision = breaker.admit(at: now, random: &random)
                change = decision.transition
                switch decision.admission {
                case .admit:
                    plain += 1
                    #expect(breaker.phase == .closed)
                case .admitProbe(let permit):
                    #expect(given.insert(permit).inserted, "seed \(seed) step \(step): a permit was given twice")
                    permits.append(permit)
                    #expect(breaker.phase == .halfOpen)
                case .reject(let seconds):
                    #expect(seconds >= 1 && breaker.phase != .closed)
                }
            case 3, 4:
                guard let outcome = CallOutcome(rawValue: UInt8(random.pick(8))), plain > 0 else { continue }
                plain -= 1
                change = breaker.record(outcome, duration: .milliseconds(UInt64(random.pick(3000))), at: now, random: &random)
            case 5, 6:
                guard let outcome = CallOutcome(rawValue: UInt8(random.pick(8))), !permits.isEmpty else { continue }
                let permit = permits.remove(at: random.pick(permits.count))
                change = breaker.record(outcome, permit: permit, duration: .milliseconds(5), at: now, random: &random)
            case 7:
                if random.pick(3) == 0 { permits.removeAll() }  // All of them are lost.
                if random.pick(2) == 0 { change = breaker.checksPassed(at: now) } else { breaker.checkFailed() }
            default:
                now = now + .milliseconds(UInt64(random.pick(8000)))
            }
            #expect(breaker.probesInFlight <= policy.halfOpenMax, "seed \(seed) step \(step)")
            #expect((change.map(\.to) ?? before) == breaker.phase, "seed \(seed) step \(step): a transition was not told")

            var later = breaker
            var when = now
            var isTested = later.phase == .closed
            for _ in 0..<3 where !isTested {
                when = when + policy.openTimeoutMax + policy.probeTimeout
                if case .admitProbe = later.admit(at: when, random: &random).admission { isTested = true }
            }
            #expect(isTested, "seed \(seed) step \(step): it is never tested again")
        }
    }
}
