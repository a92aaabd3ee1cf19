import Health
import Primitives
import Resilience

/// A small gateway out of the real machines: one service with its breaker, its retry budget, three instances with their health, a
/// balancer with a limit of one request for each instance, and two workers that have at most one request each.
///
/// Every step is one event. A step reports the rule that it breaks.
struct World {
    enum Rule: Hashable {
        case noRequestToFailed, openSendsNothing, noneOverLimitWhileOneIdle, openIsTestedAgain, retriesWithinBudget, countsReturn
    }

    enum Event: Hashable {
        /// A client's request comes to a worker and goes to this instance, if the balancer may choose it.
        case arrives(worker: Int, instance: Int)
        /// The wait before a retry is over.
        case resumes(worker: Int, instance: Int)
        case ends(worker: Int, CallOutcome)
        case checkPasses(Int)
        case checkFails(Int)
        /// One second.
        case time
        /// As long as an opening is.
        case longTime
    }

    private enum Worker: Hashable {
        case idle
        case backingOff(retries: Int)
        case trying(instance: Int, permit: CircuitBreaker.ProbePermit?, began: Instant, retries: Int)
    }

    private static let instances = 3
    private static let limit = 1
    private static var random: RandomSource { RandomSource(seed: 1) }

    let mutant: Mutant?
    private let retryPolicy: RetryPolicy
    private(set) var breaker: CircuitBreaker
    private var health: [InstanceHealth]
    private var budget: RetryBudget
    private var workers = [Worker](repeating: .idle, count: 2)
    private var load = [Int](repeating: 0, count: Self.instances)
    private var now = Instant(nanoseconds: 100_000_000_000)
    private var openedAt = Instant.never
    /// What the budget must be right about: when requests and retries began.
    private var requestTimes: [Instant] = []
    private var retryTimes: [Instant] = []
    /// What the health of an instance must be right about: checks that failed in a row.
    private var failedChecks = [Int](repeating: 0, count: Self.instances)
    /// Which instances were eligible when time last passed.
    private var eligibleBefore = [Bool](repeating: true, count: Self.instances)
    private(set) var broken: Rule?

    /// - Parameter unknown: instances that no check has found well yet.
    init(hasChecks: Bool, unknown: Int = 0, mutant: Mutant? = nil) {
        self.mutant = mutant
        var retry = RetryPolicy()
        retry.conditions = [.connectFailure, .gatewayError]
        retryPolicy = retry
        var breakerPolicy = BreakerPolicy()
        breakerPolicy.failureThreshold = 2
        breakerPolicy.successThreshold = 1
        breakerPolicy.halfOpenMax = 1
        breakerPolicy.openTimeout = .seconds(5)
        breakerPolicy.openTimeoutMax = .seconds(10)
        breakerPolicy.probeTimeout = mutant == .probesAreLostForEver ? .forever : .seconds(2)
        breaker = CircuitBreaker(policy: breakerPolicy)
        var budgetPolicy = RetryBudget.Policy()
        budgetPolicy.sharePermille = 500
        budgetPolicy.floorConcurrent = 1
        budgetPolicy.floorPerSecond = 1
        budget = RetryBudget(policy: budgetPolicy)
        var healthPolicy = HealthPolicy()
        healthPolicy.hasChecks = hasChecks
        healthPolicy.fall = 2
        healthPolicy.rise = 1
        let start = now
        health = (0..<Self.instances).map { _ in InstanceHealth(policy: healthPolicy, at: start) }
        if hasChecks {
            for i in 0..<(Self.instances - unknown) { _ = health[i].checkPassed(after: .milliseconds(1), at: start) }
        }
        for i in health.indices { eligibleBefore[i] = isEligible(i) }
    }

    /// What can happen next. Of what is alike only one is listed: idle workers, and instances in one state.
    var events: [Event] {
        var events: [Event] = [.time, .longTime]
        let idle = workers.firstIndex(of: .idle)
        for (w, worker) in workers.enumerated() {
            switch worker {
            case .idle where w == idle:
                for i in choices { events.append(.arrives(worker: w, instance: i)) }
                if choices.isEmpty { events.append(.arrives(worker: w, instance: -1)) }
            case .idle: break
            case .backingOff:
                for i in choices { events.append(.resumes(worker: w, instance: i)) }
                if choices.isEmpty { events.append(.resumes(worker: w, instance: -1)) }
            case .trying:
                for outcome in [CallOutcome.answered, .serverError, .connectFailed, .clientGone] {
                    events.append(.ends(worker: w, outcome))
                }
            }
        }
        var seen: Set<Int> = []
        for i in 0..<Self.instances where health[i].policy.hasChecks && seen.insert(fingerprint(of: i)).inserted {
            events.append(.checkPasses(i))
            events.append(.checkFails(i))
        }
        return events
    }

    mutating func step(_ event: Event) {
        switch event {
        case .arrives(let worker, let instance):
            budget.requestBegan(at: now)
            requestTimes.append(now)
            send(worker, to: instance, retries: 0)
        case .resumes(let worker, let instance):
            guard case .backingOff(let retries) = workers[worker] else { return }
            send(worker, to: instance, retries: retries)
        case .ends(let worker, let outcome):
            ended(worker, outcome)
        case .checkPasses(let i):
            failedChecks[i] = 0
            let change = health[i].checkPassed(after: .milliseconds(1), at: now)
            if change?.from == .failed { noted(breaker.checksPassed(at: now)) }
        case .checkFails(let i):
            failedChecks[i] += 1
            if mutant != .healthMissesChecks || failedChecks[i] == 1 { _ = health[i].checkFailed(at: now) }
            breaker.checkFailed()
        case .time: pass(.seconds(1))
        case .longTime: pass(.seconds(11))
        }
        checkCounts()
        checkTesting()
    }

    // The gateway

    /// Instances that the balancer may choose from: the idle ones that are eligible. None when all are at their limit.
    private var choices: [Int] {
        var kinds: Set<Int> = []
        switch mutant {
        case .balancerPilesUp:
            return (0..<Self.instances).first { isEligible($0) }.map { [$0] } ?? []
        case .balancerIgnoresHealth:
            return (0..<Self.instances).filter { load[$0] < Self.limit && kinds.insert(fingerprint(of: $0)).inserted }
        case .balancerActsOnOldHealth:
            return (0..<Self.instances).filter {
                eligibleBefore[$0] && load[$0] < Self.limit && kinds.insert(fingerprint(of: $0)).inserted
            }
        default:
            return (0..<Self.instances).filter {
                isEligible($0) && load[$0] < Self.limit && kinds.insert(fingerprint(of: $0)).inserted
            }
        }
    }

    private func isEligible(_ i: Int) -> Bool { health[i].eligibility(at: now) != .none }

    private mutating func send(_ worker: Int, to instance: Int, retries: Int) {
        var random = Self.random
        let asked = mutant == .breakerIsNeverTested ? min(now, openedAt) : now
        let decision = breaker.admit(at: asked, random: &random)
        noted(decision.transition)
        var permit: CircuitBreaker.ProbePermit?
        switch decision.admission {
        case .admit: break
        case .admitProbe(let given): permit = given
        case .reject:
            let goesOn = mutant == .breakerIsNotAsked || mutant == .probesAreNotCounted && breaker.phase == .halfOpen
            guard goesOn else { return answer(worker, retries) }
        }
        guard instance >= 0 else {
            if mutant != .permitStaysWithoutInstance { record(.givenUp, permit, began: now) }
            return answer(worker, retries)
        }
        checkSending(to: instance, permit)
        load[instance] += 1
        workers[worker] = .trying(instance: instance, permit: permit, began: now, retries: retries)
    }

    private mutating func ended(_ worker: Int, _ outcome: CallOutcome) {
        guard case .trying(let instance, let permit, let began, let retries) = workers[worker] else { return }
        var random = Self.random
        let isLeft = outcome == .clientGone
        if !(isLeft && mutant == .loadOfAbortedRequestsStays) { load[instance] -= 1 }
        if outcome.weight == .failure, mutant == .loadIsTakenBackTwice, load[instance] > 0 || retries > 0 { load[instance] -= 1 }
        if !(isLeft && mutant == .probesAreLostForEver) { record(outcome, permit, began: began) }
        switch outcome {
        case .answered, .serverError: _ = health[instance].trafficAnswered(at: now)
        case .connectFailed:
            _ = health[instance].trafficFailed(after: now.since(began), at: now, random: &random)
        case .timedOut, .broken, .stale, .clientGone, .givenUp: break
        }
        guard outcome.weight == .failure else { return answer(worker, retries) }
        let failed = FailedTry(
            outcome == .connectFailed ? .connectFailed : .status(503), sent: outcome == .connectFailed ? .nothing : .headOnly,
            isIdempotent: true, retriesDone: retries)
        if retries > 0, mutant != .retriesNeverEnd { budget.retryEnded() }
        guard case .retry(let retry) = retryPolicy.verdict(on: failed, random: &random), retry.costsBudget else {
            workers[worker] = .idle
            return
        }
        let granted = budget.withdraw(at: now)
        guard granted || mutant == .budgetIsNotObeyed else {
            workers[worker] = .idle
            return
        }
        workers[worker] = .backingOff(retries: retries + 1)
        retryTimes.append(now)
        checkBudget()
    }

    private mutating func record(_ outcome: CallOutcome, _ permit: CircuitBreaker.ProbePermit?, began: Instant) {
        var random = Self.random
        noted(breaker.record(outcome, permit: permit, duration: now.since(began), at: now, random: &random))
    }

    private mutating func answer(_ worker: Int, _ retries: Int) {
        if retries > 0, mutant != .retriesNeverEnd { budget.retryEnded() }
        workers[worker] = .idle
    }

    private mutating func pass(_ amount: TimeAmount) {
        var random = Self.random
        now = now + amount
        if mutant != .breakerIsNeverTested { noted(breaker.tick(at: now, random: &random)) }
        for i in health.indices {
            _ = health[i].tick(at: now)
            eligibleBefore[i] = isEligible(i)
        }
    }

    private mutating func noted(_ transition: CircuitBreaker.Transition?) {
        if transition?.to == .open { openedAt = now }
    }

    // The rules

    private mutating func checkSending(to instance: Int, _ permit: CircuitBreaker.ProbePermit?) {
        if health[instance].phase == .failed { broken = broken ?? .noRequestToFailed }
        if failedChecks[instance] >= health[instance].policy.fall { broken = broken ?? .noRequestToFailed }
        switch breaker.phase {
        case .closed: if permit != nil { broken = broken ?? .openSendsNothing }
        case .open: broken = broken ?? .openSendsNothing
        case .halfOpen:
            let others = workers.count { isLive($0) }
            if permit == nil || others + 1 > breaker.policy.halfOpenMax { broken = broken ?? .openSendsNothing }
        }
        let idle = (0..<Self.instances).contains { $0 != instance && isEligible($0) && load[$0] == 0 }
        if load[instance] + 1 > Self.limit, idle { broken = broken ?? .noneOverLimitWhileOneIdle }
    }

    private func isLive(_ worker: Worker) -> Bool {
        if case .trying(_, let permit?, let began, _) = worker {
            permit.epoch == breaker.epoch && now < began + breaker.policy.probeTimeout
        } else {
            false
        }
    }

    /// Loads, probes and retries are those that the workers have, so they are zero when the workers are idle.
    private mutating func checkCounts() {
        var tries = [Int](repeating: 0, count: Self.instances)
        var retries = 0
        for worker in workers {
            switch worker {
            case .idle: break
            case .backingOff: retries += 1
            case .trying(let instance, _, _, let done):
                tries[instance] += 1
                if done > 0 { retries += 1 }
            }
        }
        let probesMatch = mutant == .probesAreLostForEver || breaker.probesInFlight == workers.count { isLive($0) }
        if tries != load || budget.inFlight != retries && mutant != .budgetIsNotObeyed || !probesMatch {
            broken = broken ?? .countsReturn
        }
    }

    /// Whatever state the breaker is in, waiting long enough makes it admit something.
    private mutating func checkTesting() {
        guard breaker.phase != .closed else { return }
        var later = breaker
        var random = Self.random
        var when = now
        for _ in 0..<3 {
            when = when + .seconds(20)
            let asked = mutant == .breakerIsNeverTested ? min(when, openedAt) : when
            switch later.admit(at: asked, random: &random).admission {
            case .admit, .admitProbe: return
            case .reject: continue
            }
        }
        broken = broken ?? .openIsTestedAgain
    }

    /// The budget's rule, from the times themselves.
    private mutating func checkBudget() {
        func recent(_ times: [Instant]) -> Int {
            times.count { now.nanoseconds / 1_000_000_000 - $0.nanoseconds / 1_000_000_000 < 10 }
        }
        let (requests, retries) = (recent(requestTimes), recent(retryTimes))
        let inSecond = retryTimes.count { now.nanoseconds / 1_000_000_000 == $0.nanoseconds / 1_000_000_000 }
        let withinShare = retries * 1000 <= requests * budget.policy.sharePermille
        let withinFloor = inSecond <= budget.policy.floorPerSecond && budget.inFlight <= budget.policy.floorConcurrent
        if !withinShare, !withinFloor { broken = broken ?? .retriesWithinBudget }
    }

    // Sameness

    /// The same for two worlds that differ in the names of instances and workers only.
    var fingerprint: Int {
        var hasher = Hasher()
        hasher.combine(breaker)
        hasher.combine(budget)
        hasher.combine(now)
        hasher.combine((0..<Self.instances).map { fingerprint(of: $0) }.sorted())
        hasher.combine(
            workers.map { worker in
                if case .backingOff(let retries) = worker { retries } else { 0 }
            }.sorted())
        return hasher.finalize()
    }

    /// An instance with what runs on it.
    private func fingerprint(of instance: Int) -> Int {
        var hasher = Hasher()
        hasher.combine(health[instance])
        hasher.combine(load[instance])
        if mutant != nil {
            hasher.combine(failedChecks[instance])
            hasher.combine(eligibleBefore[instance])
        }
        var tries: [Int] = []
        for worker in workers {
            guard case .trying(instance, let permit, let began, let retries) = worker else { continue }
            var inner = Hasher()
            inner.combine(permit)
            inner.combine(began)
            inner.combine(retries)
            tries.append(inner.finalize())
        }
        hasher.combine(tries.sorted())
        return hasher.finalize()
    }
}
