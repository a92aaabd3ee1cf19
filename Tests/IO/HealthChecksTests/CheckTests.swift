import Configuration
import Health
import Primitives
import Reactor
import Testing
import Upstream

@testable import HealthChecks

/// One check after the other, each against a backend that the test plays.
@Suite struct CheckTests {
    /// What a check says of a backend that answers its request with this, and does nothing more.
    private func verdict(
        on answer: String, _ expectation: CheckExpectation = CheckExpectation(), closes: Bool = false
    ) throws -> CheckJudge.Verdict {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], .get(expectation))
        let side = try bench.connection(to: backend)
        _ = try bench.request(on: side)
        side.send(answer)
        if closes { side.close() }
        return try bench.verdict()
    }

    @Test func `a check asks for its path once, with a name of its own, the configured host and nothing else`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address])
        bench.watch([instance], .http(target: "/up?deep=1", host: "api.example.com", CheckExpectation()))
        let side = try bench.connection(to: backend)
        let request =
            "GET /up?deep=1 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: sluice-health-check\r\nAccept: */*\r\n\r\n"
        #expect(try bench.request(on: side) == request)
        side.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try bench.verdict() == .passed)
        #expect(instance.health.phase == .healthy && instance.load.takesRequests)
    }

    @Test func `without a host of its own a check names the instance`() throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])])
        #expect(try bench.request(on: bench.connection(to: backend)).contains("\r\nHost: backend:80\r\n"))
    }

    @Test func `the status decides: 200 to 399 passes unless others are expected, and no redirect is followed`() throws {
        let table: [(Int, [UInt16], CheckJudge.Verdict)] = [
            (200, [], .passed), (204, [], .passed), (302, [], .passed), (404, [], .failed(.status)), (500, [], .failed(.status)),
            (503, [], .failed(.status)), (503, [503], .passed), (200, [204], .failed(.status)),
        ]
        for (status, expected, result) in table {
            let answer = "HTTP/1.1 \(status) X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
            #expect(try verdict(on: answer, CheckExpectation(statuses: expected)) == result, "\(status)")
        }
    }

    @Test func `a field that is expected and missing fails the check, and one with another value does`() throws {
        let expectation = CheckExpectation(
            field: CheckExpectation.Field(name: Array("X-Role".utf8), value: Array("primary".utf8)))
        for (field, result) in [
            ("x-role: primary-1\r\n", CheckJudge.Verdict.passed), ("X-Role: standby\r\n", .failed(.field)), ("", .failed(.field)),
        ] {
            #expect(try verdict(on: "HTTP/1.1 200 OK\r\n\(field)Content-Length: 0\r\n\r\n", expectation) == result, "\(field)")
        }
    }

    @Test func `an expected text is found in a body of any framing, and its absence fails the check`() throws {
        let expectation = CheckExpectation(body: Array("\"up\"".utf8))
        let bodies: [(String, String)] = [
            ("Content-Length: 8\r\n\r\n", "[\"up\"] \n"),
            ("Transfer-Encoding: chunked\r\n\r\n", "4\r\n[\"up\r\n3\r\n\"]\n\r\n0\r\n\r\n"),
            ("Connection: close\r\n\r\n", "[\"up\"]"),
        ]
        for (head, body) in bodies {
            #expect(try verdict(on: "HTTP/1.1 200 OK\r\n\(head)\(body)", expectation, closes: true) == .passed, "\(head)")
            let other = "HTTP/1.1 200 OK\r\n\(head)\(body.map { $0 == "u" ? "x" : String($0) }.joined())"
            #expect(try verdict(on: other, expectation, closes: true) == .failed(.body), "\(head)")
        }
    }

    @Test func `what is no answer to a request fails the check as malformed`() throws {
        let table = [
            "220 mail.example.com ESMTP\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{15}\u{3}\u{1}\u{0}\u{2}", "HTTP/1.1 abc\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        ]
        for answer in table { #expect(try verdict(on: answer) == .failed(.malformed), "\(answer)") }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        #expect(try verdict(on: chunked, CheckExpectation(body: [1])) == .failed(.malformed))
    }

    @Test func `a backend that closes without an answer or within one fails the check`() throws {
        for answer in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le"] {
            #expect(try verdict(on: answer, closes: true) == .failed(.malformed), "\(answer)")
        }
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
        #expect(try verdict(on: cut, CheckExpectation(body: [1]), closes: true) == .failed(.malformed))
    }

    @Test func `interim responses are passed over, up to 16`() throws {
        let interim = String(repeating: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", count: 16)
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        #expect(try verdict(on: interim + last) == .passed)
        #expect(try verdict(on: interim + "HTTP/1.1 103 Early Hints\r\n\r\n" + last) == .failed(.malformed))
    }

    @Test func `an answer that comes byte by byte is read like one that comes whole`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let answer =
            "HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n"
        let field = CheckExpectation.Field(name: Array("x-a".utf8), value: [UInt8(ascii: "b")])
        bench.watch([bench.instance("a", [backend.address])], .get(CheckExpectation(body: Array("ok".utf8), field: field)))
        let side = try bench.connection(to: backend)
        for _ in 0..<2 {
            _ = try bench.request(on: side)
            let before = bench.verdicts.count
            for byte in answer {
                side.send(String(byte))
                bench.turn()
            }
            #expect(try bench.verdict(after: before) == .passed)
        }
    }

    /// Feeds a backend's answer that does not end until there is a verdict.
    private func endless(
        _ start: String, _ part: String, _ expectation: CheckExpectation = CheckExpectation(), _ policy: HealthPolicy = .quick,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> (verdict: CheckJudge.Verdict, parts: Int) {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], .get(expectation), policy)
        let side = try bench.connection(to: backend, sourceLocation: sourceLocation)
        _ = try bench.request(on: side, sourceLocation: sourceLocation)
        side.send(start)
        var parts = 0
        try bench.wait("a verdict", sourceLocation: sourceLocation) {
            guard bench.verdicts.isEmpty else { return true }
            side.send(part)
            parts += 1
            return false
        }
        return (bench.verdicts[0].verdict, parts)
    }

    @Test func `an endless head, line or run of interim responses ends in a verdict within its limits`() throws {
        let line = String(repeating: "x", count: 1000)
        #expect(try endless("HTTP/1.1 200 OK\r\n", "X-A: \(line)\r\n").verdict == .failed(.malformed))
        #expect(try endless("HTTP/1.1 200 OK\r\nX-A: ", line).verdict == .failed(.malformed))
        #expect(try endless("HTTP/1.1 200 ", line).verdict == .failed(.malformed))
        #expect(try endless("", "HTTP/1.1 100 Continue\r\n\r\n").verdict == .failed(.malformed))
        let long = try endless("", "HTTP/1.1 103 X\r\nLink: \(String(repeating: "x", count: 20_000))\r\n\r\n")
        #expect(long.verdict == .failed(.malformed) && long.parts < 16)
    }

    @Test func `an endless body passes with its head where no text is expected, and is read for 64 KiB where one is`() throws {
        let kilobyte = String(repeating: "x", count: 1024)
        let head = "HTTP/1.1 200 OK\r\n\r\n"
        #expect(try endless(head, kilobyte).verdict == .passed)
        let absent = try endless(head, kilobyte, CheckExpectation(body: Array("up".utf8)))
        #expect(absent.verdict == .failed(.body) && absent.parts >= 64 && absent.parts < 1000)
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let tiny = String(repeating: "1\r\nx\r\n", count: 100)
        #expect(try endless(chunks, tiny, CheckExpectation(body: Array("up".utf8))).verdict != .passed)
        let late = head + String(repeating: "x", count: 60_000) + "up"
        #expect(try endless(late, kilobyte, CheckExpectation(body: Array("up".utf8))).verdict == .passed)
        let tooLate = head + String(repeating: "x", count: 66_000) + "up"
        #expect(try endless(tooLate, kilobyte, CheckExpectation(body: Array("up".utf8))).verdict == .failed(.body))
    }

    @Test func `a backend that trickles its answer has until the check's deadline`() throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], .get, .impatient)
        let side = try bench.connection(to: backend)
        _ = try bench.request(on: side)
        side.send("HTTP/1.1 200 OK\r\nX-A: ")
        try bench.wait("a verdict") {
            side.send("x")
            return !bench.verdicts.isEmpty
        }
        #expect(bench.verdicts[0].verdict == .failed(.timedOut))
        #expect(bench.verdicts[0].took >= .milliseconds(60))
        try bench.ended(side)
    }

    @Test func `a backend that accepts and says nothing fails the check at its deadline, 3 times and it is failed`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address], .impatient)
        bench.watch([instance], .get, .impatient)
        let side = try bench.connection(to: backend)
        #expect(try bench.verdict() == .failed(.timedOut))
        try bench.ended(side)
        try bench.wait("the failure") { instance.health.phase == .failed }
        #expect(bench.verdicts.count == 3 && !instance.load.takesRequests)
    }

    @Test func `a backend that talks before it is asked fails the check, whatever it says`() throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])])
        // The loop has begun to connect and not seen yet that it is connected.
        let side = try bench.wait { () -> BackendSide? in
            bench.turn()
            return backend.accept()
        }
        side.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try bench.verdict() == .failed(.malformed))
    }

    @Test func `nobody who listens, a name without an address and a socket file that is missing fail the check as not connected`()
        throws
    {
        let bench = try Bench()
        let backend = try Backend()
        let address = backend.address
        backend.close()
        let missing = try #require(SocketAddress(unixPath: "/nonexistent/socket"))
        let instances = [bench.instance("a", [address]), bench.instance("b", []), bench.instance("c", [missing])]
        bench.watch(instances)
        try bench.wait("three verdicts") { Set(bench.verdicts.map(\.address)).count == 3 }
        #expect(bench.verdicts.allSatisfy { $0.verdict == .failed(.notConnected) })
    }

    @Test func `a name with several addresses is well while one of them is, and the next check goes there at once`() throws {
        let bench = try Bench()
        let dead = try Backend()
        let refusing = dead.address
        dead.close()
        let backend = try Backend()
        bench.watch([bench.instance("a", [refusing, refusing, backend.address])])
        for round in 0..<2 {
            let side = try bench.connection(to: backend)
            _ = try bench.request(on: side)
            side.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            #expect(try bench.verdict(after: round) == .passed)
        }
    }

    @Test func `a connection is all that a TCP check wants, and it closes it`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let dead = try Backend()
        let refusing = dead.address
        dead.close()
        bench.watch([bench.instance("a", [backend.address]), bench.instance("b", [refusing])], .tcp)
        let side = try bench.connection(to: backend)
        try bench.ended(side)
        try bench.wait("both verdicts") { Set(bench.verdicts.map(\.address)).count == 2 }
        for seen in bench.verdicts {
            #expect(seen.verdict == (seen.address == "a" ? .passed : .failed(.notConnected)))
        }
    }

    @Test func `descriptors that run out here are no verdict on the instance, and the check comes again`() throws {
        var calls = SystemCalls.kernel
        calls.connect = { _ in -24 }
        let bench = try Bench(calls)
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address])
        bench.watch([instance], .get, .quick)
        let start = Clock.monotonic
        try bench.wait("time") { Clock.monotonic > start + .milliseconds(300) }
        #expect(bench.verdicts.isEmpty && instance.health.phase == .unknown)
        #expect(bench.loop.due.count == 1 && bench.loop.deadlines.count == 0)
    }
}
