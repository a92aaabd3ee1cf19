import Primitives
import Synchronization

/// One circuit breaker for all workers.
///
/// The machine is behind a lock; one word says what most requests need to know, so that while the service is well a request costs
/// one atomic load to be admitted, and one load and a count in memory of its own worker to be recorded. While the breaker is
/// open, a rejection takes no lock either. Failures, slow calls, probes and the first success after a failure take the lock.
///
/// A transition is returned to the one caller whose event caused it. A success that began before the breaker closed is counted
/// here, where the machine would leave it out: it can make an opening by rate a little later.
public final class SharedCircuitBreaker: Sendable {
    private static var clean: UInt64 { 0 }
    /// Closed; the next success has to be told to the machine.
    @usableFromInline static var failing: UInt64 { 1 }
    private static var probing: UInt64 { 2 }
    // Anything greater: open until that many nanoseconds.

    @usableFromInline let word = Atomic<UInt64>(0)
    /// Nanoseconds; a longer call is slow.
    private let slowAfter: Atomic<UInt64>
    /// Nanoseconds of a bucket of the tallies.
    private let bucket: Atomic<UInt64>
    /// Successes, one ring for each worker.
    private let tallies: WorkerTallies
    private let machine: Mutex<CircuitBreaker>

    public init(policy: BreakerPolicy, workers: Int) {
        machine = Mutex(CircuitBreaker(policy: policy))
        slowAfter = Atomic(policy.slowCallDuration?.nanoseconds ?? .max)
        bucket = Atomic(WindowCounter.bucket(of: policy.window))
        tallies = WorkerTallies(workers: workers)
    }

    /// Every request is admitted: `admit` need not be asked. One load.
    @inlinable
    public var isClosed: Bool { word.load(ordering: .acquiring) <= Self.failing }

    public func admit(at now: Instant, random: inout RandomSource) -> CircuitBreaker.Decision {
        let word = word.load(ordering: .acquiring)
        if word <= Self.failing { return CircuitBreaker.Decision(admission: .admit, transition: nil) }
        if word > Self.probing, now.nanoseconds < word {
            let seconds = CircuitBreaker.seconds(from: now, to: Instant(nanoseconds: word))
            return CircuitBreaker.Decision(admission: .reject(retryAfterSeconds: seconds), transition: nil)
        }
        return change { machine in machine.admit(at: now, random: &random) }
    }

    /// Whether a request that was admitted as a probe may still be sent as one.
    public func holds(_ permit: CircuitBreaker.ProbePermit) -> Bool { machine.withLock { $0.holds(permit) } }

    /// - Parameter worker: who calls, below the number of workers.
    public func record(
        _ outcome: CallOutcome, permit: CircuitBreaker.ProbePermit? = nil, duration: TimeAmount, by worker: Int, at now: Instant,
        random: inout RandomSource, culprit: CircuitBreaker.Culprit = .service
    ) -> CircuitBreaker.Transition? {
        if permit == nil {
            let weight = outcome.weight
            if weight == .nothing { return nil }
            let word = word.load(ordering: .acquiring)
            if word > Self.failing { return nil }
            if weight == .success, word == Self.clean, duration.nanoseconds <= slowAfter.load(ordering: .relaxed) {
                tallies.add(by: worker, at: now, bucket: bucket.load(ordering: .relaxed))
                return nil
            }
        }
        return change { machine in
            let elsewhere = permit == nil ? successes(at: now, since: machine.closedSince) : 0
            return machine.record(
                outcome, permit: permit, duration: duration, at: now, random: &random, culprit: culprit,
                successesElsewhere: elsewhere)
        }
    }

    /// For the control thread, about once a second.
    public func tick(at now: Instant, random: inout RandomSource) -> CircuitBreaker.Transition? {
        change { machine in machine.tick(at: now, random: &random) }
    }

    public func checksPassed(at now: Instant) -> CircuitBreaker.Transition? { change { $0.checksPassed(at: now) } }
    public func checkFailed() { change { $0.checkFailed() } }

    public func trip(at now: Instant, random: inout RandomSource) -> CircuitBreaker.Transition {
        change { machine in machine.trip(at: now, random: &random) }
    }

    public func reset(at now: Instant) -> CircuitBreaker.Transition { change { $0.reset(at: now) } }

    public func adopt(_ policy: BreakerPolicy, at now: Instant) {
        change { machine in
            machine.adopt(policy, at: now)
            slowAfter.store(policy.slowCallDuration?.nanoseconds ?? .max, ordering: .relaxed)
            bucket.store(WindowCounter.bucket(of: policy.window), ordering: .relaxed)
        }
    }

    /// The machine as it is now, for reports.
    public var snapshot: CircuitBreaker { machine.withLock { $0 } }

    private func successes(at now: Instant, since: Instant?) -> UInt64 {
        tallies.sum(at: now, since: since, bucket: bucket.load(ordering: .relaxed))
    }

    private func change<Result: Sendable>(_ body: (inout CircuitBreaker) -> Result) -> Result {
        machine.withLock { machine in
            let result = body(&machine)
            word.store(Self.word(for: machine), ordering: .releasing)
            return result
        }
    }

    private static func word(for machine: CircuitBreaker) -> UInt64 {
        switch machine.phase {
        case .closed: machine.isClean ? clean : failing
        case .halfOpen: probing
        case .open: max(probing + 1, machine.openUntil?.nanoseconds ?? .max)
        }
    }
}
