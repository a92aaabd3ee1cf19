import HTTPMessages
import Primitives
import Testing

@testable import Exchange

@Suite struct ProxyExchangeTests {
    private func exchange(_ method: HTTPMessages.Method = .get, body: Bool = false, retries: Int = 2, last: Bool = false)
        -> ProxyExchange
    {
        ProxyExchange(policy: .init(retriesMax: retries), method: method, hasBody: body, isLast: last)
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
        #expect(exchange.backendFailed(.closed, anyResponseByte: false) == .retry(fresh: true))
        exchange.connected(reused: true)
        exchange.headSent()
        #expect(exchange.backendFailed(.closed, anyResponseByte: false) == .refuse(.closed))
        #expect(exchange.attempts == 2)
    }

    @Test(arguments: [HTTPMessages.Method.post, .patch, .other])
    func `a request that is not idempotent is never sent twice once its head went out`(method: HTTPMessages.Method) {  // 43
        var exchange = awaiting(method)
        #expect(exchange.backendFailed(.closed, anyResponseByte: false) == .refuse(.closed))
    }

    @Test func `a POST of which not a byte went out is tried on a fresh connection`() {  // 43
        var exchange = exchange(.post, body: true)
        exchange.connected(reused: true)
        #expect(exchange.backendFailed(.closed, anyResponseByte: false) == .retry(fresh: true))
    }

    @Test func `a request is not repeated once bytes of its body are gone`() {
        var exchange = awaiting(.put, body: true)
        exchange.bodySent()
        #expect(exchange.backendFailed(.closed, anyResponseByte: false) == .refuse(.closed))
    }

    @Test func `a fresh connection that dies is the backend's fault and not retried`() {
        var exchange = awaiting(reused: false)
        #expect(exchange.backendFailed(.closed, anyResponseByte: false) == .refuse(.closed))
    }

    @Test func `a request is not repeated when the backend had begun to answer`() {
        var exchange = awaiting()
        #expect(exchange.backendFailed(.closed, anyResponseByte: true) == .refuse(.closed))
    }

    @Test(arguments: [UpstreamFailure.timedOut, .malformed, .headTooLarge, .truncated])
    func `only the keep-alive race is retried behind the connect`(failure: UpstreamFailure) {
        var exchange = awaiting()
        #expect(exchange.backendFailed(failure, anyResponseByte: false) == .refuse(failure))
    }

    @Test(arguments: [UpstreamFailure.unresolved, .connectRefused, .connectTimedOut, .connectFailed])
    func `a request that no backend has seen is tried elsewhere, as often as the policy says`(failure: UpstreamFailure) {
        var exchange = exchange(.post, body: true, retries: 2)
        #expect(exchange.connectFailed(failure) == .retry(fresh: false))
        #expect(exchange.connectFailed(failure) == .retry(fresh: false))
        #expect(exchange.connectFailed(failure) == .refuse(failure))
        #expect(exchange.connectFailed(failure) == .nothing)
        #expect(exchange.attempts == 3)
    }

    @Test(arguments: [UpstreamFailure.noInstance, .queueFull, .queueTimedOut])
    func `the queue's verdict is final`(failure: UpstreamFailure) {
        var exchange = exchange()
        #expect(exchange.acquiringGivenUp(failure) == .refuse(failure))
        #expect(exchange.acquiringGivenUp(failure) == .nothing)
    }

    @Test func `a failure behind the response's head breaks the client's connection off`() {
        var exchange = awaiting()
        #expect(exchange.headReceived() == true)
        #expect(exchange.backendFailed(.truncated, anyResponseByte: true) == .abort(.truncated))
        #expect(exchange.backendFailed(.truncated, anyResponseByte: true) == .nothing)
    }

    @Test func `a deadline is answered with a refusal before the head and with breaking off behind it`() {
        var waiting = exchange()
        #expect(waiting.deadlineFired() == .refuse(.timedOut))
        #expect(waiting.deadlineFired() == .nothing)
        var relaying = awaiting()
        #expect(relaying.headReceived() == true)
        #expect(relaying.deadlineFired() == .abort(.timedOut))
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
                var recovery = ProxyExchange.Recovery.nothing
                switch (Int.random(in: 0..<9, using: &random), exchange.state) {
                case (0...2, .acquiring): exchange.connected(reused: Bool.random(using: &random))
                case (3, .acquiring): recovery = exchange.connectFailed(.connectRefused)
                case (4, .acquiring): recovery = exchange.acquiringGivenUp(.queueTimedOut)
                case (0, .awaitingHead): exchange.headSent()
                case (1, .awaitingHead) where body: exchange.bodySent()
                case (2, .awaitingHead): _ = exchange.headReceived()
                case (3, .awaitingHead): recovery = exchange.backendFailed(.closed, anyResponseByte: Bool.random(using: &random))
                case (0, .relaying): recovery = exchange.backendFailed(.truncated, anyResponseByte: true)
                case (1, .relaying):
                    _ = exchange.responseEnded(clientMayContinue: true, backendMayContinue: true)
                    endings += 1
                case (7, _): recovery = exchange.deadlineFired()
                case (8, _):
                    _ = exchange.clientAborted()
                    endings += 1
                default: break
                }
                switch recovery {
                case .retry: retries += 1
                case .refuse, .abort: endings += 1
                case .nothing: break
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
                case .unresolved, .connectRefused, .connectFailed, .closed, .malformed, .headTooLarge, .truncated: 502
                }
            #expect(failure.refusal.status == expected, "\(failure)")
        }
    }
}
