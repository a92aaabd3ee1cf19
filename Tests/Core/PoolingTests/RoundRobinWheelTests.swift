import Balancing
import Primitives
import Testing

@Suite struct RoundRobinWheelTests {
    @Test func `each instance gets its weight of a round, heavy ones spread out`() {
        let wheel = RoundRobinWheel(weights: [5, 1, 1])
        #expect(wheel.order == [0, 0, 1, 0, 2, 0, 0])
        #expect((0..<14).map { wheel.pick(UInt64($0)) } == (0..<14).map { Int(wheel.order[$0 % 7]) })
    }

    @Test func `equal weights make the shortest round`() {
        #expect(RoundRobinWheel(weights: [7, 7, 7]).order == [0, 1, 2])
        #expect(RoundRobinWheel(weights: [4, 2]).order.count == 3)
    }

    @Test func `an instance of weight 0 gets nothing, and none at all is none`() {
        #expect(RoundRobinWheel(weights: [0, 3, 0]).order == [1])
        #expect(RoundRobinWheel(weights: [0, 0]).pick(1) == nil)
        #expect(RoundRobinWheel(weights: []).pick(0) == nil)
    }

    @Test func `over whole rounds the shares are exact whatever the weights`() {
        var random = RandomSource(seed: 7)
        for _ in 0..<100 {
            let weights = (0..<Int.random(in: 1...12, using: &random)).map { _ in Int.random(in: 0...50, using: &random) }
            let wheel = RoundRobinWheel(weights: weights)
            let total = weights.reduce(0, +)
            for (instance, weight) in weights.enumerated() {
                let picks = wheel.order.filter { Int($0) == instance }.count
                #expect(picks * total == weight * wheel.order.count, "\(weights)")
            }
        }
    }

    @Test func `a round too long to lay out is cut, and nobody loses all`() {
        let wheel = RoundRobinWheel(weights: [1, 999_983, 999_979])
        #expect(wheel.order.count <= 65_540)
        #expect(wheel.order.contains(0))
    }
}
