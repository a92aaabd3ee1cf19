import Primitives
import Testing

@testable import Resilience

@Suite struct CircuitBreakerTests {
    @Test func `5 failures in a row open it, and 4 with a success between them do not`() {
        var bench = Bench()
        bench.fail(4, 1)
        bench.record(.answered, 1)
        #expect(bench.fail(4, 1) == nil)
        let transition = bench.fail(1, 1)
        #expect(transition?.from == .closed && transition?.to == .open && transition?.reason == .consecutiveFailures)
    }

    @Test(arguments: [
        (CallOutcome.serverError, true), (.connectFailed, true), (.timedOut, true), (.broken, true),
        (.answered, false), (.stale, false), (.clientGone, false), (.givenUp, false),
    ])
    func `only what the backend did wrong opens it`(outcome: CallOutcome, opens: Bool) {  // 204
        var bench = Bench()
        for _ in 0..<1000 { bench.record(outcome, 1) }
        #expect((bench.breaker.phase == .open) == opens)
    }

    @Test func `the statuses 500, 502, 503 and 504 are failures and no others`() {
        for status in UInt16(100)...599 {
            let fails = [500, 502, 503, 504].contains(status)
            #expect(CallOutcome(status: status).weight == (fails ? .failure : .success), "\(status)")
        }
    }

    @Test func `a client that aborts does not interrupt a row of failures`() {
        var bench = Bench()
        bench.fail(4, 1)
        bench.record(.clientGone, 1)
        bench.record(.stale, 1)
        #expect(bench.fail(1, 1)?.to == .open)
    }

    @Test func `half of 20 requests failing within 10 s opens it, half of 18 does not`() {
        var bench = Bench()
        for _ in 0..<9 {
            bench.record(.answered, 1)
            #expect(bench.record(.serverError, 1) == nil)
        }
        bench.record(.answered, 1)
        #expect(bench.record(.serverError, 1)?.reason == .errorRate)
    }

    @Test func `failures older than the window do not count towards the rate`() {
        var bench = Bench()
        for _ in 0..<9 {
            bench.record(.serverError, 1)
            bench.record(.answered, 1)
        }
        for _ in 0..<10 { bench.record(.answered, 12) }
        #expect(bench.record(.serverError, 12) == nil)
        #expect(bench.breaker.phase == .closed)
    }

    @Test func `slow calls open it at their share, and never where no duration is set`() {
        var off = Bench()
        for _ in 0..<100 { off.record(.answered, 1, took: .seconds(100)) }
        #expect(off.breaker.phase == .closed)
        var on = Bench {
            $0.slowCallDuration = .seconds(1)
            $0.slowRatePermille = 500
        }
        for _ in 0..<10 { on.record(.answered, 1, took: .seconds(1)) }
        for _ in 0..<9 { #expect(on.record(.answered, 1, took: .milliseconds(1001)) == nil) }
        #expect(on.record(.answered, 1, took: .milliseconds(1001))?.reason == .slowCalls)
    }

    @Test func `an open breaker rejects with the seconds that are left, rounded up, and at least 1`() {
        var bench = Bench()
        bench.fail(5, 100)
        let until = bench.breaker.openUntil ?? .never
        let left = until.since(second(101)).nanoseconds
        #expect(bench.admit(101).admission == .reject(retryAfterSeconds: Int((left + 999_999_999) / 1_000_000_000)))
        let last = bench.breaker.admit(at: Instant(nanoseconds: until.nanoseconds - 1), random: &bench.random)
        #expect(last.admission == .reject(retryAfterSeconds: 1))
    }

    @Test func `an opening lasts 60 s less up to 10 percent, spread over that range`() {
        var spans: [Double] = []
        for seed in 0..<200 {
            var bench = Bench()
            bench.random = RandomSource(seed: UInt64(seed))
            bench.fail(5, 1)
            spans.append(bench.openSpan(from: 1))
        }
        #expect(spans.allSatisfy { (54...60).contains($0) })
        #expect((spans.min() ?? 0) < 54.5 && (spans.max() ?? 0) > 59.5)
    }

    @Test func `when its time is over 3 probes go at once and the fourth request does not`() {
        var bench = Bench()
        bench.fail(5, 0)
        let first = bench.admit(60)
        #expect(first.transition?.to == .halfOpen && first.transition?.reason == .openTimeElapsed)
        #expect(bench.probe(60) != nil && bench.probe(60) != nil)
        #expect(bench.admit(60).admission == .reject(retryAfterSeconds: 1))
        #expect(bench.breaker.probesInFlight == 3)
    }

    @Test func `3 successes of probes close it, and it admits all again`() {
        var bench = Bench()
        bench.fail(5, 0)
        for round in 0..<3 {
            let permit = bench.probe(60)
            #expect(permit != nil)
            let transition = bench.record(.answered, 60, permit: permit)
            #expect((transition?.reason == .probesSucceeded) == (round == 2))
        }
        for _ in 0..<10 { #expect(bench.admit(60).admission == .admit) }
    }

    @Test func `one failed probe opens it for twice as long, up to 300 s`() {
        var bench = Bench()
        bench.fail(5, 0)
        var now = 60.0
        for expected in [120.0, 240, 300, 300] {
            let permit = bench.probe(now)
            let other = bench.probe(now)
            #expect(bench.record(.timedOut, now, permit: permit)?.reason == .probeFailed)
            #expect(bench.record(.answered, now, permit: other) == nil)
            #expect((expected * 0.9...expected).contains(bench.openSpan(from: now)), "\(expected)")
            now += 301
        }
    }

    @Test func `it opens for twice as long when it had just closed, and for the first time again after a quiet while`() {
        for (pause, expected) in [(119.0, 120.0), (121, 60)] {
            var bench = Bench()
            bench.fail(5, 0)
            for _ in 0..<3 { bench.record(.answered, 60, permit: bench.probe(60)) }
            bench.fail(5, 60 + pause)
            #expect((expected * 0.9...expected).contains(bench.openSpan(from: 60 + pause)), "\(pause)")
        }
    }

    @Test func `a probe whose client left gives its place back and counts neither way`() {
        var bench = Bench()
        bench.fail(5, 0)
        for _ in 0..<50 {
            let permit = bench.probe(60)
            #expect(permit != nil)
            #expect(bench.record(.clientGone, 60, permit: permit) == nil)
        }
        #expect(bench.breaker.phase == .halfOpen && bench.breaker.probesInFlight == 0)
    }

    @Test func `a permit is good until its probe has ended or the half-open state that gave it is over`() {
        var bench = Bench()
        bench.fail(5, 0)
        guard let first = bench.probe(60), let second = bench.probe(60) else {
            Issue.record("half open, and no permit")
            return
        }
        #expect(bench.breaker.holds(first) && bench.breaker.holds(second))
        bench.record(.clientGone, 60, permit: first)
        #expect(!bench.breaker.holds(first) && bench.breaker.holds(second))
        let opened = bench.record(.timedOut, 60.5, permit: bench.probe(60))
        #expect(opened?.until == bench.breaker.openUntil && opened?.until != nil)
        #expect(!bench.breaker.holds(second))
        #expect(bench.probe(181) != nil)
        #expect(!bench.breaker.holds(second), "it is of the half-open state before")
    }

    @Test func `a probe that never returns is a failure at its timeout, and its late success changes nothing`() {
        var bench = Bench { $0.probeTimeout = .seconds(5) }
        bench.fail(5, 0)
        let lost = bench.probe(60)
        #expect(bench.admit(64.9).transition == nil)
        let decision = bench.admit(65)
        #expect(decision.transition?.reason == .probeTimedOut && decision.transition?.to == .open)
        #expect(bench.record(.answered, 66, permit: lost) == nil)
        #expect(bench.breaker.phase == .open)
    }

    @Test func `a success that comes after its timeout is that of a probe that timed out`() {
        var bench = Bench { $0.probeTimeout = .seconds(5) }
        bench.fail(5, 0)
        let late = bench.probe(60)
        #expect(bench.record(.answered, 65, permit: late)?.reason == .probeTimedOut)
    }

    @Test func `an outcome is counted once, however often it is told`() {
        var bench = Bench()
        bench.fail(5, 0)
        let permit = bench.probe(60)
        for _ in 0..<5 { #expect(bench.record(.answered, 60, permit: permit) == nil) }
        #expect(bench.breaker.phase == .halfOpen)
    }

    @Test func `a permit of an earlier half-open state is worth nothing in a later one`() {
        var bench = Bench { $0.openTimeout = .seconds(1) }
        bench.fail(5, 0)
        let old = bench.probe(1)
        bench.record(.serverError, 1, permit: bench.probe(1))
        let new = bench.probe(10)
        #expect(new != nil && bench.record(.serverError, 10, permit: old) == nil)
        #expect(bench.breaker.phase == .halfOpen && bench.breaker.probesInFlight == 1)
    }

    @Test func `calls that began before it closed do not open it again when they fail`() {
        var bench = Bench { $0.openTimeout = .seconds(1) }
        bench.fail(5, 0)
        for _ in 0..<3 { bench.record(.answered, 2, permit: bench.probe(2)) }
        for _ in 0..<100 { bench.record(.timedOut, 3, took: .seconds(2)) }
        #expect(bench.breaker.phase == .closed)
        for _ in 0..<5 { bench.record(.timedOut, 3, took: .milliseconds(900)) }
        #expect(bench.breaker.phase == .open)
    }

    @Test func `late outcomes of requests without a permit change nothing while it is not closed`() {
        var bench = Bench()
        bench.fail(5, 0)
        let open = bench.breaker
        bench.fail(100, 1)
        bench.record(.answered, 1)
        #expect(bench.breaker == open)
        _ = bench.admit(60)
        let half = bench.breaker
        bench.fail(100, 60)
        #expect(bench.breaker == half)
    }

    @Test func `passing checks half open it at once, but not within its first second`() {
        var bench = Bench()
        bench.fail(5, 10)
        #expect(bench.breaker.checksPassed(at: second(10.9)) == nil)
        #expect(bench.breaker.checksPassed(at: second(11))?.reason == .checksPassed)
        #expect(bench.probe(11) != nil)
    }

    @Test func `checks that pass while probes fail have no say until one has failed`() {
        var bench = Bench()
        bench.fail(5, 10)
        _ = bench.breaker.checksPassed(at: second(11))
        bench.record(.serverError, 11, permit: bench.probe(11))
        #expect(bench.breaker.checksPassed(at: second(20)) == nil)
        bench.breaker.checkFailed()
        #expect(bench.breaker.checksPassed(at: second(21))?.to == .halfOpen)
    }

    @Test func `checks do not half open it where that is switched off, nor a breaker that is closed`() {
        var off = Bench { $0.probeEarly = false }
        off.fail(5, 0)
        #expect(off.breaker.checksPassed(at: second(20)) == nil)
        var closed = Bench()
        #expect(closed.breaker.checksPassed(at: second(20)) == nil)
    }

    @Test func `too many slow probes open it again instead of closing it`() {
        var bench = Bench {
            $0.slowCallDuration = .seconds(1)
            $0.slowRatePermille = 500
        }
        bench.fail(5, 0)
        bench.record(.answered, 60, permit: bench.probe(60), took: .seconds(2))
        bench.record(.answered, 60, permit: bench.probe(60), took: .seconds(2))
        #expect(bench.record(.answered, 60, permit: bench.probe(60))?.reason == .probesSlow)
    }

    @Test func `a trip opens any state for the first time and a reset closes any state with nothing remembered`() {
        for failures in [0, 5] {
            for probes in [0, 1] {
                var bench = Bench()
                bench.fail(failures, 0)
                if failures == 5, probes == 1 { _ = bench.probe(60) }
                let tripped = bench.breaker.trip(at: second(61), random: &bench.random)
                #expect(tripped.to == .open && tripped.reason == .tripped)
                #expect((54...60).contains(bench.openSpan(from: 61)))
                #expect(bench.probe(121) != nil)
                let reset = bench.breaker.reset(at: second(122))
                #expect(reset.to == .closed && reset.reason == .reset)
                bench.fail(5, 123)
                #expect((54...60).contains(bench.openSpan(from: 123)))
            }
        }
    }

    @Test func `a reload keeps the state and shortens an opening that is now too long`() {
        var bench = Bench()
        bench.fail(5, 0)
        var policy = BreakerPolicy()
        policy.openTimeout = .seconds(1)
        policy.openTimeoutMax = .seconds(5)
        bench.breaker.adopt(policy, at: second(10))
        #expect(bench.breaker.openUntil == second(15))
        #expect(bench.probe(15) != nil)
    }

    @Test func `every event in every state leads where the table says`() {
        typealias Row = (event: String, closed: CircuitBreaker.Phase, open: CircuitBreaker.Phase, half: CircuitBreaker.Phase)
        let table: [Row] = [
            ("failure", .closed, .open, .halfOpen), ("5 failures", .open, .open, .halfOpen),
            ("probe fails", .closed, .open, .open), ("3 probes succeed", .closed, .open, .closed),
            ("checks pass", .closed, .halfOpen, .halfOpen), ("check fails", .closed, .open, .halfOpen),
            ("time passes", .closed, .halfOpen, .open), ("trip", .open, .open, .open), ("reset", .closed, .closed, .closed),
        ]
        for row in table {
            for (from, expected) in [(CircuitBreaker.Phase.closed, row.closed), (.open, row.open), (.halfOpen, row.half)] {
                var bench = Bench()
                if from != .closed { bench.fail(5, 0) }
                var permits: [CircuitBreaker.ProbePermit?] = [nil, nil, nil]
                if from == .halfOpen { permits = (0..<3).map { _ in bench.probe(60) } }
                let now = from == .halfOpen ? 60.5 : 5
                switch row.event {
                case "failure": bench.fail(1, now)
                case "5 failures": bench.fail(5, now)
                case "probe fails": bench.record(.serverError, now, permit: permits[0])
                case "3 probes succeed": for permit in permits { bench.record(.answered, now, permit: permit) }
                case "checks pass": _ = bench.breaker.checksPassed(at: second(now))
                case "check fails": bench.breaker.checkFailed()
                case "time passes": _ = bench.breaker.tick(at: second(200), random: &bench.random)
                case "trip": _ = bench.breaker.trip(at: second(now), random: &bench.random)
                default: _ = bench.breaker.reset(at: second(now))
                }
                #expect(bench.breaker.phase == expected, "\(row.event) while \(from)")
            }
        }
    }
}

@Suite struct CircuitBreakerCulpritTests {
    private func fail(_ bench: inout Bench, _ instance: UInt32, times: Int) -> CircuitBreaker.Transition? {
        var last: CircuitBreaker.Transition?
        for _ in 0..<times {
            last = bench.breaker.record(
                .timedOut, duration: .milliseconds(1), at: second(1), random: &bench.random, culprit: .instance(instance))
        }
        return last
    }

    @Test func `failures in a row of one instance among several do not open it, and one of another does`() {
        var bench = Bench { $0.minimumRequests = 1000 }
        #expect(fail(&bench, 1, times: 50) == nil)
        #expect(bench.breaker.phase == .closed)
        #expect(fail(&bench, 2, times: 1)?.reason == .consecutiveFailures)
    }

    @Test func `five failures of two instances open it with the fifth`() {
        var bench = Bench { $0.minimumRequests = 1000 }
        #expect(fail(&bench, 1, times: 2) == nil)
        #expect(fail(&bench, 2, times: 2) == nil)
        #expect(fail(&bench, 1, times: 1)?.to == .open)
    }

    @Test func `a success forgets who failed before it`() {
        var bench = Bench { $0.minimumRequests = 1000 }
        #expect(fail(&bench, 1, times: 4) == nil)
        bench.record(.answered, 1)
        #expect(fail(&bench, 2, times: 20) == nil)
    }

    @Test func `the share of failures counts whoever they are of`() {
        var bench = Bench()
        #expect(fail(&bench, 1, times: 20)?.reason == .errorRate)
    }
}
