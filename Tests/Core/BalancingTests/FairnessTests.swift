import Balancing
import Primitives
import Testing

@Suite struct FairnessTests {
    @Test(arguments: [[1, 1, 1], [5, 1, 1], [3, 2], [1], [100, 50, 25, 0], [7, 11, 13, 17, 19]])
    func `round robin over four workers is within 1 percent of the weights`(weights: [Int]) {
        var fixture = Fixture(.roundRobin, weights: weights, workers: 4)
        let counts = fixture.counts(100_000)
        #expect(counts.reduce(0, +) == 100_000)
        #expect(distance(counts, from: weights.map { Double($0) }) < 0.01, "\(counts)")
    }

    @Test(arguments: [[1, 1, 1], [5, 1, 1], [7, 11, 13, 17, 19]])
    func `round robin stays within 1 percent of the weights of those that are left`(weights: [Int]) {
        var fixture = Fixture(.roundRobin, weights: weights, workers: 3)
        fixture.loads[1].healthChanged(to: .failed, at: .seconds(1))
        var left = weights.map { Double($0) }
        left[1] = 0
        let counts = fixture.counts(100_000)
        #expect(distance(counts, from: left) < 0.01, "\(counts)")
    }

    @Test func `equal instances take strict turns, and the one that fails is left out of them`() {
        var fixture = Fixture(.roundRobin, weights: [1, 1, 1, 1], workers: 2)
        #expect((0..<8).map { fixture.pick(worker: $0 % 2) } == [0, 1, 2, 3, 0, 1, 2, 3])
        fixture.loads[2].healthChanged(to: .failed, at: .seconds(1))
        let six = (0..<6).map { fixture.pick(worker: $0 % 2) }
        #expect(Set(six.prefix(3)) == [0, 1, 3])
        #expect(Array(six.prefix(3)) == Array(six.suffix(3)))
    }

    @Test func `a heavy instance is spread over the round`() {
        var fixture = Fixture(.roundRobin, weights: [5, 1, 1])
        #expect((0..<7).map { _ in fixture.pick() } == [0, 0, 1, 0, 2, 0, 0])
    }

    @Test func `weights too uneven to lay out are kept all the same`() {
        let weights = [1000, 999, 997, 991, 983] + [Int](repeating: 1, count: 200)
        var fixture = Fixture(.roundRobin, weights: weights + [999_983], workers: 2)
        let counts = fixture.counts(300_000)
        #expect(abs(counts[205] - Int(300_000 * 999_983.0 / Double(999_983 + weights.reduce(0, +)))) < 50)
        fixture.loads[205].healthChanged(to: .failed, at: .seconds(1))
        let left = fixture.counts(100_000)
        #expect(distance(Array(left[0..<5]), from: [1000, 999, 997, 991, 983]) < 0.01, "\(left[0..<5])")
    }

    @Test(arguments: [[1, 1, 1], [5, 1, 1], [3, 2], [4, 2, 1], [5, 4, 3, 2], [10, 9]])
    func `least_conn is within 1 percent of the weights when all are equally fast`(weights: [Int]) {
        for concurrency in [0, 1, 2, 5, 30] {
            var fixture = Fixture(.leastConnections, weights: weights, workers: 4)
            let counts = simulate(&fixture, requests: 100_000, concurrency: concurrency)
            #expect(distance(counts, from: weights.map { Double($0) }) < 0.01, "\(counts) with \(concurrency) in flight")
        }
    }

    @Test func `least_conn over more instances than are compared is within 1 percent too`() {
        let weights = (0..<50).map { 1 + $0 % 2 }
        for concurrency in [0, 50] {
            var fixture = Fixture(.leastConnections, weights: weights, workers: 4)
            let counts = simulate(&fixture, requests: 100_000, concurrency: concurrency)
            #expect(distance(counts, from: weights.map { Double($0) }) < 0.01, "\(concurrency) in flight: \(counts)")
        }
    }

    @Test func `least_conn takes the instance with the fewest requests for its weight`() {
        var fixture = Fixture(.leastConnections, weights: [1, 1, 1])
        for (instance, requests) in [3, 1, 2].enumerated() {
            for _ in 0..<requests { fixture.loads[instance].requestStarted() }
        }
        for _ in 0..<6 { #expect(fixture.pick() == 1) }
        #expect(fixture.pick(excluding: [1]) == 2)

        var weighted = Fixture(.leastConnections, weights: [4, 1])
        for _ in 0..<4 { weighted.loads[0].requestStarted() }
        #expect(weighted.pick() == 1)
        weighted.loads[1].requestStarted()
        weighted.loads[1].requestStarted()
        for _ in 0..<4 { #expect(weighted.pick() == 0) }
    }

    @Test func `a slow instance under least_conn has no more in flight than the others`() {
        var fixture = Fixture(.leastConnections, weights: [1, 1, 1], workers: 2)
        // Each turn brings a request; instance 0 ends one in 60 turns, the others one in six each.
        var ends: [(turn: Int, instance: Int)] = []
        for turn in 0..<2_000 {
            for end in ends where end.turn == turn { fixture.loads[end.instance].requestEnded() }
            ends.removeAll { $0.turn == turn }
            guard let instance = fixture.pick(worker: turn % 2) else { continue }
            fixture.loads[instance].requestStarted()
            ends.append((turn + (instance == 0 ? 60 : 6), instance))
            let inFlight = fixture.loads.map(\.inFlight)
            #expect(inFlight[0] <= min(inFlight[1], inFlight[2]) + 1, "\(inFlight)")
        }
    }

    @Test func `random goes by the weights`() {
        var fixture = Fixture(.random, weights: [6, 3, 0, 1])
        #expect(distance(fixture.counts(100_000), from: [6, 3, 0, 1]) < 0.05)
    }

    /// Keeps `concurrency` requests in flight, which end in the order in which they began.
    private func simulate(_ fixture: inout Fixture, requests: Int, concurrency: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: fixture.loads.count)
        var flying: [Int] = []
        var oldest = 0
        for request in 0..<requests {
            guard let instance = fixture.pick(worker: request % fixture.workers.count) else { break }
            counts[instance] += 1
            fixture.loads[instance].requestStarted()
            flying.append(instance)
            if flying.count - oldest > concurrency {
                fixture.loads[flying[oldest]].requestEnded()
                oldest += 1
            }
        }
        return counts
    }
}
