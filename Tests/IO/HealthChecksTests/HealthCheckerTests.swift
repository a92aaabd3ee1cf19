import Configuration
import Glibc
import Health
import Primitives
import Reactor
import Synchronization
import Testing
import Upstream

@testable import HealthChecks

/// The thread around the loop.
@Suite struct HealthCheckerTests {
    /// Collects what is reported and lets the test wait for it.
    private final class Reports: Sendable {
        private let events = Mutex<[ServiceEvent]>([])
        private let wake: WakeDescriptor

        init() throws { wake = try WakeDescriptor() }
        deinit { wake.close() }

        func add(_ event: ServiceEvent) {
            events.withLock { $0.append(event) }
            wake.signal()
        }

        func verdicts(atLeast count: Int) -> [CheckJudge.Verdict] {
            let end = Clock.monotonic + .seconds(20)
            while Clock.monotonic < end {
                let found = events.withLock { events in
                    events.compactMap { if case .checked(_, let verdict, _) = $0 { verdict } else { nil } }
                }
                if found.count >= count { return found }
                var event = pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0)
                if poll(&event, 1, 1000) > 0 { wake.clear() }
            }
            return []
        }
    }

    /// Waits for a descriptor to have something.
    private func ready(_ descriptor: Int32) -> Bool {
        var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&event, 1, 20_000) > 0
    }

    @Test func `the thread checks what it is told to watch, hurries when asked, and closes everything when it is stopped`() throws
    {
        let reports = try Reports()
        let checker = try HealthChecker(seed: 1) { reports.add($0) }
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address], .rare)
        checker.watch([bench.watched([instance], .get, .rare)])
        #expect(ready(backend.socket.descriptor))
        let side = try #require(backend.accept())
        #expect(ready(side.descriptor))
        #expect(side.takeRequest() != nil)
        side.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(reports.verdicts(atLeast: 1) == [.passed])

        instance.change(at: Clock.monotonic) { $0.suspected() }
        checker.hurry(instance)
        #expect(ready(side.descriptor))
        #expect(side.takeRequest() != nil)
        checker.stop()
        side.look()
        #expect(side.isEnded)
        checker.stop()
        #expect(reports.verdicts(atLeast: 1).count == 1)
    }

    @Test func `a checker that nobody holds any more ends`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let side: BackendSide
        do {
            let checker = try HealthChecker(seed: 1) { _ in }
            checker.watch([bench.watched([bench.instance("a", [backend.address])])])
            #expect(ready(backend.socket.descriptor))
            side = try #require(backend.accept())
        }
        #expect(ready(side.descriptor))
        _ = side.takeRequest()
        side.look()
        #expect(side.isEnded)
    }
}
