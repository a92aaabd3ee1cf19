import Configuration
import HTTP2
import Health
import Primitives
import Reactor
import Testing
import Upstream

@testable import HealthChecks

/// Checks of instances that speak HTTP/2 without encryption.
@Suite struct StreamCheckTests {
    private static let fine = "HTTP/1.1 200 OK\r\n"

    private func open(
        _ expectation: CheckExpectation = CheckExpectation(), _ policy: HealthPolicy = .quick
    ) throws -> (bench: Bench, backend: Backend, side: SpeakingSide) {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address], policy)], .get(expectation), policy, dialect: BackendDialect(.http2))
        return (bench, backend, try SpeakingSide(bench.connection(to: backend), http2: true))
    }

    @Test func `an h2c instance is asked over HTTP/2 at once, and checks share a connection`() throws {
        let (bench, backend, side) = try open()
        for round in 0..<3 {
            let request = try bench.request(on: side)
            #expect(request.stream?.number == Int32(1 + 2 * round))
            #expect(request.head.hasPrefix("GET /health HTTP/1.1\r\n") && request.head.contains("backend:80"))
            #expect(request.head.contains("sluice-health-check") && request.body.isEmpty)
            side.respond(request, Self.fine, body: Array("well".utf8))
            #expect(try bench.verdict(after: round) == .passed)
        }
        #expect(backend.accept() == nil && bench.loop.keptCount == 1)
    }

    @Test func `status, field and text are judged as over HTTP/1`() throws {
        let text = CheckExpectation(body: Array("up".utf8))
        let role = CheckExpectation(field: .init(name: Array("X-Role".utf8), value: Array("primary".utf8)))
        let table: [(CheckExpectation, String, String?, CheckJudge.Verdict)] = [
            (CheckExpectation(), "204 X", nil, .passed), (CheckExpectation(), "503 X", nil, .failed(.status)),
            (CheckExpectation(statuses: [503]), "503 X", "no", .passed), (text, "200 OK", "all up", .passed),
            (text, "200 OK", "down", .failed(.body)), (text, "200 OK", nil, .failed(.body)),
            (role, "200 OK\r\nx-role: primary", nil, .passed), (role, "200 OK\r\nx-role: standby", "x", .failed(.field)),
        ]
        for (expectation, start, body, result) in table {
            let (bench, _, side) = try open(expectation)
            side.respond(try bench.request(on: side), "HTTP/1.1 \(start)\r\n", body: body.map { Array($0.utf8) })
            #expect(try bench.verdict() == result, "\(start) \(body ?? "")")
        }
    }

    @Test func `interim responses are passed over, up to 16`() throws {
        for (count, result) in [(16, CheckJudge.Verdict.passed), (17, .failed(.malformed))] {
            let (bench, _, side) = try open()
            let request = try bench.request(on: side)
            for _ in 0..<count { side.interim(request) }
            side.respond(request, Self.fine)
            #expect(try bench.verdict() == result)
        }
    }

    @Test(arguments: [HTTP2ErrorCode.internalError, .cancel, .refusedStream, .protocolError])
    func `a stream that is reset fails the check of a new connection`(code: HTTP2ErrorCode) throws {
        let (bench, _, side) = try open()
        side.reset(try bench.request(on: side), code)
        #expect(try bench.verdict() == .failed(.malformed))
    }

    @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", ""])
    func `what is no HTTP/2 fails the check as malformed`(answer: String) throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], dialect: BackendDialect(.http2))
        let side = try bench.connection(to: backend)
        side.send(answer)
        if answer.isEmpty { side.close() }
        #expect(try bench.verdict() == .failed(.malformed))
        #expect(bench.loop.connections.liveCount == 0)
    }

    @Test func `an end in the middle of the answer fails the check where a text is expected`() throws {
        let (bench, _, side) = try open(CheckExpectation(body: Array("up".utf8)))
        side.respond(try bench.request(on: side), Self.fine, body: Array("we are ".utf8), ends: false)
        side.close()
        #expect(try bench.verdict() == .failed(.malformed))
    }

    @Test func `a backend that accepts and says nothing has until the check's deadline`() throws {
        let (bench, _, side) = try open(CheckExpectation(), .impatient)
        _ = try bench.request(on: side)
        #expect(try bench.verdict() == .failed(.timedOut))
        try bench.ended(side)
        #expect(side.goAways == 1)
    }

    @Test func `a kept connection answers pings, and closes when the backend says that it will`() throws {
        let (bench, _, side) = try open(CheckExpectation(), .rare)
        side.respond(try bench.request(on: side), Self.fine)
        #expect(try bench.verdict() == .passed)
        side.ping()
        try bench.wait("the answer to a ping") {
            side.look()
            return side.pongs == 1
        }
        #expect(bench.loop.keptCount == 1)
        side.drain()
        try bench.ended(side)
        #expect(bench.loop.keptCount == 0 && bench.verdicts.count == 1)
    }

    @Test
    func `a request on a kept connection that the backend refuses or closes is asked again on a new one, in the same check`()
        throws
    {
        for closes in [true, false] {
            let (bench, backend, side) = try open()
            side.respond(try bench.request(on: side), Self.fine)
            #expect(try bench.verdict() == .passed)
            let request = try bench.request(on: side)
            if closes { side.close() } else { side.reset(request, .refusedStream) }
            let second = try SpeakingSide(bench.connection(to: backend), http2: true)
            #expect(bench.verdicts.count == 1)
            second.respond(try bench.request(on: second), Self.fine)
            #expect(try bench.verdict(after: 1) == .passed)
        }
    }

    @Test func `a body is read for 64 KiB, and an endless one costs its stream and not the connection`() throws {
        let (bench, backend, side) = try open()
        let request = try bench.request(on: side)
        side.respond(request, Self.fine, body: [UInt8](repeating: 0x78, count: 300_000), ends: false)
        #expect(try bench.verdict() == .passed)
        try bench.wait("the reset") {
            side.look()
            return side.resets == 1
        }
        side.respond(try bench.request(on: side), Self.fine)
        #expect(try bench.verdict(after: 1) == .passed && backend.accept() == nil)

        let text = CheckExpectation(body: Array("up".utf8))
        for (filler, result) in [(60_000, CheckJudge.Verdict.passed), (66_000, .failed(.body))] {
            let (bench, _, side) = try open(text)
            let body = [UInt8](repeating: 0x78, count: filler) + Array("up".utf8)
            side.respond(try bench.request(on: side), Self.fine, body: body, ends: false)
            let verdict = try bench.wait("a verdict") { () -> CheckJudge.Verdict? in
                side.look()
                return bench.verdicts.first?.verdict
            }
            #expect(verdict == result, "\(filler)")
        }
    }

    @Test func `a flood of frames ends the kept connection`() throws {
        let (bench, _, side) = try open(CheckExpectation(), .rare)
        side.respond(try bench.request(on: side), Self.fine)
        #expect(try bench.verdict() == .passed)
        // PING, 8 bytes, on stream 0.
        let ping: [UInt8] = [0, 0, 8, 6, 0, 0, 0, 0, 0] + [UInt8](repeating: 1, count: 8)
        try bench.wait("the end of the connection") {
            side.look()
            if !side.isEnded { side.send([UInt8](repeatElement(ping, count: 50).joined())) }
            return bench.loop.connections.liveCount == 0
        }
        #expect(bench.verdicts.count == 1)
    }
}
