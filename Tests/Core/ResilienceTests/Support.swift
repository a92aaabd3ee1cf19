import Primitives
import Synchronization

@testable import Resilience

/// Seconds since the clock's origin, to write down what happened when.
func second(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1_000_000_000)) }

extension RandomSource {
    mutating func pick(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// A breaker with its dice, so that a line of a test is one event.
struct Bench {
    var breaker: CircuitBreaker
    var random = RandomSource(seed: 1)

    init(_ change: (inout BreakerPolicy) -> Void = { _ in }) {
        var policy = BreakerPolicy()
        change(&policy)
        breaker = CircuitBreaker(policy: policy)
    }

    mutating func admit(_ at: Double) -> CircuitBreaker.Decision { breaker.admit(at: second(at), random: &random) }

    mutating func probe(_ at: Double) -> CircuitBreaker.ProbePermit? {
        if case .admitProbe(let permit) = admit(at).admission { permit } else { nil }
    }

    @discardableResult
    mutating func record(
        _ outcome: CallOutcome, _ at: Double, permit: CircuitBreaker.ProbePermit? = nil, took: TimeAmount = .milliseconds(1)
    ) -> CircuitBreaker.Transition? {
        breaker.record(outcome, permit: permit, duration: took, at: second(at), random: &random)
    }

    @discardableResult
    mutating func fail(_ times: Int, _ at: Double) -> CircuitBreaker.Transition? {
        var last: CircuitBreaker.Transition?
        for _ in 0..<times { last = record(.serverError, at) }
        return last
    }

    /// How long the opening is that runs.
    func openSpan(from at: Double) -> Double {
        Double(breaker.openUntil?.since(second(at)).nanoseconds ?? 0) / 1_000_000_000
    }
}

/// A number that many tasks count up.
final class Count: Sendable {
    private let number = Atomic<Int>(0)
    var value: Int { number.load(ordering: .relaxed) }
    func add(_ more: Int) { number.add(more, ordering: .relaxed) }
    func raise(to value: Int) { number.max(value, ordering: .relaxed) }
}
