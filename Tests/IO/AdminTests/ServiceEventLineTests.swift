import Admin
import Health
import Primitives
import Resilience
import Telemetry
import Testing
import Upstream

@testable import Control

struct ServiceEventLineTests {
    private let key = InstanceState.Key(service: "users", address: "10.0.0.5:8080")
    private let start = Instant(nanoseconds: 1_000_000_000)

    /// A line as it stands in the log, without its time.
    private func texts(_ event: ServiceEvent, _ history: ServiceHistory = ServiceHistory()) -> [String] {
        ServiceEventLine.lines(for: event, history).map { line in
            String(decoding: LogLine.body(line.level, line.message, line.values), as: UTF8.self)
        }
    }

    /// The changes of an instance that fails and comes back, again and again.
    private func changes(failures: Int) -> [HealthChange] {
        var machine = InstanceHealth(policy: HealthPolicy(), at: start)
        var now = start
        var changes: [HealthChange] = []
        for _ in 0..<failures {
            while machine.phase != .healthy {
                now = now + .milliseconds(100)
                if let change = machine.checkPassed(after: .milliseconds(1), at: now) { changes.append(change) }
            }
            while machine.phase != .failed {
                now = now + .milliseconds(100)
                if let change = machine.checkFailed(at: now) { changes.append(change) }
            }
        }
        return changes
    }

    @Test func `a breaker that opens is a warning, one that is tested or closes is none`() {
        var machine = CircuitBreaker(policy: BreakerPolicy())
        var dice = RandomSource(seed: 1)
        let tripped = machine.trip(at: start, random: &dice)
        #expect(
            texts(.breaker(service: "users", route: nil, tripped)) == [
                #","level":"warn","type":"log","message":"circuit breaker opened","service":"users","from":"closed","to":"open","reason":"tripped""#
            ])
        let halfOpen = machine.tick(at: start + .seconds(61), random: &dice)
        #expect(
            halfOpen.map { texts(.breaker(service: "users", route: "slow", $0)) } == [
                #","level":"info","type":"log","message":"circuit breaker half open","service":"users","route":"slow","from":"open","to":"half_open","reason":"open_time_elapsed""#
            ])
        let closed = machine.reset(at: start + .seconds(62))
        #expect(
            texts(.breaker(service: "users", route: nil, closed)) == [
                #","level":"info","type":"log","message":"circuit breaker closed","service":"users","from":"half_open","to":"closed","reason":"reset""#
            ])
    }

    @Test func `an instance that fails is a warning that says what its checks found`() throws {
        let changes = changes(failures: 1)
        #expect(
            texts(.health(key, changes[0])) == [
                #","level":"info","type":"log","message":"instance healthy","service":"users","instance":"10.0.0.5:8080","from":"unknown","to":"healthy","reason":"checks_passed""#
            ])
        var history = ServiceHistory()
        history.note(.checked(key, .failed(.timedOut), .seconds(1)), at: start)
        #expect(
            texts(.health(key, changes[1]), history) == [
                #","level":"warn","type":"log","message":"instance failed","service":"users","instance":"10.0.0.5:8080","from":"healthy","to":"failed","reason":"checks_failed","check":"timed_out""#
            ])
        #expect(!texts(.health(key, changes[1])).contains { $0.contains("\"check\"") })
    }

    @Test func `changes back and forth are alike word for word, so that they collapse, and flapping is said`() {
        let changes = changes(failures: 3)
        let lines = changes.flatMap { texts(.health(key, $0)) }
        #expect(lines.count == changes.count + 1)
        #expect(lines.contains { $0.contains("instance flaps") && $0.contains("\"level\":\"warn\"") })
        #expect(Set(lines).count == 4, "unknown to healthy, failed to healthy, healthy to failed, flaps")
        var repeats = RepeatedLines()
        var written = 0
        for (second, line) in lines.enumerated() {
            let at = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            written += repeats.add(.warn, Array(line.utf8), at: at, time: Timestamp(seconds: 0)).count
        }
        #expect(written == 4)
    }

    @Test func `an ejection says why and for how long, a return that it is over`() {
        let event = ServiceEvent.ejected(key, .serverErrors, until: start + .milliseconds(28_900), at: start)
        #expect(
            texts(event) == [
                #","level":"warn","type":"log","message":"instance ejected","service":"users","instance":"10.0.0.5:8080","reason":"server_errors","seconds":28"#
            ])
        #expect(
            texts(.returned(key)) == [
                #","level":"info","type":"log","message":"instance back after its ejection","service":"users","instance":"10.0.0.5:8080""#
            ])
    }

    @Test func `single checks are told to whoever debugs, and those that pass to nobody`() {
        #expect(
            texts(.checked(key, .failed(.status), .milliseconds(3))) == [
                #","level":"debug","type":"log","message":"check failed","service":"users","instance":"10.0.0.5:8080","reason":"status""#
            ])
        #expect(texts(.checked(key, .passed, .milliseconds(3))) == [])
    }
}
