import Configuration
import Health
import Primitives
import Reactor
import Resilience
import Testing
import Upstream

@testable import HealthChecks

/// Configurations that come and go, and how many checks there are at once.
@Suite struct WatchingTests {
    private static let fine = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    private func pass(_ bench: Bench, _ backend: Backend) throws -> BackendSide {
        let before = bench.verdicts.count
        let side = try bench.connection(to: backend)
        _ = try bench.request(on: side)
        side.send(Self.fine)
        #expect(try bench.verdict(after: before) == .passed)
        return side
    }

    @Test func `an instance that stays keeps its connection, its counters and its schedule over a reload`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address], .rare)
        bench.watch([instance], .get, .rare)
        let side = try pass(bench, backend)
        for _ in 0..<3 {
            bench.watch([instance], .get, .rare)
            bench.nothing { side.takeRequest() != nil || backend.accept() != nil }
        }
        #expect(bench.verdicts.count == 1 && bench.loop.keptCount == 1)
        // A shorter interval counts from now, over the same connection.
        bench.watch([instance], .get, .quick)
        _ = try bench.request(on: side)
        #expect(instance.health.policy == .quick)
    }

    @Test func `another path is asked for at once`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address], .rare)
        bench.watch([instance], .get, .rare)
        let side = try pass(bench, backend)
        bench.watch([instance], .http(target: "/other", host: nil, CheckExpectation()), .rare)
        let second = try bench.connection(to: backend)
        try bench.ended(side)
        #expect(try bench.request(on: second).hasPrefix("GET /other HTTP/1.1\r\n"))
    }

    @Test func `a reload in the middle of a check takes the instance or its checks away without a verdict`() throws {
        for removed in [true, false] {
            let bench = try Bench()
            let backend = try Backend()
            let instance = bench.instance("a", [backend.address])
            bench.watch([instance])
            let side = try bench.connection(to: backend)
            _ = try bench.request(on: side)
            if removed { bench.watch([]) } else { bench.watch([instance], nil) }
            try bench.ended(side)
            #expect(bench.verdicts.isEmpty && bench.loop.deadlines.count == 0 && bench.loop.connections.liveCount == 0)
            #expect(instance.health.phase == (removed ? .unknown : .healthy))
        }
    }

    @Test func `a hundred instances added and removed by each of twenty reloads leave nothing behind`() throws {
        let bench = try Bench()
        let backend = try Backend()
        var sides: [BackendSide] = []
        for round in 0..<20 {
            let instances = (0..<100).map { bench.instance("\(round)-\($0)", [backend.address]) }
            bench.watch(instances)
            let before = bench.verdicts.count
            try bench.wait("some verdicts") {
                while let side = backend.accept() { sides.append(side) }
                for side in sides where side.takeRequest() != nil { side.send(Self.fine) }
                return bench.verdicts.count >= before + 50
            }
            #expect(bench.loop.places.count == 100 && bench.loop.instances.count <= 200)
            #expect(bench.loop.connections.liveCount <= 100 && bench.loop.due.count + bench.loop.deadlines.count == 100)
        }
        bench.watch([])
        try bench.wait("all connections' end") {
            while let side = backend.accept() { sides.append(side) }
            for side in sides { side.look() }
            return bench.loop.places.isEmpty && sides.allSatisfy(\.isEnded)
        }
        let loop = bench.loop
        #expect(loop.connections.liveCount == 0 && loop.keptCount == 0 && loop.due.count == 0 && loop.deadlines.count == 0)
        #expect(loop.hurried.isEmpty && loop.instances.allSatisfy { $0 == nil })
    }

    @Test func `of 500 instances that hang no more than 64 are checked at once, and each gets its turn`() throws {
        let bench = try Bench()
        let backend = try Backend()
        var policy = HealthPolicy.rare
        policy.fastInterval = .seconds(3600)
        let instances = (0..<500).map { bench.instance("\($0)", [backend.address], policy) }
        bench.watch(instances, .get, policy)
        var open: [BackendSide] = []
        func accept() { while let side = backend.accept() { open.append(side) } }
        // Nobody is answered: as many as may begin do, and no more.
        let start = Clock.monotonic
        try bench.wait("64 connections and a second") {
            accept()
            return open.count >= 64 && Clock.monotonic > start + .milliseconds(1100)
        }
        bench.nothing {
            accept()
            return open.count > 64
        }
        #expect(bench.loop.deadlines.count == 64 && bench.loop.due.count == 436)
        try bench.wait("500 verdicts") {
            for side in open { side.look() }
            open.removeAll(where: \.isEnded)
            accept()
            #expect(open.count <= 64)
            for side in open where side.takeRequest() != nil { side.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n") }
            return bench.verdicts.count == 500
        }
        #expect(Set(bench.verdicts.map(\.address)).count == 500)
    }

    @Test func `while checks wait for their turn or nothing is due, the loop sleeps from tick to tick`() throws {
        let bench = try Bench()
        let backend = try Backend()
        var policy = HealthPolicy.rare
        policy.timeout = .seconds(3600)
        policy.fastTimeout = .seconds(3600)
        let instances = (0..<100).map { bench.instance("\($0)", [backend.address], policy) }
        bench.watch(instances, .get, policy)
        var open: [BackendSide] = []
        let start = Clock.monotonic
        try bench.wait("all 100 to be due") {
            while let side = backend.accept() { open.append(side) }
            return Clock.monotonic > start + .milliseconds(1100)
        }
        var turns = 0
        let end = Clock.monotonic + .seconds(1)
        while Clock.monotonic < end {
            bench.turn(10_000)
            turns += 1
        }
        #expect(turns <= 6 && bench.loop.deadlines.count == 64 && bench.loop.due.count == 36, "\(turns)")
    }

    @Test func `up to 64 new instances are all checked at once`() throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch((0..<64).map { bench.instance("\($0)", [backend.address], .rare) }, .get, .rare)
        bench.turn(1000)
        #expect(bench.loop.deadlines.count == 64)
    }

    @Test func `a service that says it has checks and has none is not left waiting for them`() throws {
        let bench = try Bench()
        let instance = bench.instance("a", [])
        #expect(instance.health.phase == .unknown)
        bench.watch([instance], nil)
        bench.turn(1000)
        #expect(instance.health.phase == .healthy && instance.load.takesRequests)
    }
}
