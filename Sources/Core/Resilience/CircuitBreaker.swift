import Primitives

/// Decides whether a service is sent requests, from what became of the last ones.
///
///     closed ──► open ──► half open ──► closed
///                 ▲           │
///                 └───────────┘
///
/// An open breaker always comes to be tested again: its time is at most `openTimeoutMax`, and a probe that never returns is a
/// failure at `probeTimeout`, noticed by whoever asks next. Calls that began before the breaker last closed are no evidence.
///
/// For one thread; `SharedCircuitBreaker` is the same for many.
public struct CircuitBreaker: Sendable, Hashable {
    /// The right to send one probe. A value with an epoch: it ends when its outcome is recorded, when its time is up, or with the
    /// state that gave it, so it cannot be lost and cannot count twice.
    public struct ProbePermit: Sendable, Hashable {
        public let epoch: UInt32
        public let number: UInt32
    }

    @frozen
    public enum Admission: Sendable, Hashable {
        case admit
        /// Send it, and record its outcome with the permit.
        case admitProbe(ProbePermit)
        /// Answer 503; at least 1 s.
        case reject(retryAfterSeconds: Int)
    }

    public enum Phase: UInt8, Sendable, Hashable, CaseIterable {
        case closed, open, halfOpen

        /// As in metrics and log lines.
        public var name: StaticString {
            switch self {
            case .closed: "closed"
            case .open: "open"
            case .halfOpen: "half_open"
            }
        }
    }

    public enum Reason: UInt8, Sendable, Hashable, CaseIterable {
        case consecutiveFailures, errorRate, slowCalls
        case openTimeElapsed, checksPassed
        case probeFailed, probeTimedOut, probesSlow, probesSucceeded
        /// By an administrator.
        case tripped, reset

        public var name: StaticString {
            switch self {
            case .consecutiveFailures: "consecutive_failures"
            case .errorRate: "error_rate"
            case .slowCalls: "slow_calls"
            case .openTimeElapsed: "open_time_elapsed"
            case .checksPassed: "checks_passed"
            case .probeFailed: "probe_failed"
            case .probeTimedOut: "probe_timed_out"
            case .probesSlow: "probes_slow"
            case .probesSucceeded: "probes_succeeded"
            case .tripped: "tripped"
            case .reset: "reset"
            }
        }
    }

    /// A change of state, for a log line and a counter.
    public struct Transition: Sendable, Hashable {
        public let from: Phase
        public let to: Phase
        public let reason: Reason
        public let at: Instant
        /// Where it opened: when it half opens by itself.
        public let until: Instant?
    }

    /// What to do with a request, and what asking changed.
    public struct Decision: Sendable, Hashable {
        public let admission: Admission
        public let transition: Transition?
    }

    private enum State: Sendable, Hashable {
        /// Every request goes. Becomes `open`.
        case closed(since: Instant?, row: FailureRow, reopening: TimeAmount?)
        /// None goes before `until`. Becomes `halfOpen` by time or by passing checks, `closed` by an administrator.
        case open(since: Instant, until: Instant, span: TimeAmount, early: Early)
        /// Only probes go. Becomes `closed` or `open`.
        case halfOpen(Trial)
    }

    /// Failures since the last success, and whether they are of more than one instance.
    private struct FailureRow: Sendable, Hashable {
        var count = 0
        private var instance: UInt32?
        /// One instance that fails by itself is taken out by itself: that says nothing of the others.
        var concernsAll = false

        mutating func add(_ culprit: Culprit) {
            count += 1
            switch culprit {
            case .service: concernsAll = true
            case .instance(let failed):
                if let instance, instance != failed { concernsAll = true }
                instance = failed
            }
        }
    }

    /// Who a failure may be blamed on.
    @frozen
    public enum Culprit: Sendable, Hashable {
        /// The service as a whole: there is no other instance that takes requests.
        case service
        case instance(UInt32)
    }

    /// Whether passing checks may end an opening before its time. Once they did and the probes failed, they were wrong, and have
    /// no say again until a check has failed: else a backend whose checks pass while its requests fail would be probed all the
    /// time.
    private enum Early: Sendable, Hashable {
        case allowed, spent
    }

    private struct Trial: Sendable, Hashable {
        struct Probe: Sendable, Hashable {
            let number: UInt32
            let deadline: Instant
        }
        var probes: [Probe] = []
        var next: UInt32 = 0
        var successes = 0
        var slow = 0
        /// How long it was open before.
        let span: TimeAmount
        var early: Early
    }

    public private(set) var policy: BreakerPolicy
    /// Counts changes of state.
    public private(set) var epoch: UInt32 = 0
    private var state = State.closed(since: nil, row: FailureRow(), reopening: nil)
    // Of the closed state; cleared when it begins.
    private var successes: WindowCounter
    private var failures: WindowCounter
    private var slowCalls: WindowCounter

    public init(policy: BreakerPolicy) {
        self.policy = policy
        successes = WindowCounter(window: policy.window)
        failures = successes
        slowCalls = successes
    }

    public var phase: Phase {
        switch state {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }

    /// When an open breaker half opens by itself.
    // Inlined, this crashes the optimiser of Swift 6.3 (CopyPropagation).
    @inline(never)
    public var openUntil: Instant? {
        if case .open(_, let until, _, _) = state { until } else { nil }
    }

    public var probesInFlight: Int {
        if case .halfOpen(let trial) = state { trial.probes.count } else { 0 }
    }

    /// Whether the permit is still good: the half-open state that gave it lasts, and it has not ended.
    public func holds(_ permit: ProbePermit) -> Bool {
        guard permit.epoch == epoch, case .halfOpen(let trial) = state else { return false }
        return trial.probes.contains { $0.number == permit.number }
    }

    /// Closed, with no failure since the last success: a success changes nothing but the window.
    public var isClean: Bool {
        if case .closed(_, let row, _) = state { row.count == 0 } else { false }
    }

    /// When it last closed; nil when it never opened or is not closed.
    public var closedSince: Instant? {
        if case .closed(let since, _, _) = state { since } else { nil }
    }

    /// When `tick` has something to do: the end of an opening, or the first deadline of a probe.
    public var nextEvent: Instant? {
        switch state {
        case .closed: nil
        case .open(_, let until, _, _): until
        case .halfOpen(let trial): trial.probes.lazy.map(\.deadline).min()
        }
    }

    // Events of requests

    /// A request wants to go.
    /// - Parameter random: only drawn from where a probe's time is up.
    public mutating func admit(at now: Instant, random: inout RandomSource) -> Decision {
        let transition = tick(at: now, random: &random)
        switch state {
        case .closed:
            return Decision(admission: .admit, transition: transition)
        case .open(_, let until, _, _):
            return Decision(
                admission: .reject(retryAfterSeconds: Self.seconds(from: now, to: until)), transition: transition)
        case .halfOpen(var trial):
            guard trial.probes.count < policy.halfOpenMax else {
                return Decision(admission: .reject(retryAfterSeconds: 1), transition: transition)
            }
            let number = trial.next
            trial.next &+= 1
            trial.probes.append(.init(number: number, deadline: now + policy.probeTimeout))
            state = .halfOpen(trial)
            return Decision(admission: .admitProbe(ProbePermit(epoch: epoch, number: number)), transition: transition)
        }
    }

    /// What became of a request that was admitted.
    /// - Parameters:
    ///   - permit: where it was admitted as a probe.
    ///   - duration: from its admission until now.
    ///   - culprit: of a failure. Failures in a row open the breaker only where they are of more than one instance, or of the only one.
    ///   - successesElsewhere: successes of the window that were counted outside, since the breaker closed.
    public mutating func record(
        _ outcome: CallOutcome, permit: ProbePermit? = nil, duration: TimeAmount, at now: Instant,
        random: inout RandomSource, culprit: Culprit = .service, successesElsewhere: UInt64 = 0
    ) -> Transition? {
        if let permit { return probeEnded(permit, outcome, duration, at: now, &random) }
        guard case .closed(let since, var row, let reopening) = state, outcome.weight != .nothing else { return nil }
        if let since, since + duration > now { return nil }

        let isSlow = isSlow(duration)
        if isSlow { slowCalls.add(at: now) }
        if outcome.weight == .success {
            successes.add(at: now)
            state = .closed(since: since, row: FailureRow(), reopening: reopening)
            guard isSlow else { return nil }
        } else {
            failures.add(at: now)
            row.add(culprit)
            state = .closed(since: since, row: row, reopening: reopening)
            if row.count >= policy.failureThreshold, row.concernsAll { return open(.consecutiveFailures, at: now, &random) }
        }
        let failed = failures.sum(at: now)
        let total = successes.sum(at: now) + failed + successesElsewhere
        guard total >= UInt64(max(0, policy.minimumRequests)) else { return nil }
        if outcome.weight == .failure, Self.reaches(failed, of: total, permille: policy.errorRatePermille) {
            return open(.errorRate, at: now, &random)
        }
        if isSlow, Self.reaches(slowCalls.sum(at: now), of: total, permille: policy.slowRatePermille) {
            return open(.slowCalls, at: now, &random)
        }
        return nil
    }

    // Other events

    /// Time has passed: an opening that is over, a probe that does not return. `admit` does the same for its own needs.
    public mutating func tick(at now: Instant, random: inout RandomSource) -> Transition? {
        switch state {
        case .closed:
            return nil
        case .open(_, let until, let span, let early):
            guard now >= until else { return nil }
            return halfOpen(.openTimeElapsed, span: span, early: early, at: now)
        case .halfOpen(let trial):
            guard trial.probes.contains(where: { $0.deadline <= now }) else { return nil }
            return open(.probeTimedOut, at: now, &random)
        }
    }

    /// As many checks of an instance of the service have passed in a row as bring one back.
    public mutating func checksPassed(at now: Instant) -> Transition? {
        guard policy.probeEarly, case .open(let since, _, let span, .allowed) = state, now >= since + policy.probeEarlyAfter
        else {
            return nil
        }
        return halfOpen(.checksPassed, span: span, early: .spent, at: now)
    }

    /// A check of an instance of the service failed.
    public mutating func checkFailed() {
        switch state {
        case .closed: break
        case .open(let since, let until, let span, _): state = .open(since: since, until: until, span: span, early: .allowed)
        case .halfOpen(var trial):
            trial.early = .allowed
            state = .halfOpen(trial)
        }
    }

    /// An administrator opens it: for the time of a first opening, and then it is tested like any other.
    public mutating func trip(at now: Instant, random: inout RandomSource) -> Transition {
        begin(
            .open(since: now, until: jittered(policy.openTimeout, from: now, &random), span: policy.openTimeout, early: .spent),
            .tripped, at: now)
    }

    /// An administrator closes it; its history is forgotten.
    public mutating func reset(at now: Instant) -> Transition {
        clearWindow()
        return begin(.closed(since: now, row: FailureRow(), reopening: nil), .reset, at: now)
    }

    /// A reload changed the numbers. State and permits stay; a window of another length starts empty.
    public mutating func adopt(_ new: BreakerPolicy, at now: Instant) {
        if new.window != policy.window {
            successes = WindowCounter(window: new.window)
            failures = successes
            slowCalls = successes
        }
        policy = new
        if case .open(let since, let until, let span, let early) = state {
            state = .open(since: since, until: min(until, now + new.openTimeoutMax), span: span, early: early)
        }
    }

    // Transitions

    private mutating func probeEnded(
        _ permit: ProbePermit, _ outcome: CallOutcome, _ duration: TimeAmount, at now: Instant, _ random: inout RandomSource
    ) -> Transition? {
        guard permit.epoch == epoch, case .halfOpen(var trial) = state,
            let index = trial.probes.firstIndex(where: { $0.number == permit.number })
        else { return nil }
        if let timedOut = tick(at: now, random: &random) { return timedOut }
        trial.probes.remove(at: index)
        switch outcome.weight {
        case .nothing:
            state = .halfOpen(trial)
            return nil
        case .failure:
            return open(.probeFailed, at: now, &random)
        case .success:
            trial.successes += 1
            if isSlow(duration) { trial.slow += 1 }
            state = .halfOpen(trial)
            guard trial.successes >= policy.successThreshold else { return nil }
            if trial.slow > 0, Self.reaches(UInt64(trial.slow), of: UInt64(trial.successes), permille: policy.slowRatePermille) {
                return open(.probesSlow, at: now, &random)
            }
            clearWindow()
            return begin(.closed(since: now, row: FailureRow(), reopening: trial.span), .probesSucceeded, at: now)
        }
    }

    /// Opens for the first time; or for twice as long as the last time when the probes failed, or when it closed no longer ago
    /// than twice that time.
    private mutating func open(_ reason: Reason, at now: Instant, _ random: inout RandomSource) -> Transition {
        var span = policy.openTimeout
        var early = Early.allowed
        switch state {
        case .closed(let since, _, let reopening):
            if let since, let reopening, now < since + reopening + reopening { span = doubled(reopening) }
        case .halfOpen(let trial):
            span = doubled(trial.span)
            early = trial.early
        case .open: preconditionFailure("an open breaker opened")
        }
        return begin(.open(since: now, until: jittered(span, from: now, &random), span: span, early: early), reason, at: now)
    }

    private mutating func halfOpen(_ reason: Reason, span: TimeAmount, early: Early, at now: Instant) -> Transition {
        begin(.halfOpen(Trial(span: span, early: early)), reason, at: now)
    }

    private mutating func begin(_ next: State, _ reason: Reason, at now: Instant) -> Transition {
        let from = phase
        state = next
        epoch &+= 1
        return Transition(from: from, to: phase, reason: reason, at: now, until: openUntil)
    }

    private mutating func clearWindow() {
        successes.clear()
        failures.clear()
        slowCalls.clear()
    }

    private func doubled(_ span: TimeAmount) -> TimeAmount {
        TimeAmount(
            nanoseconds: min(
                TimeAmount.saturating(span, times: 2).nanoseconds, max(policy.openTimeoutMax, policy.openTimeout).nanoseconds))
    }

    /// Up to 10 % less, so that the breakers of several gateways do not probe at one time; never more, so that what is promised
    /// in `Retry-After` holds.
    private func jittered(_ span: TimeAmount, from now: Instant, _ random: inout RandomSource) -> Instant {
        now + TimeAmount(nanoseconds: span.nanoseconds - random.below(span.nanoseconds / 10 + 1))
    }

    private func isSlow(_ duration: TimeAmount) -> Bool {
        guard let limit = policy.slowCallDuration else { return false }
        return duration > limit
    }

    private static func reaches(_ part: UInt64, of total: UInt64, permille: Int) -> Bool {
        part > 0 && part * 1000 >= total * UInt64(max(0, permille))
    }

    /// Whole seconds, rounded up, at least 1.
    static func seconds(from now: Instant, to until: Instant) -> Int {
        let left = until.since(now).nanoseconds
        return Int(max(1, left / 1_000_000_000 + (left % 1_000_000_000 == 0 ? 0 : 1)))
    }
}
