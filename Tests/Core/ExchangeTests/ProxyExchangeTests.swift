import HTTPMessages
import Primitives
import Resilience
import Testing

@testable import Exchange

@Suite struct ProxyExchangeTests {
    /// What came of a failed try: another one, or the end.
    private enum Outcome: Equatable {
        case retry(RetryPolicy.Connection)
        case over(ProxyExchange.Recovery)
    }

    private func exchange(_ method: HTTPMessages.Method = .get, body: Bool = false, last: Bool = false) -> ProxyExchange {
        ProxyExchange(method: method, hasBody: body, isLast: last)
    }

    /// What a driver does whose budget is never spent.
    private func fail(
        _ exchange: inout ProxyExchange, _ failure: UpstreamFailure, anyResponseByte: Bool = false, hasOther: Bool = false,
        conditions: RetryConditions = .usual
    ) -> Outcome {
        var circumstances = ProxyExchange.Circumstances()
        circumstances.anyResponseByte = anyResponseByte
        circumstances.hasOtherInstance = hasOther
        var policy = RetryPolicy()
        policy.conditions = conditions
        var random = RandomSource(seed: 1)
        guard case .retry(let retry) = exchange.verdict(on: failure, circumstances, policy: policy, random: &random) else {
            return .over(exchange.failed(failure))
        }
        exchange.retrying(retry)
        return .retry(retry.connection)
    }

    /// A GET whose head has gone out on a kept-alive connection.
    private func awaiting(_ method: HTTPMessages.Method = .get, body: Bool = false, reused: Bool = true) -> ProxyExchange {
        var exchange = exchange(method, body: body)
        exchange.connected(reused: reused)
        exchange.headSent()
        if !body { exchange.requestWritten() }
        return exchange
    }

    @Test func `a response that ends as it should leaves both connections open`() {
        var exchange = awaiting()
        #expect(exchange.headReceived() == true)
        let ending = exchange.responseEnded(clientMayContinue: true, backendMayContinue: true)
        #expect(ending == .init(client: .keep, keepsBackend: true))
        #expect(exchange.state == .ended)
    }

    @Test(arguments: [HTTPMessages.Method.get, .head, .put, .delete, .options])
    func `an idempotent request on a reused connection that dies before the first byte is tried once on a fresh one`(
        method: HTTPMessages.Method
    ) {  // 43
        var exchange = awaiting(method)
        #expect(fail(&exchange, .closed) == .retry(.fresh))
        exchange.connected(reused: false)
        exchange.headSent()
        #expect(fail(&exchange, .closed) == .over(.refuse(.closed)))
        #expect(exchange.attempts == 2)
    }

    @Test(arguments: [HTTPMessages.Method.post, .patch, .other])
    func `a request that is not idempotent is never sent twice once its head went out`(method: HTTPMessages.Method) {  // 43
        var exchange = awaiting(method)
        #expect(fail(&exchange, .closed) == .over(.refuse(.closed)))
    }

    @Test func `a POST of which not a byte went out is tried on a fresh connection`() {  // 43
        var exchange = exchange(.post, body: true)
        exchange.connected(reused: true)
        #expect(fail(&exchange, .closed) == .retry(.fresh))
    }

    @Test func `a request is not repeated once bytes of its body are gone`() {
        var exchange = awaiting(.put, body: true)
        exchange.bodySent()
        #expect(fail(&exchange, .closed) == .over(.refuse(.closed)))
    }

    @Test func `a fresh connection that dies is the backend's fault and not retried`() {
        var exchange = awaiting(reused: false)
        #expect(fail(&exchange, .closed) == .over(.refuse(.closed)))
    }

    @Test func `a request is not repeated when the backend had begun to answer`() {
        var exchange = awaiting()
        #expect(fail(&exchange, .closed, anyResponseByte: true) == .over(.refuse(.closed)))
    }

    @Test(arguments: [UpstreamFailure.timedOut, .malformed, .headTooLarge, .truncated])
    func `only the keep-alive race is retried behind the connect`(failure: UpstreamFailure) {
        var exchange = awaiting()
        #expect(fail(&exchange, failure) == .over(.refuse(failure)))
    }

    @Test(arguments: [UpstreamFailure.unresolved, .connectRefused, .connectTimedOut, .connectFailed])
    func `a request that no backend has seen is tried elsewhere, as often as the policy says`(failure: UpstreamFailure) {
        var exchange = exchange(.post, body: true)
        #expect(fail(&exchange, failure) == .retry(.otherInstance))
        #expect(fail(&exchange, failure) == .retry(.otherInstance))
        #expect(fail(&exchange, failure) == .over(.refuse(failure)))
        #expect(fail(&exchange, failure) == .over(.nothing))
        #expect(exchange.attempts == 2)
    }

    @Test func `a request that no backend has seen goes on to instances that were not tried, and that counts as no retry`() {
        var exchange = exchange(.post, body: true)
        for _ in 0..<5 { #expect(fail(&exchange, .connectRefused, hasOther: true) == .retry(.otherInstance)) }
        #expect(fail(&exchange, .connectRefused) == .retry(.otherInstance))
        #expect(fail(&exchange, .connectRefused) == .retry(.otherInstance))
        #expect(fail(&exchange, .connectRefused) == .over(.refuse(.connectRefused)))
    }

    @Test func `a body that is kept is sent again, and one that is not is gone`() {
        for isKept in [false, true] {
            var exchange = awaiting(.put, body: true)
            exchange.bodySent(isKept: isKept)
            exchange.requestEnded()
            #expect(fail(&exchange, .closed) == (isKept ? .retry(.fresh) : .over(.refuse(.closed))))
            #expect(exchange.requestRead == !isKept, "what is sent again is still to be read")
        }
    }

    @Test func `a POST is repeated after its head went out only where its sender said that it may be`() {
        for isRepeatable in [false, true] {
            var exchange = ProxyExchange(method: .post, isRepeatable: isRepeatable, hasBody: false)
            exchange.connected(reused: false)
            exchange.headSent()
            #expect(exchange.maySendElsewhere == isRepeatable)
            let outcome = fail(&exchange, .timedOut, hasOther: true, conditions: [.timeout])
            #expect(outcome == (isRepeatable ? .retry(.otherInstance) : .over(.refuse(.timedOut))))
        }
    }

    @Test func `nothing may go elsewhere once the answer has begun`() {
        var exchange = awaiting()
        #expect(exchange.maySendElsewhere)
        #expect(exchange.headReceived() == true)
        #expect(!exchange.maySendElsewhere)
    }

    @Test(arguments: [UpstreamFailure.noInstance, .queueFull, .queueTimedOut])
    func `the queue's verdict is final`(failure: UpstreamFailure) {
        var exchange = exchange()
        #expect(fail(&exchange, failure, hasOther: true) == .over(.refuse(failure)))
        #expect(fail(&exchange, failure, hasOther: true) == .over(.nothing))
    }

    @Test func `a failure behind the response's head breaks the client's connection off`() {
        var exchange = awaiting()
        #expect(exchange.headReceived() == true)
        #expect(fail(&exchange, .truncated, anyResponseByte: true) == .over(.abort(.truncated)))
        #expect(fail(&exchange, .truncated, anyResponseByte: true) == .over(.nothing))
    }

    @Test func `a deadline is answered with a refusal before the head and with breaking off behind it`() {
        var waiting = exchange()
        #expect(waiting.failed(.timedOut) == .refuse(.timedOut))
        #expect(waiting.failed(.timedOut) == .nothing)
        var relaying = awaiting()
        #expect(relaying.headReceived() == true)
        #expect(relaying.failed(.timedOut) == .abort(.timedOut))
    }

    @Test func `an early answer to a request that is still coming closes both sides`() {  // 38
        var exchange = awaiting(.post, body: true)
        #expect(exchange.headReceived() == true)
        let ending = exchange.responseEnded(clientMayContinue: true, backendMayContinue: true)
        #expect(ending == .init(client: .linger, keepsBackend: false))
    }

    @Test func `a backend is not used again while part of the request waits to be written`() {  // 37
        var exchange = exchange(.post, body: true)
        exchange.connected(reused: false)
        exchange.headSent()
        exchange.bodySent()
        exchange.requestEnded()
        #expect(exchange.headReceived() == true)
        #expect(exchange.responseEnded(clientMayContinue: true, backendMayContinue: true).keepsBackend == false)
    }

    @Test func `a client's last request that has been read whole is followed by a plain close`() {
        var last = exchange(last: true)
        #expect(last.answered(clientMayContinue: false).client == .close)
        var unread = exchange(.post, body: true, last: true)
        #expect(unread.answered(clientMayContinue: false).client == .linger)
        var another = exchange()
        #expect(another.answered(clientMayContinue: false).client == .linger)
    }

    @Test func `a client that leaves ends the exchange and the backend's connection with it`() {
        var exchange = awaiting()
        #expect(exchange.clientAborted() == .init(client: .abort, keepsBackend: false))
        #expect(exchange.headReceived() == false)
    }

    @Test
    func `whatever happens in whatever order, an exchange ends once and is retried no more than its policy and the race allow`() {
        for seed in 0..<20_000 {
            var random = RandomSource(seed: UInt64(seed))
            let methods = HTTPMessages.Method.allCases
            let body = Bool.random(using: &random)
            var exchange = exchange(methods[Int.random(in: 0..<methods.count, using: &random)], body: body)
            var endings = 0
            var retries = 0
            for _ in 0..<40 where exchange.state != .ended {
                var outcome = Outcome.over(.nothing)
                switch (Int.random(in: 0..<9, using: &random), exchange.state) {
                case (0...2, .acquiring): exchange.connected(reused: Bool.random(using: &random))
                case (3, .acquiring): outcome = fail(&exchange, .connectRefused)
                case (4, .acquiring): outcome = fail(&exchange, .queueTimedOut)
                case (0, .awaitingHead): exchange.headSent()
                case (1, .awaitingHead) where body: exchange.bodySent()
                case (2, .awaitingHead): _ = exchange.headReceived()
                case (3, .awaitingHead): outcome = fail(&exchange, .closed, anyResponseByte: Bool.random(using: &random))
                case (0, .relaying): outcome = fail(&exchange, .truncated, anyResponseByte: true)
                case (1, .relaying):
                    _ = exchange.responseEnded(clientMayContinue: true, backendMayContinue: true)
                    endings += 1
                case (7, _): outcome = .over(exchange.failed(.timedOut))
                case (8, _):
                    _ = exchange.clientAborted()
                    endings += 1
                default: break
                }
                switch outcome {
                case .retry: retries += 1
                case .over(.refuse), .over(.abort): endings += 1
                case .over(.nothing): break
                }
            }
            #expect(endings == (exchange.state == .ended ? 1 : 0), "seed \(seed)")
            #expect(retries <= 3, "seed \(seed)")
        }
    }

    @Test func `every failure has a refusal: 502 for the backend's fault, 503 where nothing was sent, 504 for time`() {  // B.2
        for failure in UpstreamFailure.allCases {
            let expected: UInt16 =
                switch failure {
                case .noInstance, .queueFull, .queueTimedOut: 503
                case .connectTimedOut, .timedOut: 504
                case .unresolved, .connectRefused, .connectFailed, .tlsFailed, .streamRefused, .closed, .malformed, .headTooLarge,
                    .truncated:
                    502
                }
            #expect(failure.refusal.status == expected, "\(failure)")
        }
    }
}
