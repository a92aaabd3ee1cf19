import Balancing
import Primitives
import Testing

@Suite(.serialized) struct PickSpeedTests {
    @Test(arguments: EligibilityTests.algorithms, [true, false])
    func `a pick among 1,000 instances costs less than 100 µs even without optimisation`(
        algorithm: Balancer.Algorithm, isWell: Bool
    ) {
        var fixture = Fixture(algorithm, weights: (0..<1000).map { 1 + $0 % 3 })
        if !isWell { for i in 0..<900 { fixture.loads[i].healthChanged(to: .failed, at: .seconds(1)) } }
        for (i, load) in fixture.loads.enumerated() {
            load.latencyMeasured(.milliseconds(UInt64(1 + i % 50)), failed: false, decay: .seconds(10), at: .seconds(1000))
        }
        _ = fixture.pick(key: 0)
        let picks = 2_000
        let clock = ContinuousClock()
        var sum = 0
        let took = clock.measure { for key in 0..<UInt64(picks) { sum += fixture.pick(key: key) ?? 0 } }
        #expect(sum > 0)
        let each = took / picks
        print("pick: \(algorithm), 1,000 instances, \(isWell ? "all well" : "900 failed"): \(each) a pick")
        #expect(each < .microseconds(100))
    }
}
