import Primitives
import Synchronization

/// What all workers share about one instance: whether it takes requests, how many it has, how fast it answers.
///
/// The one who keeps the instances owns it and hands the same one to every `Balancer` of the service, over workers and reloads.
/// Each field is an atomic word, so that a change is seen by the next pick on every worker.
public final class InstanceLoad: Sendable {
    public let service: ServiceLoad
    private let statusWord: Atomic<UInt64>
    private let sent = Atomic<Int>(0)
    /// A request is there that finds out whether the instance still fails.
    private let isTried = Atomic<Bool>(false)
    private let latencyWord = Atomic<UInt64>(0)

    /// - Parameter status: an instance that joins a service at work begins with a slow start.
    public init(service: ServiceLoad, status: InstanceStatus) {
        self.service = service
        statusWord = Atomic(status.word)
    }

    public var status: InstanceStatus { InstanceStatus(word: statusWord.load(ordering: .acquiring)) }

    /// To be asked again at the moment of sending, where time has passed since the pick.
    public var takesRequests: Bool { status.takesRequests }

    /// Requests sent to it and not ended, over all workers.
    public var inFlight: Int { sent.load(ordering: .relaxed) }

    public var latency: LatencyAverage { LatencyAverage(word: latencyWord.load(ordering: .relaxed)) }

    // What happened to it.

    /// - Parameter startsSlowly: false for the first verdict after the gateway's own start, when all instances are new alike.
    /// - Parameter isOnTrial: `requestStarted` then admits one request at a time.
    public func healthChanged(
        to health: InstanceStatus.Health, isOnTrial: Bool = false, startsSlowly: Bool = true, at now: Instant
    ) {
        change(startsSlowly: startsSlowly, at: now) {
            $0.health = health
            $0.isOnTrial = isOnTrial
        }
    }

    public func ejected(at now: Instant) { change(startsSlowly: true, at: now) { $0.isEjected = true } }

    public func ejectionEnded(at now: Instant) { change(startsSlowly: true, at: now) { $0.isEjected = false } }

    public func drained(at now: Instant) { change(startsSlowly: true, at: now) { $0.isDraining = true } }

    public func undrained(at now: Instant) { change(startsSlowly: true, at: now) { $0.isDraining = false } }

    public enum Admission: Sendable {
        case admitted
        /// It is the one request that an instance on trial gets.
        case onTrial
        /// The instance is on trial and has that one already.
        case busy
    }

    /// A request is about to be sent to it. Every call that does not return `.busy` is answered by one `requestEnded`, on every path.
    @discardableResult
    public func requestStarted() -> Admission {
        var admission = Admission.admitted
        if status.isOnTrial {
            guard isTried.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else { return .busy }
            admission = .onTrial
        }
        sent.wrappingAdd(1, ordering: .relaxed)
        service.requestStarted()
        return admission
    }

    /// - Parameter wasOnTrial: what `requestStarted` said of it.
    public func requestEnded(wasOnTrial: Bool = false) {
        if wasOnTrial { isTried.store(false, ordering: .relaxed) }
        sent.wrappingSubtract(1, ordering: .relaxed)
        service.requestEnded()
    }

    /// It answered, or failed to, after this long. Not for a request that the client gave up.
    public func latencyMeasured(_ latency: TimeAmount, failed: Bool, decay: TimeAmount, at now: Instant) {
        var word = latencyWord.load(ordering: .relaxed)
        while true {
            let next = LatencyAverage(word: word).adding(latency, failed: failed, decay: decay, at: now)
            guard next.word != word else { return }
            let (exchanged, original) = latencyWord.compareExchange(expected: word, desired: next.word, ordering: .relaxed)
            if exchanged { return }
            word = original
        }
    }

    /// An instance that takes requests again begins slowly, and its old latency says nothing about it.
    private func change(startsSlowly: Bool, at now: Instant, _ body: (inout InstanceStatus) -> Void) {
        var before = status
        while true {
            var after = before
            body(&after)
            switch (before.takesRequests, after.takesRequests) {
            case (false, true): after.slowStartSince = startsSlowly ? now : nil
            case (true, false): after.slowStartSince = nil
            case (true, true), (false, false): break
            }
            guard after != before else { return }
            // Before the status, so that nobody who sees it takes requests still sees the old latency.
            if !before.takesRequests, after.takesRequests { latencyWord.store(0, ordering: .relaxed) }
            let (exchanged, original) = statusWord.compareExchange(
                expected: before.word, desired: after.word, ordering: .acquiringAndReleasing)
            if exchanged { break }
            before = InstanceStatus(word: original)
        }
        service.statusChanged()
    }
}
