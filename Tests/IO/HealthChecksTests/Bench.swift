import Configuration
import Glibc
import Primitives
import Reactor
import Resilience
import Synchronization
import Testing
import Upstream

@testable import HealthChecks
@testable import Health

/// A check's verdict as it was reported.
struct Seen {
    let address: String
    let verdict: CheckJudge.Verdict
    let took: TimeAmount
    /// When the check began.
    let began: Instant
}

/// A checker's loop that the test turns itself, between the steps that it takes as the backend.
final class Bench {
    let loop: CheckLoop
    let mailbox: Mailbox<CheckMessage>
    let service: ServiceState
    private let reported = ReportedEvents()
    private(set) var events: [ServiceEvent] = []
    private(set) var verdicts: [Seen] = []

    init(_ calls: SystemCalls = .kernel) throws {
        mailbox = try Mailbox()
        let reported = reported
        loop = try CheckLoop(mailbox: mailbox, seed: 1, calls: calls) { reported.add($0) }
        service = ServiceState(name: "api", workers: 2, at: Clock.monotonic)
    }

    deinit {
        loop.adopt([])
    }

    func instance(_ name: String, _ addresses: [SocketAddress], _ policy: HealthPolicy = .quick) -> InstanceState {
        InstanceState(
            key: InstanceState.Key(service: "api", address: name), maxConnections: 10, addresses: addresses, service: service,
            health: policy, isAdded: false, at: Clock.monotonic)
    }

    func watch(
        _ instances: [InstanceState], _ check: CheckConfiguration? = .get, _ policy: HealthPolicy = .quick,
        breakers: [NamedBreaker] = [], dialect: BackendDialect = BackendDialect()
    ) {
        mailbox.post(.watch([watched(instances, check, policy, breakers: breakers, dialect: dialect)]))
    }

    func watched(
        _ instances: [InstanceState], _ check: CheckConfiguration? = .get, _ policy: HealthPolicy = .quick,
        breakers: [NamedBreaker] = [], dialect: BackendDialect = BackendDialect()
    ) -> WatchedService {
        WatchedService(
            state: service, breakers: breakers, health: policy, check: check,
            instances: instances.map {
                WatchedService.Instance(state: $0, authority: Array("backend:80".utf8), dialect: dialect)
            })
    }

    /// As a worker does for a request that failed.
    func hurry(_ instance: InstanceState) {
        if instance.raiseHurry() { mailbox.post(.hurry(instance)) }
    }

    func turn(_ timeout: Int32 = 0) {
        loop.turn(timeout: timeout)
        for event in reported.take() {
            events.append(event)
            guard case .checked(let key, let verdict, let took) = event else { continue }
            let began = Instant(nanoseconds: loop.now.nanoseconds - took.nanoseconds)
            verdicts.append(Seen(address: key.address, verdict: verdict, took: took, began: began))
        }
    }

    /// Turns the loop until something is there.
    func wait<Value>(
        _ what: String = "it", sourceLocation: SourceLocation = #_sourceLocation, _ look: () -> Value?
    ) throws -> Value {
        let end = Clock.monotonic + .seconds(20)
        while Clock.monotonic < end {
            if let value = look() { return value }
            turn(1)
        }
        Issue.record("\(what) did not come", sourceLocation: sourceLocation)
        throw Absent()
    }

    func wait(_ what: String = "it", sourceLocation: SourceLocation = #_sourceLocation, until isSo: () -> Bool) throws {
        _ = try wait(what, sourceLocation: sourceLocation) { isSo() ? true : nil }
    }

    func connection(to backend: Backend, sourceLocation: SourceLocation = #_sourceLocation) throws -> BackendSide {
        try wait("a connection", sourceLocation: sourceLocation) { backend.accept() }
    }

    func request(on side: BackendSide, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        try wait("a request", sourceLocation: sourceLocation) { side.takeRequest() }
    }

    func request(
        on side: SpeakingSide, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> SpeakingSide.Request {
        try wait("a request", sourceLocation: sourceLocation) { side.takeRequest() }
    }

    func ended(_ side: SpeakingSide, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try wait("the connection's end", sourceLocation: sourceLocation) {
            side.look()
            return side.isEnded
        }
    }

    /// The verdict behind as many others.
    func verdict(after others: Int = 0, sourceLocation: SourceLocation = #_sourceLocation) throws -> CheckJudge.Verdict {
        try wait("a verdict", sourceLocation: sourceLocation) { verdicts.count > others ? verdicts[others].verdict : nil }
    }

    func ended(_ side: BackendSide, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try wait("the connection's end", sourceLocation: sourceLocation) {
            side.look()
            return side.isEnded
        }
    }

    /// Fails when anything comes while the loop turns; each turn takes what the kernel has at once.
    func nothing(for turns: Int = 30, sourceLocation: SourceLocation = #_sourceLocation, _ look: () -> Bool) {
        for _ in 0..<turns {
            turn()
            #expect(!look(), sourceLocation: sourceLocation)
        }
    }
}

struct Absent: Error {}

/// What a loop reports, from whichever thread.
final class ReportedEvents: Sendable {
    private let events = Mutex<[ServiceEvent]>([])

    func add(_ event: ServiceEvent) { events.withLock { $0.append(event) } }
    func take() -> [ServiceEvent] {
        events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}

extension CheckConfiguration {
    static var get: CheckConfiguration { .http(target: "/health", host: nil, CheckExpectation()) }

    static func get(_ expectation: CheckExpectation) -> CheckConfiguration { .http(target: "/health", host: nil, expectation) }
}

extension HealthPolicy {
    /// Often enough for a test, and patient enough for a busy machine.
    static var quick: HealthPolicy {
        var policy = HealthPolicy()
        policy.interval = .milliseconds(50)
        policy.fastInterval = .milliseconds(50)
        policy.timeout = .seconds(10)
        policy.fastTimeout = .seconds(10)
        policy.backoffMax = .milliseconds(50)
        return policy
    }

    /// Gives up soon.
    static var impatient: HealthPolicy {
        var policy = quick
        policy.timeout = .milliseconds(60)
        policy.fastTimeout = .milliseconds(60)
        return policy
    }

    /// The next check is far away unless somebody is in a hurry.
    static var rare: HealthPolicy {
        var policy = quick
        policy.interval = .seconds(3600)
        return policy
    }
}
