import Balancing
import Primitives
import Testing

@Suite struct SlowStartTests {
    @Test func `the factor starts at 10 percent and grows with time to 1`() {
        let slow = SlowStart(window: .seconds(10))
        let table: [(Double, Double)] = [(0, 0.1), (0.5, 0.1), (2, 0.2), (5, 0.5), (9.9, 0.99), (10, 1), (99, 1)]
        for (elapsed, factor) in table {
            #expect(abs(slow.factor(since: .seconds(100), at: .seconds(100 + elapsed)) - factor) < 1e-6, "\(elapsed)")
        }
        #expect(slow.factor(since: .seconds(100), at: .seconds(50)) == 0.1)
    }

    @Test func `aggression bends the curve as Envoy's does`() {
        let eager = SlowStart(window: .seconds(100), aggression: 2)
        let late = SlowStart(window: .seconds(100), aggression: 0.5)
        #expect(abs(eager.factor(since: .seconds(0), at: .seconds(25)) - 0.5) < 1e-5)
        #expect(abs(late.factor(since: .seconds(0), at: .seconds(50)) - 0.25) < 1e-5)
        #expect(SlowStart(window: .seconds(100), aggression: .nan).aggression == 1)
        #expect(SlowStart(window: .seconds(100), aggression: 0).aggression == 1)
    }

    @Test(arguments: [Balancer.Algorithm.roundRobin, .leastConnections, .peakEWMA, .random])
    func `an instance that comes back gets its share step by step`(algorithm: Balancer.Algorithm) {
        var policy = Balancer.Policy(algorithm)
        policy.slowStart = SlowStart(window: .seconds(30))
        var fixture = Fixture(policy, weights: [1, 1, 1, 1], workers: 2)
        fixture.loads[2].healthChanged(to: .failed, at: .seconds(100))
        fixture.loads[2].healthChanged(to: .healthy, at: .seconds(200))
        var shares: [Double] = []
        for elapsed in [0, 7.5, 15, 22.5, 30] as [Double] {
            shares.append(Double(fixture.counts(20_000, at: .seconds(200 + elapsed))[2]) / 20_000)
        }
        // Of four with one at the factor f it is about f / (3 + f).
        for (share, factor) in zip(shares, [0.1, 0.25, 0.5, 0.75, 1]) {
            #expect(abs(share - factor / (3 + factor)) < 0.02, "\(shares)")
        }
    }

    @Test func `when the slow start is over the shares are exact again`() {
        var policy = Balancer.Policy(.roundRobin)
        policy.slowStart = SlowStart(window: .seconds(30))
        var fixture = Fixture(policy, weights: [3, 1, 1])
        fixture.loads[0].healthChanged(to: .failed, at: .seconds(100))
        fixture.loads[0].healthChanged(to: .healthy, at: .seconds(200))
        _ = fixture.counts(1_000, at: .seconds(201))
        #expect(distance(fixture.counts(100_000, at: .seconds(230)), from: [3, 1, 1]) < 0.001)
    }

    @Test func `a key goes to the returning instance for good, and to no third one`() {
        var policy = Balancer.Policy(.addressHash)
        policy.slowStart = SlowStart(window: .seconds(30))
        var fixture = Fixture(policy, weights: [1, 1, 1, 1])
        func owners(_ time: Double) -> [Int?] {
            (0..<2000).map { fixture.pick(Balancer.Request(key: HashKey(bits: $0)), at: .seconds(time)) }
        }
        let before = owners(99)
        fixture.loads[2].healthChanged(to: .failed, at: .seconds(100))
        let without = owners(150)
        fixture.loads[2].healthChanged(to: .healthy, at: .seconds(200))
        var home = 0
        for time in [200.0, 206, 212, 218, 224, 231] {
            let now = owners(time)
            #expect(now.indices.allSatisfy { now[$0] == before[$0] || now[$0] == without[$0] })
            let count = now.filter { $0 == 2 }.count
            #expect(count > home)
            home = count
        }
        #expect(owners(231) == before)
    }

    @Test func `a group that is new as a whole starts at once`() {
        var policy = Balancer.Policy(.roundRobin)
        policy.slowStart = SlowStart(window: .seconds(30))
        var fixture = Fixture(policy, weights: [2, 1])
        for load in fixture.loads {
            load.healthChanged(to: .unknown, at: .seconds(100))
            load.healthChanged(to: .healthy, at: .seconds(100))
        }
        #expect(distance(fixture.counts(30_000, at: .seconds(100)), from: [2, 1]) < 0.001)
        let first = InstanceLoad(service: ServiceLoad(), status: InstanceStatus(.unknown))
        first.healthChanged(to: .healthy, startsSlowly: false, at: .seconds(5))
        #expect(first.status.slowStartSince == nil)
    }

    @Test func `logarithm and power are right to six digits`() {
        for (x, log) in [(1, 0), (2, 1), (0.5, -1), (10, 3.321928094887), (1e-9, -29.897352853986), (1.4142135, 0.49999993)] {
            #expect(abs(Exponential.log2(x) - log) < 1e-6)
        }
        for (x, power) in [(0, 1), (1, 2), (-1, 0.5), (0.5, 1.414213562373), (-10.25, 0.000821187957), (20.75, 1763487.6)] {
            #expect(abs(Exponential.exp2(x) / power - 1) < 1e-6)
        }
        #expect(Exponential.exp2(-5000) == 0)
    }
}
