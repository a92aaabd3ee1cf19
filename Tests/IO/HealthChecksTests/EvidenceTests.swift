import Configuration
import Health
import Primitives
import Reactor
import Resilience
import Testing
import Upstream

@testable import HealthChecks

/// What traffic tells the checker, and what the checker tells the others.
@Suite struct EvidenceTests {
    private static let fine = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    private static let bad = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"

    private func start(_ policy: HealthPolicy) throws -> (bench: Bench, backend: Responder, instance: InstanceState) {
        let bench = try Bench()
        let backend = try Responder()
        let instance = bench.instance("a", [backend.backend.address], policy)
        bench.watch([instance], .get, policy)
        try bench.wait("the first verdict") {
            backend.answer(Self.fine)
            return bench.verdicts.count == 1
        }
        return (bench, backend, instance)
    }

    @Test func `a failed request brings a check at once, though the next one is an hour away`() throws {
        let (bench, backend, instance) = try start(.rare)
        let first = bench.verdicts[0].began
        var random = RandomSource(seed: 1)
        _ = instance.failed(after: .zero, at: Clock.monotonic, random: &random)
        bench.hurry(instance)
        try bench.wait("the second verdict") {
            backend.answer(Self.fine)
            return bench.verdicts.count == 2
        }
        #expect(bench.verdicts[1].began.since(first) < .seconds(10))
    }

    @Test func `a storm of failing requests brings one check per fast interval and one message at a time`() throws {
        var policy = HealthPolicy.rare
        policy.fastInterval = .milliseconds(100)
        policy.fall = 1_000_000
        let (bench, backend, instance) = try start(policy)
        var random = RandomSource(seed: 1)
        var told = 0
        let began = Clock.monotonic
        try bench.wait("a second") {
            backend.answer(Self.fine)
            for _ in 0..<100 {
                _ = instance.failed(after: .zero, at: Clock.monotonic, random: &random)
                if instance.raiseHurry() {
                    told += 1
                    bench.mailbox.post(.hurry(instance))
                }
            }
            return Clock.monotonic > began + .seconds(1)
        }
        let starts = bench.verdicts.map(\.began)
        for (a, b) in zip(starts, starts.dropFirst()) { #expect(b.since(a) >= .milliseconds(100)) }
        #expect((2...11).contains(starts.count), "\(starts.count)")
        #expect(told <= 3 * starts.count + 5, "\(told) messages")
    }

    @Test func `a check that runs with time to spare has to hurry when a request fails`() throws {
        let (bench, backend, instance) = try start(.rare)
        // Somebody was in a hurry before, for nothing.
        bench.hurry(instance)
        bench.turn()
        var policy = HealthPolicy.quick
        policy.fastTimeout = .milliseconds(60)
        bench.watch([instance], .get, policy)
        try bench.wait("the second check") { bench.loop.deadlines.count == 1 }
        var random = RandomSource(seed: 1)
        _ = instance.failed(after: .zero, at: Clock.monotonic, random: &random)
        bench.hurry(instance)
        #expect(try bench.verdict(after: 1) == .failed(.timedOut))
        #expect(bench.verdicts[1].took < .seconds(5))
        withExtendedLifetime(backend) {}
    }

    @Test func `an instance that dies under traffic is failed after a few fast intervals, and after it the checks wait longer`()
        throws
    {
        let (bench, backend, instance) = try start(.rare)
        var random = RandomSource(seed: 1)
        _ = instance.failed(after: .zero, at: Clock.monotonic, random: &random)
        bench.hurry(instance)
        try bench.wait("the failure") {
            backend.answer(Self.bad)
            return instance.health.phase == .failed
        }
        #expect(bench.verdicts.count == 3)
        let isTold = bench.events.contains {
            if case .health(let key, let change) = $0 { key == instance.key && change.to == .failed } else { false }
        }
        #expect(isTold)
        // And it comes back after 2 checks.
        try bench.wait("the recovery") {
            backend.answer(Self.fine)
            return instance.health.phase == .healthy
        }
        #expect(bench.verdicts.count == 5)
    }

    @Test func `a doubt that nobody was in a hurry about brings a check within seconds`() throws {
        let (bench, backend, instance) = try start(.rare)
        instance.change(at: Clock.monotonic) { $0.suspected() }
        try bench.wait("the second verdict") {
            backend.answer(Self.fine)
            return bench.verdicts.count == 2
        }
    }

    @Test func `hurry for an instance that nobody checks tells the checker once and hurts nobody`() throws {
        let bench = try Bench()
        let instance = bench.instance("a", [])
        bench.watch([instance], nil)
        bench.turn(1000)
        var told = 0
        for _ in 0..<1000 where instance.raiseHurry() {
            told += 1
            bench.mailbox.post(.hurry(instance))
            bench.turn()
        }
        #expect(told == 1)
        // Once it is checked, it is heard again.
        bench.watch([instance], .get, .rare)
        bench.turn(1000)
        #expect(instance.raiseHurry())
    }

    @Test func `2 passing checks in a row half open the breakers of the service and of its routes before their time`() throws {
        var policy = BreakerPolicy()
        policy.failureThreshold = 1
        policy.openTimeout = .seconds(60)
        policy.probeEarlyAfter = .zero
        let bench = try Bench()
        let backend = try Responder()
        let route = NamedBreaker(service: "api", route: "users", policy: policy, workers: 2)
        let now = Clock.monotonic
        var random = RandomSource(seed: 1)
        for breaker in [bench.service.breaker, route] {
            breaker.shared.adopt(policy, at: now)
            _ = breaker.shared.record(.connectFailed, duration: .zero, by: 0, at: now, random: &random)
            #expect(breaker.shared.snapshot.phase == .open)
        }
        bench.watch([bench.instance("a", [backend.backend.address])], .get, .quick, breakers: [route])
        try bench.wait("half open") {
            backend.answer(Self.fine)
            return route.shared.snapshot.phase == .halfOpen && bench.service.breaker.shared.snapshot.phase == .halfOpen
        }
        #expect(bench.verdicts.count == 2)
        let told = bench.events.compactMap { event -> String? in
            guard case .breaker(let service, let route, let change) = event, change.reason == .checksPassed else { return nil }
            return "\(service) \(route ?? "-") \(change.to)"
        }
        #expect(told == ["api - halfOpen", "api users halfOpen"])
    }

    @Test func `an open breaker half opens when its time is over, with no request and no check to ask for it`() throws {
        var policy = BreakerPolicy()
        policy.failureThreshold = 1
        policy.openTimeout = .milliseconds(50)
        let bench = try Bench()
        let now = Clock.monotonic
        var random = RandomSource(seed: 1)
        bench.service.breaker.shared.adopt(policy, at: now)
        _ = bench.service.breaker.shared.record(.connectFailed, duration: .zero, by: 0, at: now, random: &random)
        bench.watch([bench.instance("a", [])], nil)
        try bench.wait("half open") { bench.service.breaker.shared.snapshot.phase == .halfOpen }
        let isTold = bench.events.contains {
            if case .breaker("api", nil, let change) = $0 { change.reason == .openTimeElapsed } else { false }
        }
        #expect(isTold)
    }

    @Test func `an instance that was ejected comes back when its checks fail and then pass twice`() throws {
        let bench = try Bench()
        let (backend, other) = (try Responder(), try Responder())
        let instances = [bench.instance("a", [backend.backend.address]), bench.instance("b", [other.backend.address])]
        bench.watch(instances)
        func pass(_ first: String = Self.fine) {
            backend.answer(first)
            other.answer(Self.fine)
        }
        try bench.wait("both well") {
            pass()
            return instances.allSatisfy(\.load.takesRequests)
        }
        let now = Clock.monotonic
        var policy = OutlierDetector.Policy()
        policy.unreachable = 1
        policy.ejection = .seconds(3600)
        var random = RandomSource(seed: 1)
        bench.service.outliers.adopt(policy, instances: instances, at: now)
        _ = bench.service.outliers.record(.connectFailed, instances[0], duration: .zero, at: now, random: &random)
        #expect(!instances[0].load.takesRequests)
        func returned() -> Bool {
            bench.events.contains { if case .returned(let key) = $0 { key == instances[0].key } else { false } }
        }
        // Checks that pass all along do not see the fault.
        let before = bench.verdicts.count
        try bench.wait("checks that pass") {
            pass()
            return bench.verdicts.count >= before + 8
        }
        #expect(!returned())
        func last() -> CheckJudge.Verdict? { bench.verdicts.last { $0.address == "a" }?.verdict }
        try bench.wait("a check that fails") {
            pass(Self.bad)
            return last() == .failed(.status)
        }
        try bench.wait("its return") {
            pass()
            return returned()
        }
        #expect(instances[0].load.takesRequests)
        #expect(bench.verdicts.filter { $0.address == "a" }.suffix(2).allSatisfy { $0.verdict == .passed })
    }

    @Test func `an ejection ends when its time is over, with no check`() throws {
        let bench = try Bench()
        var health = HealthPolicy.quick
        health.hasChecks = false
        let instances = [bench.instance("a", [], health), bench.instance("b", [], health)]
        let now = Clock.monotonic
        var policy = OutlierDetector.Policy()
        policy.unreachable = 1
        policy.ejection = .milliseconds(50)
        var random = RandomSource(seed: 1)
        bench.service.outliers.adopt(policy, instances: instances, at: now)
        _ = bench.service.outliers.record(.connectFailed, instances[0], duration: .zero, at: now, random: &random)
        #expect(!instances[0].load.takesRequests)
        bench.watch(instances, nil)
        try bench.wait("its return") { instances[0].load.takesRequests }
        #expect(bench.events.contains { if case .returned(let key) = $0 { key == instances[0].key } else { false } })
    }

    @Test func `a failed instance without checks gets its trial within half a second of its due`() throws {
        let bench = try Bench()
        var policy = HealthPolicy.quick
        policy.hasChecks = false
        policy.backoffMax = .milliseconds(50)
        let instance = bench.instance("a", [], policy)
        bench.watch([instance], nil, policy)
        var random = RandomSource(seed: 1)
        for _ in 0..<3 { _ = instance.failed(after: .zero, at: Clock.monotonic, random: &random) }
        #expect(instance.health.phase == .failed)
        let start = Clock.monotonic
        try bench.wait("the trial") { instance.load.status.isOnTrial }
        #expect(Clock.monotonic.since(start) < .seconds(2))
        let isTold = bench.events.contains {
            if case .health(instance.key, let change) = $0 { change.reason == .trialBegan } else { false }
        }
        #expect(isTold)
    }
}
