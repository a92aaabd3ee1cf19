import Primitives
import Testing

@testable import Resilience

@Suite struct RetryBudgetTests {
    @Test func `of 1000 requests in the window 200 may be retried and the next may not`() {
        var budget = RetryBudget(policy: .init())
        for i in 0..<1000 { budget.requestBegan(at: second(10 + Double(i) / 1000)) }
        var granted = 0
        for i in 0..<1000 where budget.withdraw(at: second(11 + Double(i) / 1000)) { granted += 1 }
        #expect(granted == 200)
        #expect(budget.remainingPermille(at: second(12)) == 0)
    }

    @Test func `without requests 3 retries run at once, and the fourth waits for one to end`() {
        var budget = RetryBudget(policy: .init())
        for _ in 0..<3 { #expect(budget.withdraw(at: second(10)) == true) }
        #expect(budget.withdraw(at: second(10)) == false)
        budget.retryEnded()
        #expect(budget.withdraw(at: second(10)) == true)
        #expect(budget.inFlight == 3)
    }

    @Test func `retries that fail at once do not make thousands out of the floor`() {
        var budget = RetryBudget(policy: .init())
        var granted = 0
        for _ in 0..<10_000 where budget.withdraw(at: second(10)) {
            granted += 1
            budget.retryEnded()
        }
        #expect(granted == 10)
    }

    @Test func `a share of 0 allows no retry at all`() {
        var policy = RetryBudget.Policy()
        policy.sharePermille = 0
        var budget = RetryBudget(policy: policy)
        for _ in 0..<100 { budget.requestBegan(at: second(1)) }
        #expect(budget.withdraw(at: second(1)) == false)
        #expect(budget.remainingPermille(at: second(1)) == 0)
    }

    @Test func `the share comes back as the window moves on`() {
        var budget = RetryBudget(policy: .init())
        for _ in 0..<1000 { budget.requestBegan(at: second(10)) }
        for _ in 0..<200 {
            #expect(budget.withdraw(at: second(10)) == true)
            budget.retryEnded()
        }
        #expect(budget.withdraw(at: second(10)) == false)
        #expect(budget.remainingPermille(at: second(10)) == 0)
        for _ in 0..<1000 { budget.requestBegan(at: second(20)) }
        #expect(budget.remainingPermille(at: second(20)) == 1000)
        #expect(budget.withdraw(at: second(20)) == true)
    }

    @Test(arguments: 0..<40)
    func `in no window do retries exceed the share of its requests or the floor`(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var policy = RetryBudget.Policy()
        policy.sharePermille = random.pick(1000)
        var budget = RetryBudget(policy: policy)
        var events: [(at: Instant, isRetry: Bool)] = []
        var now = second(1)
        for _ in 0..<3000 {
            now = now + .milliseconds(UInt64(random.pick(1 + seed)))
            switch random.pick(5) {
            case 0, 1:
                budget.requestBegan(at: now)
                events.append((now, false))
            case 2, 3:
                if budget.withdraw(at: now) {
                    events.append((now, true))
                    let second = now.nanoseconds / 1_000_000_000
                    let recent = events.filter { second - $0.at.nanoseconds / 1_000_000_000 < 10 }
                    let retries = recent.count(where: \.isRetry)
                    let inSecond = recent.count(where: { $0.isRetry && $0.at.nanoseconds / 1_000_000_000 == second })
                    let share = (recent.count - retries) * policy.sharePermille
                    #expect(
                        retries * 1000 <= share || inSecond <= policy.floorPerSecond && budget.inFlight <= policy.floorConcurrent)
                }
            default: budget.retryEnded()
            }
        }
    }

    @Test func `many workers together stay within one budget`() async {
        let budget = SharedRetryBudget(policy: .init(), workers: 4)
        let granted = Count()
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask { for _ in 0..<1000 { budget.requestBegan(by: worker, at: second(5)) } }
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<1000 where budget.withdraw(at: second(5)) { granted.add(1) }
                }
            }
        }
        #expect(granted.value == 800)
        #expect(budget.retriesInFlight == 800 && budget.remainingPermille(at: second(5)) == 0)
        for _ in 0..<800 { budget.retryEnded() }
        #expect(budget.retriesInFlight == 0)
    }
}
