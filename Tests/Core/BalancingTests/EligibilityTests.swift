import Balancing
import Primitives
import Testing

@Suite struct EligibilityTests {
    static let algorithms: [Balancer.Algorithm] = [
        .roundRobin, .leastConnections, .addressHash, .consistentHash, .peakEWMA, .random,
    ]

    @Test(arguments: algorithms, [1, 3, 40])
    func `nothing goes to an instance that takes no requests, whatever happens between the picks`(
        algorithm: Balancer.Algorithm, count: Int
    ) {
        for seed in UInt64(1)...8 {
            var dice = RandomSource(seed: seed)
            var policy = Balancer.Policy(algorithm)
            policy.slowStart = SlowStart(window: .seconds(5))
            var fixture = Fixture(policy, weights: (0..<count).map { _ in Int.random(in: 0...3, using: &dice) }, workers: 2)
            var time = 1000.0
            for _ in 0..<300 {
                time += Double.random(in: 0...1, using: &dice)
                let load = fixture.loads[Int.random(in: 0..<count, using: &dice)]
                switch Int.random(in: 0..<10, using: &dice) {
                case 0: load.healthChanged(to: .healthy, at: .seconds(time))
                case 1: load.healthChanged(to: .degraded, at: .seconds(time))
                case 2: load.healthChanged(to: .failed, at: .seconds(time))
                case 3: load.healthChanged(to: .unknown, at: .seconds(time))
                case 4: load.ejected(at: .seconds(time))
                case 5: load.ejectionEnded(at: .seconds(time))
                case 6: load.drained(at: .seconds(time))
                case 7: load.undrained(at: .seconds(time))
                case 8: load.requestStarted()
                default: load.latencyMeasured(.milliseconds(7), failed: true, decay: .seconds(10), at: .seconds(time))
                }
                let tried = (0..<Int.random(in: 0...3, using: &dice)).map { _ in Int.random(in: 0..<count, using: &dice) }
                let request = Balancer.Request(key: HashKey(bits: dice.next()), session: Int.random(in: -1...count, using: &dice))
                let picked = fixture.pick(
                    request, worker: Int.random(in: 0...1, using: &dice), excluding: tried, at: .seconds(time))
                let possible = fixture.loads.indices.filter { i in
                    fixture.loads[i].takesRequests && !tried.contains(i)
                        && (fixture.workers[0].weight(of: i) > 0 || i == request.session)
                }
                #expect(picked.map { possible.contains($0) } ?? possible.isEmpty, "\(String(describing: picked)) of \(possible)")
            }
        }
    }

    @Test(arguments: algorithms)
    func `all weights 0 is nobody, and so are no instances`(algorithm: Balancer.Algorithm) {
        var zero = Fixture(algorithm, weights: [0, 0, 0])
        #expect(zero.pick(key: 1) == nil)
        #expect(zero.pick() == nil)
        #expect(zero.pick(Balancer.Request(session: 2)) == 2)
        var none = Fixture(algorithm, weights: [])
        #expect(none.pick(key: 1) == nil)
    }

    @Test(arguments: algorithms)
    func `one instance gets everything until it was tried`(algorithm: Balancer.Algorithm) {
        var fixture = Fixture(algorithm, weights: [3])
        for key in UInt64(0)..<10 { #expect(fixture.pick(key: key) == 0) }
        #expect(fixture.pick(excluding: [0]) == nil)
        fixture.loads[0].healthChanged(to: .failed, at: .seconds(1))
        #expect(fixture.pick() == nil)
    }

    @Test(arguments: algorithms)
    func `the last one that was not tried is found among a hundred`(algorithm: Balancer.Algorithm) {
        var fixture = Fixture(algorithm, weights: [Int](repeating: 1, count: 100))
        for i in 0..<93 { fixture.loads[i].healthChanged(to: .failed, at: .seconds(1)) }
        for key in UInt64(0)..<30 {
            let request = Balancer.Request(key: HashKey(bits: key))
            #expect(fixture.pick(request, excluding: [93, 94, 95, 96, 97, 98]) == 99)
            #expect(fixture.pick(request, excluding: [93, 94, 95, 96, 97, 98, 99]) == nil)
        }
    }

    @Test(arguments: [Balancer.Algorithm.roundRobin, .leastConnections, .peakEWMA, .random])
    func `a degraded instance gets half its weight, and its whole when all are degraded`(algorithm: Balancer.Algorithm) {
        var fixture = Fixture(algorithm, weights: [1, 1, 1], workers: 2)
        fixture.loads[0].healthChanged(to: .degraded, at: .seconds(1))
        // Of two, one of whom is held back half the time, p2c gives half of a third, and the others the rest.
        let counts = fixture.counts(100_000)
        let half = algorithm == .peakEWMA ? 1.0 / 6 : 0.2
        #expect(abs(Double(counts[0]) / 100_000 - half) < 0.02, "\(counts)")
        for load in fixture.loads { load.healthChanged(to: .degraded, at: .seconds(1)) }
        #expect(distance(fixture.counts(100_000), from: [1, 1, 1]) < 0.05)
    }

    @Test func `the share of a degraded instance under round robin is exact`() {
        var fixture = Fixture(.roundRobin, weights: [2, 1, 1], workers: 2)
        fixture.loads[0].healthChanged(to: .degraded, at: .seconds(1))
        #expect(distance(fixture.counts(100_000), from: [1, 1, 1]) < 0.01)
    }

    @Test func `gone through one by one, the instances come round without those that take no requests`() {
        var fixture = Fixture(.roundRobin, weights: [1, 1, 0, 1, 1])
        fixture.loads[3].ejected(at: .seconds(1))
        var order: [Int?] = []
        var instance = 0
        for _ in 0..<4 {
            let found = fixture.workers[0].next(after: instance, excluding: TriedInstances(), at: .seconds(2))
            order.append(found)
            instance = found ?? 0
        }
        #expect(order == [1, 4, 0, 1])
        #expect(fixture.workers[0].next(after: 1, excluding: TriedInstances([0, 1, 4]), at: .seconds(2)) == nil)
    }

    @Test func `requests in flight are back at zero when each that started has ended, counted by many at once`() async {
        let service = ServiceLoad()
        let load = InstanceLoad(service: service, status: InstanceStatus(.healthy))
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for i in 0..<5_000 {
                        load.requestStarted()
                        if i % 100 == worker { load.healthChanged(to: i % 200 < 100 ? .failed : .healthy, at: .seconds(1)) }
                        load.latencyMeasured(.milliseconds(UInt64(i % 9)), failed: false, decay: .seconds(10), at: .seconds(2))
                        load.requestEnded()
                    }
                }
            }
        }
        #expect(load.inFlight == 0)
        #expect(service.inFlight == 0)
    }

    @Test func `a status says what was last set, and an ejection leaves health and drain alone`() {
        let load = InstanceLoad(service: ServiceLoad(), status: InstanceStatus(.unknown))
        #expect(!load.takesRequests)
        load.healthChanged(to: .degraded, at: .seconds(3))
        #expect(load.takesRequests && load.status.slowStartSince != nil)
        load.ejected(at: .seconds(4))
        load.drained(at: .seconds(4))
        #expect(load.status.isEjected && load.status.isDraining && load.status.health == .degraded)
        #expect(load.status.slowStartSince == nil)
        load.ejectionEnded(at: .seconds(5))
        #expect(!load.takesRequests)
        load.undrained(at: .seconds(6))
        #expect(load.takesRequests)
        let since = load.status.slowStartSince?.nanoseconds ?? 0
        #expect(since <= 6_000_000_000 && since > 5_999_999_000)
    }

    @Test func `an instance on trial gets one request at a time, whatever it had before`() {
        let load = InstanceLoad(service: ServiceLoad(), status: InstanceStatus(.healthy))
        #expect(load.requestStarted() == .admitted)
        load.healthChanged(to: .failed, at: Instant(nanoseconds: 1))
        load.healthChanged(to: .degraded, isOnTrial: true, at: Instant(nanoseconds: 2))
        #expect(load.requestStarted() == .onTrial)
        #expect(load.requestStarted() == .busy)
        load.requestEnded()
        #expect(load.requestStarted() == .busy, "the one that ended was not the trial")
        load.requestEnded(wasOnTrial: true)
        #expect(load.inFlight == 0)
        #expect(load.requestStarted() == .onTrial)
        load.healthChanged(to: .healthy, at: Instant(nanoseconds: 3))
        #expect(load.requestStarted() == .admitted)
        load.requestEnded()
        load.requestEnded(wasOnTrial: true)
        #expect(load.inFlight == 0)
    }
}
