import Primitives
import Testing

@testable import Health

@Suite struct CheckScheduleTests {
    /// An instance, its health and its checks, under traffic or not, in steps of 10 ms.
    struct Instance {
        enum Condition { case works, refuses, hangs }
        var condition = Condition.works
        var health: InstanceHealth
        var schedule: CheckSchedule
        var random: RandomSource
        var deadline: Instant?
        var checks: [Double] = []

        init(seed: UInt64, _ policy: HealthPolicy = HealthPolicy()) {
            random = RandomSource(seed: seed)
            health = InstanceHealth(policy: policy, at: second(0))
            schedule = CheckSchedule(policy: policy, spread: .zero, at: second(0), random: &random)
        }

        /// - Parameter responseTimeout: of the requests that are sent every 10 ms while the instance is eligible; 0 for no
        ///   traffic.
        mutating func step(_ now: Double, responseTimeout: Double, since changed: Double) {
            let at = second(now)
            if let due = schedule.due, due <= at {
                checks.append(now)
                deadline = schedule.began(pace: health.pace, usual: health.checkLatency, at: at)
            }
            if let deadline {
                switch condition {
                case .works: finish(true, at)
                case .refuses: finish(false, at)
                case .hangs: if at >= deadline { finish(false, at) }
                }
            }
            guard responseTimeout > 0, health.eligibility(at: at) != .none else { return }
            switch condition {
            case .works: _ = health.trafficAnswered(at: at)
            case .refuses: failed(.zero, at)
            case .hangs:
                if now - changed >= responseTimeout { failed(TimeAmount(nanoseconds: UInt64(responseTimeout * 1e9)), at) }
            }
        }

        private mutating func failed(_ took: TimeAmount, _ at: Instant) {
            _ = health.trafficFailed(after: took, at: at, random: &random)
            noted(at)
        }

        /// Something pointed at a fault.
        mutating func noted(_ at: Instant) {
            if let nearer = schedule.evidence(pace: health.pace, usual: health.checkLatency, at: at) { deadline = nearer }
        }

        private mutating func finish(_ passed: Bool, _ at: Instant) {
            deadline = nil
            _ = passed ? health.checkPassed(after: .milliseconds(1), at: at) : health.checkFailed(at: at)
            schedule.ended(pace: health.pace, at: at, random: &random)
        }
    }

    @Test(arguments: [Instance.Condition.refuses, .hangs])
    func `under traffic an instance that dies or hangs is failed within 5 s, though it is checked every 30 s`(
        condition: Instance.Condition
    ) {
        for seed in 0..<30 as Range<UInt64> {
            for responseTimeout in [0.2, 1.0, 1.9] {
                var instance = Instance(seed: seed)
                var detected: Double?
                let dies = 40 + Double(seed)
                for tick in 0..<12_000 where detected == nil {
                    let now = Double(tick) / 100
                    if now >= dies { instance.condition = condition }
                    instance.step(now, responseTimeout: responseTimeout, since: dies)
                    if instance.health.phase == .failed { detected = now - dies }
                }
                #expect((detected ?? 999) <= 5, "seed \(seed), \(responseTimeout): \(detected ?? 999)")
            }
        }
    }

    @Test func `requests without an answer for a second bring the checks that find a hanging instance, whatever its timeout`() {
        for seed in 0..<30 as Range<UInt64> {
            var instance = Instance(seed: seed)
            var detected: Double?
            let hangs = 40 + Double(seed)
            for tick in 0..<12_000 where detected == nil {
                let now = Double(tick) / 100
                if now >= hangs { instance.condition = .hangs }
                if now >= hangs + 1, now < hangs + 1.005 {
                    instance.health.suspected()
                    instance.noted(second(now))
                }
                instance.step(now, responseTimeout: 30, since: hangs)
                if instance.health.phase == .failed { detected = now - hangs }
            }
            #expect((detected ?? 999) <= 5, "seed \(seed): \(detected ?? 999)")
        }
    }

    @Test func `an instance that comes back serves within 60 s, however long it was away and however it flapped`() {
        for seed in 0..<20 as Range<UInt64> {
            for away in [5.0, 100, 900] {
                var instance = Instance(seed: seed)
                var back: Double?
                let returns = 60 + away
                for tick in 0..<Int((returns + 70) * 20) where back == nil {
                    let now = Double(tick) / 20
                    let flaps = now < 60 && Int(now / 3) % 2 == 1
                    instance.condition = flaps || (60..<returns).contains(now) ? .refuses : .works
                    instance.step(now, responseTimeout: 0.2, since: 0)
                    if now > returns, instance.health.phase == .healthy { back = now - returns }
                }
                #expect((back ?? 999) <= 60, "seed \(seed), away \(away): \(back ?? 999)")
            }
        }
    }

    @Test func `an instance that is well is checked every 30 s give or take a tenth`() {
        var instance = Instance(seed: 3)
        for tick in 0..<60_000 { instance.step(Double(tick) / 20, responseTimeout: 1, since: 0) }
        let gaps = zip(instance.checks, instance.checks.dropFirst()).map { $1 - $0 }
        #expect(gaps.count > 80 && gaps.allSatisfy { (26.9...33.1).contains($0) })
        #expect((gaps.max() ?? 0) - (gaps.min() ?? 0) > 4)
    }

    @Test func `a failed instance is checked after 1, 2, 4 up to 30 s give or take a fifth`() {
        var instance = Instance(seed: 3)
        instance.condition = .refuses
        for tick in 0..<6000 { instance.step(Double(tick) / 20, responseTimeout: 0, since: 0) }
        let gaps = zip(instance.checks, instance.checks.dropFirst()).map { $1 - $0 }
        for (gap, wait) in zip(gaps.dropFirst(2), [1.0, 2, 4, 8, 16, 30, 30, 30]) {
            #expect((wait * 0.8 - 0.06...min(30, wait * 1.2) + 0.06).contains(gap), "\(gap) for \(wait)")
        }
    }

    @Test func `any number of failures in traffic brings one check a second`() {
        var instance = Instance(seed: 1)
        for tick in 0..<3000 {
            let now = Double(tick) / 100
            instance.step(now, responseTimeout: 1, since: 0)
            instance.health.suspected()
            instance.noted(second(now))
        }
        #expect((29...32).contains(instance.checks.count), "\(instance.checks.count)")
    }

    @Test func `the first check comes at once, and those of many instances are spread`() {
        var random = RandomSource(seed: 1)
        let alone = CheckSchedule(policy: HealthPolicy(), spread: .zero, at: second(5), random: &random)
        #expect(alone.due == second(5))
        let many = (0..<500).compactMap { _ in
            CheckSchedule(policy: HealthPolicy(), spread: .seconds(30), at: second(0), random: &random).due
        }
        for quarter in 0..<4 {
            let (from, to) = (second(7.5 * Double(quarter)), second(7.5 * Double(quarter + 1)))
            #expect((80...170).contains(many.count(where: { $0 >= from && $0 < to })))
        }
    }

    @Test func `no second check begins while one runs, and what happens meanwhile hurries the next`() {
        var random = RandomSource(seed: 1)
        var schedule = CheckSchedule(policy: HealthPolicy(), spread: .zero, at: second(0), random: &random)
        #expect(schedule.began(pace: .fast, usual: nil, at: second(0)) == second(1))
        #expect(schedule.evidence(pace: .fast, usual: nil, at: second(0.5)) == nil)
        #expect(schedule.due == nil)
        schedule.ended(pace: .steady, at: second(0.6), random: &random)
        #expect(schedule.due == second(1))
    }

    @Test func `a check in doubt may take 1 s, or twice what it usually takes, and never more than its timeout`() {
        let table: [(InstanceHealth.Pace, TimeAmount?, Double)] = [
            (.fast, nil, 1), (.fast, .milliseconds(10), 1), (.fast, .seconds(2), 4), (.fast, .seconds(4), 5),
            (.steady, .milliseconds(10), 5), (.backoff, nil, 5),
        ]
        for (pace, usual, expected) in table {
            var random = RandomSource(seed: 1)
            var schedule = CheckSchedule(policy: HealthPolicy(), spread: .zero, at: second(0), random: &random)
            #expect(schedule.began(pace: pace, usual: usual, at: second(0)) == second(expected))
        }
    }

    @Test func `a check that began with time to spare has to hurry when traffic fails`() {
        var random = RandomSource(seed: 1)
        var schedule = CheckSchedule(policy: HealthPolicy(), spread: .zero, at: second(0), random: &random)
        #expect(schedule.began(pace: .steady, usual: nil, at: second(0)) == second(5))
        #expect(schedule.evidence(pace: .fast, usual: nil, at: second(0.5)) == second(1.5))
        #expect(schedule.evidence(pace: .fast, usual: nil, at: second(0.6)) == nil)
    }

    @Test func `as many as may be checked at once begin at once, and more are spread over a second or a shorter interval`() {
        var policy = HealthPolicy()
        #expect(CheckSchedule.spread(of: 64, atOnce: 64, policy: policy) == .zero)
        #expect(CheckSchedule.spread(of: 65, atOnce: 64, policy: policy) == .seconds(1))
        policy.interval = .milliseconds(100)
        #expect(CheckSchedule.spread(of: 65, atOnce: 64, policy: policy) == .milliseconds(100))
    }

    @Test func `a check that was given up comes again after the fast interval and takes no step of the backoff`() {
        var random = RandomSource(seed: 1)
        var schedule = CheckSchedule(policy: HealthPolicy(), spread: .zero, at: second(0), random: &random)
        _ = schedule.began(pace: .backoff, usual: nil, at: second(0))
        schedule.abandoned(at: second(0.2))
        #expect(schedule.due == second(1))
        _ = schedule.began(pace: .backoff, usual: nil, at: second(1))
        schedule.ended(pace: .backoff, at: second(1), random: &random)
        #expect((1.8...2.2).contains(Double(schedule.due?.nanoseconds ?? 0) / 1e9))
    }

    @Test func `a reload to a shorter interval takes effect at once, and without checks none is due`() {
        var random = RandomSource(seed: 1)
        var schedule = CheckSchedule(policy: HealthPolicy(), spread: .zero, at: second(0), random: &random)
        _ = schedule.began(pace: .steady, usual: nil, at: second(0))
        schedule.ended(pace: .steady, at: second(0), random: &random)
        var policy = HealthPolicy()
        policy.interval = .seconds(2)
        schedule.adopt(policy, at: second(1))
        #expect(schedule.due == second(3))
        policy.hasChecks = false
        schedule.adopt(policy, at: second(1))
        #expect(schedule.due == nil)
    }
}
