import Primitives

/// When an instance is next to be checked. One check at a time; its pace comes from `InstanceHealth.pace`.
public struct CheckSchedule: Sendable, Hashable {
    private enum State: Sendable, Hashable {
        /// Becomes `running`, or is moved.
        case due(Instant, backoffStep: Int)
        /// Becomes `due` when it ends. `hurry`: evidence came that the check which runs may not have seen.
        case running(since: Instant, deadline: Instant, backoffStep: Int, hurry: Bool)
    }

    public private(set) var policy: HealthPolicy
    private var state: State
    private var lastBegan: Instant?

    /// - Parameter spread: the first check comes at once, or within this time, so that a thousand instances are not checked
    ///   together.
    public init(policy: HealthPolicy, spread: TimeAmount, at now: Instant, random: inout RandomSource) {
        self.policy = policy
        state = .due(now + TimeAmount(nanoseconds: random.below(spread.nanoseconds)), backoffStep: 0)
    }

    /// Over which time the first checks of instances that join together are spread.
    ///
    /// Not at all while all of them may run at once: an instance gets no traffic before its first check has passed, so that every
    /// wait is an outage. More of them would come in one burst, whose jitter of 10 % keeps it a burst for many rounds; so they
    /// begin over a second, or an interval where that is shorter. Never over more: the last one's clients wait for it.
    public static func spread(of instances: Int, atOnce: Int, policy: HealthPolicy) -> TimeAmount {
        instances <= atOnce ? .zero : min(policy.interval, .seconds(1))
    }

    /// Nil while a check runs, and where there are no checks.
    public var due: Instant? {
        guard policy.hasChecks, case .due(let at, _) = state else { return nil }
        return at
    }

    /// The check begins. - Returns: when it has failed by taking too long.
    /// - Parameter usual: what checks of the instance took lately: a timeout for the case of doubt must not fail one that is
    ///   always slow.
    public mutating func began(pace: InstanceHealth.Pace, usual: TimeAmount?, at now: Instant) -> Instant {
        guard case .due(_, let step) = state else { preconditionFailure("two checks of an instance at once") }
        let deadline = now + timeout(pace, usual)
        state = .running(since: now, deadline: deadline, backoffStep: step, hurry: false)
        lastBegan = now
        return deadline
    }

    private func timeout(_ pace: InstanceHealth.Pace, _ usual: TimeAmount?) -> TimeAmount {
        switch pace {
        case .steady, .backoff, .never: return policy.timeout
        case .fast:
            let usual = TimeAmount(nanoseconds: min(usual?.nanoseconds ?? 0, .max / 2) * 2)
            return min(policy.timeout, max(policy.fastTimeout, usual))
        }
    }

    /// The check has its verdict.
    /// - Parameter pace: of the instance after that verdict.
    public mutating func ended(pace: InstanceHealth.Pace, at now: Instant, random: inout RandomSource) {
        guard case .running(let since, _, let step, let hurry) = state else { return }
        switch hurry && pace == .steady ? .fast : pace {
        case .never, .steady:
            let next = since + TimeAmount(nanoseconds: Backoff.spread(policy.interval.nanoseconds, percent: 10, random: &random))
            state = .due(max(now, next), backoffStep: 0)
        case .fast:
            let pause = min(policy.fastInterval, policy.interval)
            state = .due(max(now, since + pause), backoffStep: 0)
        case .backoff:
            let wait = Backoff.wait(step: step, most: policy.backoffMax, random: &random)
            state = .due(max(now, since + wait), backoffStep: min(step + 1, 20))
        }
    }

    /// Traffic put the instance in doubt: the check comes at once, but no more than one in each fast interval.
    /// - Parameter pace: of the instance, after that evidence.
    /// - Returns: the deadline of the check that runs, when it is now nearer: it began while there was time.
    public mutating func evidence(pace: InstanceHealth.Pace, usual: TimeAmount?, at now: Instant) -> Instant? {
        switch state {
        case .running(let since, let deadline, let step, _):
            let nearer = min(deadline, now + timeout(pace, usual))
            state = .running(since: since, deadline: nearer, backoffStep: step, hurry: true)
            return nearer < deadline ? nearer : nil
        case .due(let at, let step):
            guard pace == .fast || pace == .backoff && step == 0 else { return nil }
            let earliest = lastBegan.map { max(now, $0 + min(policy.fastInterval, policy.interval)) } ?? now
            if earliest < at { state = .due(earliest, backoffStep: step) }
            return nil
        }
    }

    /// The check was given up for a reason that is not the instance's, such as descriptors that ran out. It comes again soon.
    public mutating func abandoned(at now: Instant) {
        guard case .running(let since, _, let step, _) = state else { return }
        state = .due(max(now, since + min(policy.fastInterval, policy.interval)), backoffStep: step)
    }

    /// A reload changed the numbers.
    public mutating func adopt(_ new: HealthPolicy, at now: Instant) {
        policy = new
        if case .due(let at, let step) = state { state = .due(min(at, now + new.interval), backoffStep: step) }
    }
}
