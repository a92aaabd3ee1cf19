import Primitives
import Synchronization

/// The health of one instance for all workers: the machine behind a lock, and a word that says what most requests need to know.
///
/// A change is returned to the one caller whose event caused it.
public final class SharedInstanceHealth: Sendable {
    /// Healthy, at its full share, and nothing that an answer could change.
    private static let well: UInt8 = 0
    /// No request may be sent to it.
    private static let out: UInt8 = 1
    /// Ask the machine.
    private static let other: UInt8 = 2

    private let word: Atomic<UInt8>
    /// An answer in traffic is news.
    private let wantsAnswers: Atomic<Bool>
    private let machine: Mutex<InstanceHealth>

    public init(_ health: InstanceHealth, at now: Instant) {
        machine = Mutex(health)
        word = Atomic(Self.word(for: health, at: now))
        wantsAnswers = Atomic(!health.isClean)
    }

    public func eligibility(at now: Instant) -> InstanceHealth.Eligibility {
        switch word.load(ordering: .acquiring) {
        case Self.well: .share(1000)
        case Self.out: .none
        default: change(at: now) { $0.eligibility(at: now) }
        }
    }

    /// One atomic load while the instance is well.
    public func trafficAnswered(at now: Instant) -> HealthChange? {
        guard wantsAnswers.load(ordering: .acquiring) else { return nil }
        return change(at: now) { $0.trafficAnswered(at: now) }
    }

    public func trafficFailed(after duration: TimeAmount, at now: Instant, random: inout RandomSource) -> HealthChange? {
        change(at: now) { machine in machine.trafficFailed(after: duration, at: now, random: &random) }
    }

    /// Any other event: a check, an observation, the time, a drain.
    public func change<Result: Sendable>(at now: Instant, _ event: (inout InstanceHealth) -> Result) -> Result {
        machine.withLock { machine in
            let result = event(&machine)
            word.store(Self.word(for: machine, at: now), ordering: .releasing)
            wantsAnswers.store(!machine.isClean, ordering: .releasing)
            return result
        }
    }

    /// The machine as it is now, for reports.
    public var snapshot: InstanceHealth { machine.withLock { $0 } }

    private static func word(for machine: InstanceHealth, at now: Instant) -> UInt8 {
        switch machine.eligibility(at: now) {
        case .none: out
        case .share(1000): well
        case .trial, .share: other
        }
    }
}
