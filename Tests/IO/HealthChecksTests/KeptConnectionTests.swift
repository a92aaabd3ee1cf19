import Configuration
import Health
import Primitives
import Testing
import Upstream

@testable import HealthChecks

/// What becomes of a check's connection.
@Suite struct KeptConnectionTests {
    private static let fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    /// A bench with one instance whose first check has passed.
    private func passed(
        _ answer: String = fine, _ policy: HealthPolicy = .quick
    ) throws -> (bench: Bench, backend: Backend, side: BackendSide, instance: InstanceState) {
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address], policy)
        bench.watch([instance], .get, policy)
        let side = try bench.connection(to: backend)
        _ = try bench.request(on: side)
        side.send(answer)
        #expect(try bench.verdict() == .passed)
        return (bench, backend, side, instance)
    }

    @Test func `checks of an instance share a connection`() throws {
        let (bench, backend, side, _) = try passed()
        for round in 1..<4 {
            _ = try bench.request(on: side)
            side.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            #expect(try bench.verdict(after: round) == .passed)
        }
        #expect(backend.accept() == nil && bench.loop.keptCount == 1)
    }

    @Test func `a connection is closed where the response does not leave it good for another`() throws {
        let answers = [
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nok",
        ]
        for answer in answers {
            let (bench, _, side, _) = try passed(answer, .rare)
            try bench.ended(side)
            #expect(bench.loop.keptCount == 0 && bench.loop.connections.liveCount == 0, "\(answer)")
        }
    }

    @Test func `a body that is still coming is read for the connection's sake, and the verdict does not wait for it`() throws {
        let (bench, backend, side, _) = try passed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
        side.send("ok")
        _ = try bench.request(on: side)
        side.send(Self.fine)
        #expect(try bench.verdict(after: 1) == .passed)
        #expect(backend.accept() == nil)
    }

    @Test func `a body that is still coming when the next check is due costs the connection and not the check`() throws {
        let (bench, backend, side, _) = try passed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
        let second = try bench.connection(to: backend)
        try bench.ended(side)
        _ = try bench.request(on: second)
        second.send(Self.fine)
        #expect(try bench.verdict(after: 1) == .passed)
    }

    @Test func `a kept connection that the backend closes is closed here as well, and the next check opens another`() throws {
        let (bench, backend, side, instance) = try passed(Self.fine, .rare)
        #expect(bench.loop.keptCount == 1)
        side.close()
        try bench.wait("the end of the connection") { bench.loop.keptCount == 0 && bench.loop.connections.liveCount == 0 }
        bench.watch([instance])
        let second = try bench.connection(to: backend)
        _ = try bench.request(on: second)
        second.send(Self.fine)
        #expect(try bench.verdict(after: 1) == .passed)
    }

    @Test(arguments: [false, true])
    func `a kept connection that closes under the request is retried within the same check and is no failure`(isReset: Bool)
        throws
    {
        let (bench, backend, side, instance) = try passed()
        _ = try bench.request(on: side)
        if isReset { side.reset() } else { side.close() }
        let second = try bench.connection(to: backend)
        _ = try bench.request(on: second)
        #expect(bench.verdicts.count == 1)
        second.send(Self.fine)
        #expect(try bench.verdict(after: 1) == .passed)
        #expect(instance.health.pace == .steady)
    }

    @Test func `the retry of a check is not retried: a new connection that closes is a failure`() throws {
        let (bench, backend, side, _) = try passed()
        _ = try bench.request(on: side)
        side.close()
        let second = try bench.connection(to: backend)
        _ = try bench.request(on: second)
        second.close()
        #expect(try bench.verdict(after: 1) == .failed(.malformed))
    }

    @Test func `a kept connection that closes within an answer is a failure`() throws {
        let (bench, _, side, _) = try passed()
        _ = try bench.request(on: side)
        side.send("HTTP/1.1 ")
        side.close()
        #expect(try bench.verdict(after: 1) == .failed(.malformed))
    }

    @Test func `bytes on a kept connection that nobody asked for close it and are not the next answer`() throws {
        let (bench, backend, side, _) = try passed()
        side.send("HTTP/1.1 500 Surprise\r\nContent-Length: 0\r\n\r\n")
        let second = try bench.connection(to: backend)
        try bench.ended(side)
        _ = try bench.request(on: second)
        second.send(Self.fine)
        #expect(try bench.verdict(after: 1) == .passed)
    }

    @Test func `other addresses of the name take the next check, and the old connection goes`() throws {
        let (bench, _, side, instance) = try passed()
        let moved = try Backend()
        instance.setAddresses([moved.address])
        let second = try bench.connection(to: moved)
        try bench.ended(side)
        _ = try bench.request(on: second)
        second.send(Self.fine)
        #expect(try bench.verdict(after: 1) == .passed)
    }

    @Test func `a check that fails gives its connection up, and the next one goes to another address of the name`() throws {
        let bench = try Bench()
        let (first, second) = (try Backend(), try Backend())
        bench.watch([bench.instance("a", [first.address, second.address])])
        let side = try bench.connection(to: first)
        _ = try bench.request(on: side)
        side.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        #expect(try bench.verdict() == .failed(.status))
        try bench.ended(side)
        for round in 1..<3 {
            let other = try bench.connection(to: second)
            _ = try bench.request(on: other)
            other.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            #expect(try bench.verdict(after: round) == .passed)
        }
        #expect(first.accept() == nil)
    }

    @Test func `a backend that closes behind its answer leaves no connection behind`() throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], .get, .rare)
        let side = try bench.connection(to: backend)
        _ = try bench.request(on: side)
        side.send(Self.fine)
        side.close()
        #expect(try bench.verdict() == .passed)
        #expect(bench.loop.connections.liveCount == 0)
    }
}
