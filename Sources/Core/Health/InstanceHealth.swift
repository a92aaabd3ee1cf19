import Primitives

/// What is known of one instance, and whether it gets traffic.
///
///     unknown ──► healthy ◄──► degraded
///        ▲           │             │
///        └── failed ◄┴─────────────┘     failed ──► healthy with checks, ──► unknown without
///
/// Evidence are active checks and what happens to requests. Where there are no checks, a failed instance becomes `unknown` after
/// 1, 2, 4 … 30 s and is then given one request at a time until one tells.
///
/// For one thread; whoever keeps the instances puts it behind a lock.
public struct InstanceHealth: Sendable, Hashable {
    public enum Phase: UInt8, Sendable, Hashable, CaseIterable {
        case unknown, healthy, degraded, failed

        /// As in metrics and log lines.
        public var name: StaticString {
            switch self {
            case .unknown: "unknown"
            case .healthy: "healthy"
            case .degraded: "degraded"
            case .failed: "failed"
            }
        }
    }

    @frozen
    public enum Eligibility: Sendable, Hashable {
        /// No request.
        case none
        /// One request at a time.
        case trial
        /// This much of its weight, in 1/1000.
        case share(Int)
    }

    /// How often it is to be checked.
    public enum Pace: Sendable, Hashable {
        case never
        /// It is well.
        case steady
        /// It is in doubt, new, or on its way back.
        case fast
        /// It has failed: less and less often.
        case backoff
    }

    private enum State: Sendable, Hashable {
        /// No evidence; without checks, on trial since then. Becomes `healthy` with the first success, `failed` with failures.
        case unknown(since: Instant, failures: Int, trials: Int)
        /// Becomes `degraded` or `failed`.
        case healthy(Up)
        /// Slow or faulty, but up. Becomes `healthy` when it has been calm for a while, or `failed`.
        case degraded(Up, calmSince: Instant?)
        /// Becomes `healthy` after `rise` passing checks; without checks `unknown` at `trialAt`.
        case failed(passes: Int, trials: Int, trialAt: Instant)
    }

    private struct Up: Sendable, Hashable {
        let since: Instant
        /// Whether its weight grows from there.
        let isSlowStarting: Bool
        var doubt = Doubt.none
    }

    private enum Doubt: Sendable, Hashable {
        case none
        /// Something was odd; the next check tells.
        case suspected
        /// Failures in a row, each kind ended by its own successes.
        case failing(checks: Int, traffic: Int)
    }

    public private(set) var policy: HealthPolicy
    /// Whether an administrator has taken it out; its health goes on being watched.
    public private(set) var isDraining = false
    /// Checks in a row that bring it back now; more than the policy's while it flaps.
    public private(set) var riseNow: Int
    /// The last checks that passed took about this long.
    public private(set) var checkLatency: TimeAmount?
    private var state: State
    private var traffic = TrafficAverage()
    /// The last changes between up and failed, at most five.
    private var flips: [Instant] = []

    /// - Parameter isAdded: it joined a service that runs; its weight then grows like that of one that came back.
    public init(policy: HealthPolicy, isAdded: Bool = false, at now: Instant) {
        self.policy = policy
        riseNow = policy.rise
        state =
            policy.hasChecks
            ? .unknown(since: now, failures: 0, trials: isAdded ? 1 : 0) : .healthy(Up(since: now, isSlowStarting: isAdded))
    }

    public var phase: Phase {
        switch state {
        case .unknown: .unknown
        case .healthy: .healthy
        case .degraded: .degraded
        case .failed: .failed
        }
    }

    public func eligibility(at now: Instant) -> Eligibility {
        if isDraining { return .none }
        switch state {
        case .failed: return .none
        case .unknown: return policy.hasChecks ? .none : .trial
        case .healthy(let up): return .share(share(of: up, at: now))
        case .degraded(let up, _): return .share(max(1, share(of: up, at: now) * policy.degradedShare / 1000))
        }
    }

    /// When its weight began to grow, for a balancer that computes it; nil once it is up without, or where there is no slow
    /// start.
    public var slowStartSince: Instant? {
        guard policy.slowStart > .zero else { return nil }
        switch state {
        case .unknown, .failed: return nil
        case .healthy(let up), .degraded(let up, _): return up.isSlowStarting ? up.since : nil
        }
    }

    public var pace: Pace {
        guard policy.hasChecks else { return .never }
        switch state {
        case .unknown, .degraded: return .fast
        case .healthy(let up): return up.doubt == .none ? .steady : .fast
        case .failed(let passes, _, _): return passes > 0 ? .fast : .backoff
        }
    }

    /// A single answer in traffic says nothing new.
    public var isClean: Bool {
        switch state {
        case .healthy(let up), .degraded(let up, _):
            switch up.doubt {
            case .none, .suspected: true
            case .failing(_, let traffic): traffic == 0
            }
        case .unknown: policy.hasChecks
        case .failed: true
        }
    }

    // Events of checks. One that ends after a reload has taken the checks away says nothing: nothing would answer it later.

    public mutating func checkPassed(after latency: TimeAmount, at now: Instant) -> HealthChange? {
        guard policy.hasChecks else { return nil }
        checkLatency = checkLatency.map { TimeAmount(nanoseconds: $0.nanoseconds / 2 + latency.nanoseconds / 2) } ?? latency
        switch state {
        case .unknown(_, _, let trials):
            return begin(.healthy(Up(since: now, isSlowStarting: trials > 0)), .checksPassed, at: now)
        case .healthy(var up):
            up.doubt = .none
            state = .healthy(up)
            return judge(at: now)
        case .degraded(var up, let calmSince):
            up.doubt = .none
            state = .degraded(up, calmSince: calmSince)
            return judge(at: now)
        case .failed(let passes, let trials, let trialAt):
            guard passes + 1 >= riseNow else {
                state = .failed(passes: passes + 1, trials: trials, trialAt: trialAt)
                return nil
            }
            return begin(.healthy(Up(since: now, isSlowStarting: true)), .checksPassed, at: now)
        }
    }

    public mutating func checkFailed(at now: Instant) -> HealthChange? {
        guard policy.hasChecks else { return nil }
        switch state {
        case .unknown(let since, let failures, let trials):
            guard failures + 1 >= policy.fall else {
                state = .unknown(since: since, failures: failures + 1, trials: trials)
                return nil
            }
            return fail(.checksFailed, trials: 0, trialAt: .never, at: now)
        case .failed(_, let trials, let trialAt):
            state = .failed(passes: 0, trials: trials, trialAt: trialAt)
            return nil
        case .healthy, .degraded:
            return count(checks: 1, traffic: 0, .checksFailed, trialAt: .never, at: now)
        }
    }

    // Events of traffic

    /// A try ended without an answer: no connection, none in time, cut off. Not for a kept connection that had been closed
    /// before.
    /// - Parameter duration: of the try; what began before the instance came up, or before its trial, is no evidence.
    public mutating func trafficFailed(after duration: TimeAmount, at now: Instant, random: inout RandomSource) -> HealthChange? {
        switch state {
        case .failed: return nil
        case .unknown(let since, _, let trials):
            guard !policy.hasChecks, since + duration <= now else { return nil }
            return fail(
                .trialFailed, trials: trials + 1, trialAt: trial(trials + 1, after: now, &random), at: now)
        case .healthy(let up), .degraded(let up, _):
            guard up.since + duration <= now else { return nil }
            let trials = flapSteps
            return count(checks: 0, traffic: 1, .trafficFailed, trialAt: trial(trials, after: now, &random), at: now)
        }
    }

    /// A try was answered, with whatever status. Only of interest while not `isClean`.
    public mutating func trafficAnswered(at now: Instant) -> HealthChange? {
        switch state {
        case .failed: return nil
        case .unknown:
            guard !policy.hasChecks else { return nil }
            return begin(.healthy(Up(since: now, isSlowStarting: true)), .trialSucceeded, at: now)
        case .healthy(var up):
            up.doubt = Self.answered(up.doubt)
            state = .healthy(up)
            return nil
        case .degraded(var up, let calmSince):
            up.doubt = Self.answered(up.doubt)
            state = .degraded(up, calmSince: calmSince)
            return nil
        }
    }

    /// Something points at a fault, and a check shall tell: a server error, a closed idle connection, requests in flight without
    /// an answer for a second.
    public mutating func suspected() {
        switch state {
        case .unknown, .failed: break
        case .healthy(var up):
            if up.doubt == .none { up.doubt = .suspected }
            state = .healthy(up)
        case .degraded(var up, let calmSince):
            if up.doubt == .none { up.doubt = .suspected }
            state = .degraded(up, calmSince: calmSince)
        }
    }

    /// What a worker saw since it last told, about once a second.
    /// - Parameter latency: of all answered requests together.
    public mutating func observed(requests: Int, serverErrors: Int, latency: TimeAmount, at now: Instant) -> HealthChange? {
        traffic.add(requests: requests, errors: serverErrors, latency: latency, at: now)
        return judge(at: now)
    }

    // Other events

    /// Time has passed: a trial is due, or a degraded instance has been calm long enough.
    public mutating func tick(at now: Instant) -> HealthChange? {
        if case .failed(_, let trials, let trialAt) = state, !policy.hasChecks, now >= trialAt {
            return begin(.unknown(since: now, failures: 0, trials: trials), .trialBegan, at: now)
        }
        traffic.decay(to: now)
        return judge(at: now)
    }

    /// An administrator takes it out of the traffic, or lets it in again.
    public mutating func setDraining(_ draining: Bool) { isDraining = draining }

    /// A reload changed the numbers.
    public mutating func adopt(_ new: HealthPolicy, at now: Instant) {
        if new.rise != policy.rise { riseNow = new.rise }
        if new.hasChecks != policy.hasChecks {
            checkLatency = nil
            switch state {
            case .unknown: if !new.hasChecks { state = .healthy(Up(since: now, isSlowStarting: true)) }
            case .failed(_, _, let trialAt): state = .failed(passes: 0, trials: 0, trialAt: min(trialAt, now + .seconds(1)))
            // Failures of checks would stay for ever where no check can end their row.
            case .healthy(var up):
                up.doubt = .none
                state = .healthy(up)
            case .degraded(var up, let calmSince):
                up.doubt = .none
                state = .degraded(up, calmSince: calmSince)
            }
        }
        policy = new
    }

    // Transitions

    private mutating func count(
        checks: Int, traffic: Int, _ reason: HealthChange.Reason, trialAt: Instant, at now: Instant
    ) -> HealthChange? {
        switch state {
        case .unknown, .failed: return nil
        case .healthy(var up):
            guard doubt(&up, checks, traffic) else {
                state = .healthy(up)
                return nil
            }
        case .degraded(var up, _):
            guard doubt(&up, checks, traffic) else {
                state = .degraded(up, calmSince: nil)
                return nil
            }
        }
        return fail(reason, trials: flapSteps, trialAt: trialAt, at: now)
    }

    /// - Returns: true when that was one failure too many.
    private func doubt(_ up: inout Up, _ checks: Int, _ traffic: Int) -> Bool {
        switch up.doubt {
        case .none, .suspected: up.doubt = .failing(checks: checks, traffic: traffic)
        case .failing(let before, let trafficBefore):
            up.doubt = .failing(checks: before + checks, traffic: trafficBefore + traffic)
        }
        guard case .failing(let allChecks, let allTraffic) = up.doubt else { return false }
        return allChecks + allTraffic >= policy.fall
    }

    private static func answered(_ doubt: Doubt) -> Doubt {
        switch doubt {
        case .none, .suspected: doubt
        case .failing(0, _): .suspected
        case .failing(let checks, _): .failing(checks: checks, traffic: 0)
        }
    }

    private mutating func fail(_ reason: HealthChange.Reason, trials: Int, trialAt: Instant, at now: Instant) -> HealthChange {
        traffic = TrafficAverage()
        return begin(.failed(passes: 0, trials: trials, trialAt: trialAt), reason, at: now)
    }

    private mutating func begin(_ next: State, _ reason: HealthChange.Reason, at now: Instant) -> HealthChange {
        let from = phase
        state = next
        return HealthChange(from: from, to: phase, reason: reason, isFlapping: flipped(from: from, at: now), at: now)
    }

    /// Counts changes between up and failed: a trial is neither until it has told, and an instance that stays dead does not
    /// flap however often it is tried.
    /// - Returns: whether there were too many.
    private mutating func flipped(from: Phase, at now: Instant) -> Bool {
        let isChange =
            switch (from, phase) {
            case (.healthy, .failed), (.degraded, .failed), (.failed, .healthy): true
            case (.unknown, .healthy): !policy.hasChecks
            case (.unknown, _), (.healthy, _), (.degraded, _), (.failed, _): false
            }
        guard isChange else { return false }
        if let last = flips.last, last + policy.flapWindow < now {
            flips.removeAll()
            riseNow = policy.rise
        }
        if flips.count == 5 { flips.removeFirst() }
        flips.append(now)
        guard flips.count == 5, flips[0] + policy.flapWindow >= now, riseNow < 16 else { return false }
        riseNow = min(16, max(1, riseNow) * 2)
        return true
    }

    /// How often `rise` has been doubled.
    private var flapSteps: Int {
        var steps = 0
        var rise = max(1, policy.rise)
        while rise < riseNow {
            rise *= 2
            steps += 1
        }
        return steps
    }

    /// Compares the pressure on the instance with what it may be: over 100 % degrades, under 80 % for a while does no longer.
    private mutating func judge(at now: Instant) -> HealthChange? {
        let (pressure, reason) = pressure()
        switch state {
        case .unknown, .failed: return nil
        case .healthy(let up):
            guard pressure > 1000 else { return nil }
            return begin(.degraded(up, calmSince: nil), reason, at: now)
        case .degraded(let up, let calmSince):
            guard pressure < 800 else {
                state = .degraded(up, calmSince: nil)
                return nil
            }
            let since = calmSince ?? now
            guard now >= since + policy.calmTime else {
                state = .degraded(up, calmSince: since)
                return nil
            }
            return begin(.healthy(up), .recovered, at: now)
        }
    }

    /// The greatest of latency, latency of checks (half of their timeout is too much) and error rate, in 1/1000 of its threshold.
    private func pressure() -> (Double, HealthChange.Reason) {
        var worst = (0.0, HealthChange.Reason.slowTraffic)
        if let limit = policy.degradedLatency, limit > .zero {
            worst.0 = traffic.meanLatency * 1000 / Double(limit.nanoseconds)
        }
        if policy.hasChecks, let checkLatency, policy.timeout > .zero {
            let checks = Double(checkLatency.nanoseconds) * 2000 / Double(policy.timeout.nanoseconds)
            if checks > worst.0 { worst = (checks, .slowChecks) }
        }
        if policy.degradedErrorPermille > 0 {
            let errors = traffic.errorPermille * 1000 / Double(policy.degradedErrorPermille)
            if errors > worst.0 { worst = (errors, .serverErrors) }
        }
        return worst
    }

    private func share(of up: Up, at now: Instant) -> Int {
        guard up.isSlowStarting, policy.slowStart > .zero else { return 1000 }
        let grown = Double(now.since(up.since).nanoseconds) / Double(policy.slowStart.nanoseconds)
        return grown >= 1 ? 1000 : max(100, Int(grown * 1000))
    }

    private func trial(_ trials: Int, after now: Instant, _ random: inout RandomSource) -> Instant {
        now + Backoff.wait(step: trials, most: policy.backoffMax, random: &random)
    }
}
