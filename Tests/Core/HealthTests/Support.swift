import Primitives

@testable import Health

/// Seconds since the clock's origin, to write down what happened when.
func second(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1_000_000_000)) }

extension RandomSource {
    mutating func pick(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// The health of an instance with its dice, so that a line of a test is one event.
struct Bench {
    var health: InstanceHealth
    var random = RandomSource(seed: 1)

    init(_ phase: InstanceHealth.Phase = .unknown, _ change: (inout HealthPolicy) -> Void = { _ in }) {
        var policy = HealthPolicy()
        change(&policy)
        health = InstanceHealth(policy: policy, at: second(0))
        switch phase {
        case .unknown: break
        case .healthy: pass(0)
        case .degraded:
            pass(0)
            pass(0, took: .seconds(20))
        case .failed:
            pass(0)
            for _ in 0..<policy.fall { fail(0) }
        }
    }

    @discardableResult
    mutating func pass(_ at: Double, took: TimeAmount = .milliseconds(5)) -> HealthChange? {
        health.checkPassed(after: took, at: second(at))
    }

    @discardableResult
    mutating func fail(_ at: Double) -> HealthChange? { health.checkFailed(at: second(at)) }

    @discardableResult
    mutating func trafficFail(_ at: Double, took: TimeAmount = .zero) -> HealthChange? {
        health.trafficFailed(after: took, at: second(at), random: &random)
    }

    @discardableResult
    mutating func answer(_ at: Double) -> HealthChange? { health.trafficAnswered(at: second(at)) }

    mutating func observe(_ at: Double, _ requests: Int, errors: Int = 0, each: TimeAmount = .milliseconds(1)) -> HealthChange? {
        health.observed(
            requests: requests, serverErrors: errors, latency: TimeAmount(nanoseconds: each.nanoseconds * UInt64(requests)),
            at: second(at))
    }
}
