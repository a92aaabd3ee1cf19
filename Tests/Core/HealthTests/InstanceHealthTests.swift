import Primitives
import Testing

@testable import Health

@Suite struct InstanceHealthTests {
    @Test func `with checks a new instance gets no traffic until the first one passes`() {
        var bench = Bench()
        #expect(bench.health.eligibility(at: second(1)) == .none)
        let change = bench.pass(1)
        #expect(change?.from == .unknown && change?.to == .healthy && change?.reason == .checksPassed)
        #expect(bench.health.eligibility(at: second(1)) == .share(1000))
    }

    @Test func `without checks a new instance is healthy at once`() {
        let bench = Bench(.unknown) { $0.hasChecks = false }
        #expect(bench.health.phase == .healthy && bench.health.eligibility(at: second(0)) == .share(1000))
    }

    @Test func `3 failed checks in a row fail it, and a passing one between them does not`() {
        var bench = Bench(.healthy)
        bench.fail(1)
        bench.fail(2)
        bench.pass(3)
        bench.fail(4)
        #expect(bench.fail(5) == nil)
        #expect(bench.fail(6)?.reason == .checksFailed)
        #expect(bench.health.eligibility(at: second(6)) == .none)
    }

    @Test func `failures in traffic and failed checks add up, whichever comes last`() {
        for checks in 0...3 {
            var bench = Bench(.healthy)
            var last: HealthChange?
            for _ in 0..<(3 - checks) { last = bench.trafficFail(1) }
            for _ in 0..<checks { last = bench.fail(1) }
            #expect(last?.to == .failed && last?.reason == (checks == 0 ? .trafficFailed : .checksFailed), "\(checks)")
        }
    }

    @Test func `an answer ends the row of failures in traffic and not that of the checks`() {
        var bench = Bench(.healthy)
        bench.trafficFail(1)
        bench.trafficFail(1)
        #expect(!bench.health.isClean)
        bench.answer(1)
        #expect(bench.health.isClean && bench.health.pace == .fast)
        bench.trafficFail(2)
        #expect(bench.trafficFail(2) == nil)
        bench.pass(3)
        bench.fail(4)
        bench.fail(4)
        bench.answer(4)
        #expect(bench.fail(5)?.to == .failed)
    }

    @Test func `failures that began before it came up are no evidence`() {
        var bench = Bench(.failed)
        bench.pass(10)
        bench.pass(11)
        #expect(bench.health.phase == .healthy)
        for _ in 0..<100 { bench.trafficFail(20, took: .seconds(30)) }
        #expect(bench.health.phase == .healthy && bench.health.pace == .steady)
        for _ in 0..<3 { bench.trafficFail(20, took: .seconds(1)) }
        #expect(bench.health.phase == .failed)
    }

    @Test func `a failed instance comes back after 2 passing checks in a row and not through traffic`() {
        var bench = Bench(.failed)
        bench.pass(1)
        bench.fail(2)
        #expect(bench.pass(3) == nil)
        bench.answer(3)
        #expect(bench.health.phase == .failed)
        #expect(bench.pass(4)?.to == .healthy)
    }

    @Test func `a suspicion speeds up the checks and takes nothing away`() {
        var bench = Bench(.healthy)
        #expect(bench.health.pace == .steady)
        for _ in 0..<100 { bench.health.suspected() }
        #expect(bench.health.pace == .fast && bench.health.eligibility(at: second(1)) == .share(1000))
        bench.pass(2)
        #expect(bench.health.pace == .steady)
    }

    @Test func `a degraded instance gets half of its weight`() {
        let bench = Bench(.degraded)
        #expect(bench.health.phase == .degraded && bench.health.eligibility(at: second(1)) == .share(500))
    }

    @Test func `slow traffic, slow checks and server errors each degrade it`() {
        var slow = Bench(.healthy) { $0.degradedLatency = .milliseconds(100) }
        #expect(slow.observe(1, 100, each: .milliseconds(100)) == nil)
        #expect(slow.observe(2, 200, each: .milliseconds(200))?.reason == .slowTraffic)
        var checks = Bench(.healthy)
        #expect(checks.pass(1, took: .milliseconds(2500)) == nil)
        for i in 2..<9 where checks.pass(Double(i), took: .milliseconds(2600))?.reason == .slowChecks { return }
        Issue.record("slow checks did not degrade it")
    }

    @Test func `more than 10 percent of server errors degrade it, but not of a handful of requests`() {
        var few = Bench(.healthy)
        #expect(few.observe(1, 19, errors: 19) == nil)
        var exactly = Bench(.healthy)
        #expect(exactly.observe(1, 100, errors: 10) == nil)
        #expect(exactly.observe(1, 10, errors: 10)?.reason == .serverErrors)
    }

    @Test func `it leaves degraded after 10 s below 80 percent of the threshold and not while it swings around it`() {
        var bench = Bench(.healthy) { $0.degradedLatency = .milliseconds(100) }
        _ = bench.observe(1, 1000, each: .milliseconds(110))
        #expect(bench.health.phase == .degraded)
        for i in 2..<60 { #expect(bench.observe(Double(i), 1000, each: .milliseconds(90)) == nil) }
        var recovered: Double?
        for i in 60..<200 where recovered == nil {
            if bench.observe(Double(i), 1000, each: .milliseconds(50))?.reason == .recovered { recovered = Double(i) }
        }
        #expect((70.0...90).contains(recovered ?? 0), "\(recovered ?? 0)")
    }

    @Test func `a degraded instance without traffic becomes healthy by itself`() {
        var bench = Bench(.healthy) { $0.degradedLatency = .milliseconds(100) }
        _ = bench.observe(1, 10, each: .milliseconds(200))
        #expect(bench.health.phase == .degraded)
        var changes = 0
        for i in 2..<60 where bench.health.tick(at: second(Double(i))) != nil { changes += 1 }
        #expect(changes == 1 && bench.health.phase == .healthy)
    }

    @Test func `5 changes within 60 s double the number of checks that bring it back, up to 16, and a quiet minute restores it`()
    {
        var bench = Bench(.healthy)
        var flapping = 0
        var now = 0.0
        for _ in 0..<20 {
            for _ in 0..<3 where bench.fail(now)?.isFlapping == true { flapping += 1 }
            while bench.health.phase == .failed {
                now += 0.5
                if bench.pass(now)?.isFlapping == true { flapping += 1 }
            }
        }
        #expect(bench.health.riseNow == 16 && flapping == 3)
        for _ in 0..<3 { bench.fail(now + 61) }
        #expect(bench.health.riseNow == 2)
    }

    @Test func `4 changes within 60 s, or 5 within more, change nothing`() {
        var bench = Bench(.healthy)
        for start in [1.0, 30, 62] {
            for _ in 0..<3 { bench.fail(start) }
            bench.pass(start)
            bench.pass(start)
        }
        #expect(bench.health.riseNow == 2)
    }

    @Test func `the weight of an instance that came back grows from a tenth, and a new group starts in full`() {
        var bench = Bench(.failed) { $0.slowStart = .seconds(30) }
        bench.pass(100)
        bench.pass(100)
        for (at, share) in [(100.0, 100), (101, 100), (103, 100), (115, 500), (130, 1000), (500, 1000)] {
            #expect(bench.health.eligibility(at: second(at)) == .share(share), "\(at)")
        }
        #expect(bench.health.slowStartSince == second(100))
        let fresh = Bench(.healthy) { $0.slowStart = .seconds(30) }
        #expect(fresh.health.slowStartSince == nil)
        #expect(fresh.health.eligibility(at: second(0)) == .share(1000))
        var policy = HealthPolicy()
        policy.slowStart = .seconds(30)
        var added = InstanceHealth(policy: policy, isAdded: true, at: second(0))
        _ = added.checkPassed(after: .zero, at: second(1))
        #expect(added.eligibility(at: second(1)) == .share(100))
    }

    @Test func `a drained instance gets nothing in any state, and its health goes on`() {
        for phase in InstanceHealth.Phase.allCases {
            var bench = Bench(phase)
            bench.health.setDraining(true)
            #expect(bench.health.eligibility(at: second(1)) == .none)
            #expect(bench.health.phase == phase)
            bench.pass(1)
            bench.pass(1)
            #expect(bench.health.phase == (phase == .degraded ? .degraded : .healthy))
            #expect(bench.health.eligibility(at: second(1)) == .none)
            bench.health.setDraining(false)
            #expect(bench.health.eligibility(at: second(1)) != .none)
        }
    }

    @Test func `without checks a failed instance is tried again after 1, 2, 4 up to 30 s, one request at a time`() {
        var bench = Bench(.unknown) { $0.hasChecks = false }
        var now = 1.0
        for _ in 0..<3 { bench.trafficFail(now) }
        #expect(bench.health.phase == .failed)
        for wait in [1.0, 2, 4, 8, 16, 30, 30] {
            #expect(bench.health.tick(at: second(now + min(wait * 0.79, 23.9))) == nil, "\(wait)")
            let change = bench.health.tick(at: second(now + min(wait * 1.21, 30)))
            #expect(change?.to == .unknown && change?.reason == .trialBegan, "\(wait)")
            now += 31
            #expect(bench.health.eligibility(at: second(now)) == .trial)
            #expect(bench.trafficFail(now)?.reason == .trialFailed)
        }
        _ = bench.health.tick(at: second(now + 30))
        #expect(bench.answer(now + 30)?.reason == .trialSucceeded)
        #expect(bench.health.phase == .healthy)
    }

    @Test func `without checks an instance that stays dead does not flap, however often it is tried`() {
        var bench = Bench(.unknown) {
            $0.hasChecks = false
            $0.backoffMax = .seconds(1)
        }
        var flapping = 0
        for _ in 0..<3 where bench.trafficFail(1)?.isFlapping == true { flapping += 1 }
        for i in 2..<60 {
            if bench.health.tick(at: second(Double(i) + 0.5))?.isFlapping == true { flapping += 1 }
            #expect(bench.health.eligibility(at: second(Double(i) + 0.5)) == .trial)
            if bench.trafficFail(Double(i) + 0.5)?.isFlapping == true { flapping += 1 }
        }
        #expect(flapping == 0)
    }

    @Test func `without checks an instance that answers each trial and fails again flaps, and is tried later`() {
        var bench = Bench(.unknown) { $0.hasChecks = false }
        var now = 1.0
        var waits: [Double] = []
        for _ in 0..<4 {
            for _ in 0..<3 { bench.trafficFail(now) }
            let failed = now
            while bench.health.phase == .failed {
                now += 0.1
                _ = bench.health.tick(at: second(now))
            }
            waits.append(now - failed)
            bench.answer(now)
            #expect(bench.health.phase == .healthy)
        }
        #expect(waits[0] < 1.35 && waits[1] < 1.35 && (waits.last ?? 0) > 1.5, "\(waits)")
    }

    @Test func `what failed in the time before a trial is no evidence against it`() {
        var bench = Bench(.unknown) { $0.hasChecks = false }
        for _ in 0..<3 { bench.trafficFail(1) }
        #expect(bench.health.tick(at: second(3))?.reason == .trialBegan)
        #expect(bench.trafficFail(4, took: .seconds(30)) == nil)
        #expect(bench.health.eligibility(at: second(4)) == .trial)
        #expect(bench.trafficFail(4, took: .seconds(1))?.reason == .trialFailed)
    }

    @Test func `a check that ends after the checks were taken away changes nothing`() {
        var bench = Bench(.healthy) { $0.fall = 1 }
        var policy = bench.health.policy
        policy.hasChecks = false
        bench.health.adopt(policy, at: second(1))
        #expect(bench.fail(2) == nil && bench.health.phase == .healthy)
        bench.trafficFail(3)
        #expect(bench.pass(4) == nil && bench.pass(4) == nil && bench.health.phase == .failed)
    }

    @Test func `failed checks do not count any more once the checks were taken away`() {
        var bench = Bench(.healthy)
        bench.fail(1)
        bench.fail(1)
        var policy = HealthPolicy()
        policy.hasChecks = false
        bench.health.adopt(policy, at: second(2))
        bench.trafficFail(3)
        bench.answer(3)
        bench.trafficFail(4)
        #expect(bench.trafficFail(4) == nil)
        #expect(bench.trafficFail(4)?.to == .failed)
    }

    @Test func `a reload that takes the checks away leaves nobody without traffic for ever`() {
        var policy = HealthPolicy()
        policy.hasChecks = false
        var unknown = Bench()
        unknown.health.adopt(policy, at: second(5))
        #expect(unknown.health.eligibility(at: second(5)) == .share(1000))
        var failed = Bench(.failed)
        failed.health.adopt(policy, at: second(5))
        #expect(failed.health.tick(at: second(6))?.to == .unknown)
    }

    @Test func `every event in every state leads where the table says`() {
        typealias Phase = InstanceHealth.Phase
        let table: [(event: String, unknown: Phase, healthy: Phase, degraded: Phase, failed: Phase)] = [
            ("check passes", .healthy, .healthy, .degraded, .failed), ("checks pass", .healthy, .healthy, .degraded, .healthy),
            ("check fails", .unknown, .healthy, .degraded, .failed), ("checks fail", .failed, .failed, .failed, .failed),
            ("traffic fails", .unknown, .failed, .failed, .failed), ("traffic answers", .unknown, .healthy, .degraded, .failed),
            ("suspicion", .unknown, .healthy, .degraded, .failed), ("errors", .unknown, .degraded, .degraded, .failed),
            ("time", .unknown, .healthy, .degraded, .failed), ("drain", .unknown, .healthy, .degraded, .failed),
        ]
        for row in table {
            let expected: [(Phase, Phase)] = [
                (.unknown, row.unknown), (.healthy, row.healthy), (.degraded, row.degraded), (.failed, row.failed),
            ]
            for (from, to) in expected {
                var bench = Bench(from)
                switch row.event {
                case "check passes": bench.pass(1)
                case "checks pass": for _ in 0..<3 { bench.pass(1) }
                case "check fails": bench.fail(1)
                case "checks fail": for _ in 0..<3 { bench.fail(1) }
                case "traffic fails": for _ in 0..<3 { bench.trafficFail(1) }
                case "traffic answers": for _ in 0..<3 { bench.answer(1) }
                case "suspicion": bench.health.suspected()
                case "errors": _ = bench.observe(1, 100, errors: 50)
                case "time": _ = bench.health.tick(at: second(5))
                default: bench.health.setDraining(true)
                }
                #expect(bench.health.phase == to, "\(row.event) while \(from)")
            }
        }
    }
}
