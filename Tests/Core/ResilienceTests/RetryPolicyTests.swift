import Primitives
import Testing

@testable import Resilience

@Suite struct RetryPolicyTests {
    private static let all = RetryConditions(rawValue: 127)

    private func verdict(_ failed: FailedTry, _ conditions: RetryConditions = all, seed: UInt64 = 1) -> RetryPolicy.Verdict {
        var policy = RetryPolicy()
        policy.conditions = conditions
        var random = RandomSource(seed: seed)
        return policy.verdict(on: failed, random: &random)
    }

    private func retries(_ failed: FailedTry, _ conditions: RetryConditions = all) -> Bool {
        if case .retry = verdict(failed, conditions) { true } else { false }
    }

    @Test func `what may be repeated follows from method, bytes sent, connection and body`() {  // 203
        let failures: [FailedTry.Failure] = [.connectFailed, .streamRefused, .closed, .broken, .timedOut, .status(503)]
        for failure in failures {
            for sent in [FailedTry.Sent.nothing, .headOnly, .body] {
                for isReused in [false, true] {
                    for isIdempotent in [false, true] {
                        for replayable in [false, true] {
                            let unprocessed = sent == .nothing || failure == .connectFailed || failure == .streamRefused
                            let expected = replayable && (isIdempotent || unprocessed)
                            let failed = FailedTry(
                                failure, sent: sent, isReused: isReused, isIdempotent: isIdempotent, bodyIsReplayable: replayable)
                            #expect(retries(failed) == expected, "\(failed)")
                            var began = failed
                            began.responseBegan = true
                            #expect(verdict(began) == .giveUp(.responseBegan))
                        }
                    }
                }
            }
        }
    }

    @Test func `a POST that timed out after any byte of it went out is never sent twice`() {
        for sent in [FailedTry.Sent.headOnly, .body] {
            #expect(verdict(FailedTry(.timedOut, sent: sent, isIdempotent: false)) == .giveUp(.notSafe))
        }
    }

    @Test func `by default a GET is retried after a failed connect and a stale connection, and not after 503 or a timeout`() {
        let table: [(FailedTry.Failure, Bool, Bool)] = [
            (.connectFailed, false, true), (.streamRefused, false, true), (.closed, true, true), (.closed, false, false),
            (.broken, true, false), (.timedOut, false, false), (.status(503), false, false), (.status(429), false, false),
        ]
        for (failure, isReused, expected) in table {
            let failed = FailedTry(failure, sent: .headOnly, isReused: isReused, isIdempotent: true)
            #expect(retries(failed, .usual) == expected, "\(failure)")
        }
    }

    @Test func `each condition covers what it names and nothing else`() {
        let failures: [FailedTry.Failure] = [
            .connectFailed, .streamRefused, .closed, .broken, .timedOut, .status(429), .status(500), .status(503), .status(404),
        ]
        let table: [(RetryConditions, [FailedTry.Failure])] = [
            (.connectFailure, [.connectFailed]), (.refusedStream, [.streamRefused]), (.staleConnection, []),
            (.serverError, [.closed, .broken, .status(500), .status(503)]), (.gatewayError, [.closed, .broken, .status(503)]),
            (.timeout, [.timedOut]), (.tooManyRequests, [.status(429)]), ([], []),
        ]
        for (conditions, covered) in table {
            for failure in failures {
                let failed = FailedTry(failure, sent: .headOnly, isIdempotent: true)
                #expect(retries(failed, conditions) == covered.contains(failure), "\(conditions) \(failure)")
            }
        }
        var policy = RetryPolicy()
        policy.statuses = [404]
        var random = RandomSource(seed: 1)
        let named = policy.verdict(on: FailedTry(.status(404), sent: .headOnly, isIdempotent: true), random: &random)
        #expect(named != .giveUp(.notWanted))
    }

    @Test func `the names of the configuration are those of the conditions`() {
        let names = ["connect_failure", "refused_stream", "stale_connection", "5xx", "gateway_error", "timeout", "429"]
        #expect(names.compactMap { RetryConditions(name: $0) }.reduce(into: []) { $0.formUnion($1) } == Self.all)
        #expect(RetryConditions(name: "other") == nil)
    }

    @Test func `a stale connection is retried at once, on a fresh one, once, and costs nothing`() {
        var failed = FailedTry(.closed, sent: .headOnly, isReused: true, isIdempotent: true, retriesDone: 2)
        #expect(verdict(failed, .usual) == .retry(.init(after: .zero, connection: .fresh, costsBudget: false)))
        failed.staleRetryDone = true
        #expect(!retries(failed, .usual))
    }

    @Test func `a POST of which nothing was written goes elsewhere, whatever closed its connection`() {
        let failed = FailedTry(.closed, sent: .nothing, isReused: false, isIdempotent: false)
        guard case .retry(let retry) = verdict(failed, .usual) else {
            Issue.record("not retried")
            return
        }
        #expect(retry.connection == .otherInstance && !retry.costsBudget)
    }

    @Test func `after 2 retries, or when another gateway retries, there is none`() {
        var failed = FailedTry(.connectFailed, sent: .nothing, isIdempotent: true, hasOtherInstance: false)
        for done in 0..<4 {
            failed.retriesDone = done
            #expect(retries(failed) == (done < 2))
        }
        failed.retriesDone = 0
        failed.isRetriedElsewhere = true
        #expect(verdict(failed) == .giveUp(.attemptsSpent))
    }

    @Test func `waits are spread from 0 to 25, 50 and at most 250 ms`() {
        var policy = RetryPolicy()
        policy.conditions = Self.all
        policy.retriesMax = 10
        var random = RandomSource(seed: 4)
        for (done, bound) in [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (9, 250)] {
            var waits: [UInt64] = []
            for _ in 0..<300 {
                let failed = FailedTry(.status(503), sent: .headOnly, isIdempotent: true, retriesDone: done)
                if case .retry(let retry) = policy.verdict(on: failed, random: &random) { waits.append(retry.after.nanoseconds) }
            }
            let most = UInt64(bound) * 1_000_000
            #expect(waits.count == 300 && waits.allSatisfy { $0 <= most })
            #expect((waits.min() ?? most) < most / 20 && (waits.max() ?? 0) > most / 20 * 19)
        }
    }

    @Test
    func `a request that nobody has read goes to each other instance at once, whatever was tried before, and costs nothing`() {
        var failed = FailedTry(.connectFailed, sent: .nothing, isIdempotent: false, retriesDone: 9)
        #expect(verdict(failed) == .retry(.init(after: .zero, connection: .otherInstance, costsBudget: false)))
        failed.hasOtherInstance = false
        #expect(verdict(failed) == .giveUp(.attemptsSpent))
        failed.retriesDone = 0
        guard case .retry(let retry) = verdict(failed) else {
            Issue.record("not retried")
            return
        }
        #expect(retry.costsBudget, "the same one again is a retry like any other")
    }

    @Test func `a service without retries has none for requests that nobody has read either`() {
        var policy = RetryPolicy()
        policy.retriesMax = 0
        var random = RandomSource(seed: 1)
        let failed = FailedTry(.connectFailed, sent: .nothing, isIdempotent: true)
        #expect(policy.verdict(on: failed, random: &random) == .giveUp(.attemptsSpent))
    }

    @Test func `Retry-After of the backend is waited for within the deadline, and beyond it the answer is passed on`() {
        var failed = FailedTry(.status(503), sent: .headOnly, isIdempotent: true, retryAfter: .seconds(2), remaining: .seconds(3))
        guard case .retry(let retry) = verdict(failed) else {
            Issue.record("not retried")
            return
        }
        #expect(retry.after == .seconds(2))
        failed.remaining = .seconds(2)
        #expect(verdict(failed) == .giveUp(.noTimeLeft))
        failed.remaining = .forever
        failed.retryAfter = .seconds(3600)
        #expect(verdict(failed) == .giveUp(.noTimeLeft))
    }
}
