import Synchronization

/// Where a chain waits: the exchange as IO knows it, the phase, and the stage.
public struct SuspensionPoint: Hashable, Sendable {
    public enum Phase: UInt8, Sendable {
        case request, response
    }
    public let exchange: UInt64
    public let phase: Phase
    public let stage: Int

    public init(exchange: UInt64, phase: Phase, stage: Int) {
        self.exchange = exchange
        self.phase = phase
        self.stage = stage
    }
}

/// How a suspended request goes on.
public enum ResumeVerdict: Sendable {
    /// With the next stage.
    case proceed
    /// With the next stage, after these fields have taken the place of all of their names: in the request, or in the response where
    /// that was suspended. Fields that are the gateway's are left out.
    case proceedSetting([(name: String, value: String)])
    /// With this answer, as if the stage had returned it.
    case answer(Answer)
}

/// Takes resumptions back to the worker that owns the exchange.
///
/// Called from any thread, at most once for each `Resumption`; also before the middleware has returned `.suspend`, so it hands
/// the verdict over to the worker's mailbox. A point at which the exchange does not (or no longer) wait is ignored.
public protocol ResumptionSink: AnyObject, Sendable {
    func resume(_ point: SuspensionPoint, with verdict: ResumeVerdict)
}

/// The right to resume one suspended request once, from any thread.
///
/// Whoever never uses it leaves the request to its deadline, which the gateway enforces.
public final class Resumption: Sendable {
    private let sink: (any ResumptionSink)?
    private let point: SuspensionPoint
    private let isSpent = Atomic<Bool>(false)

    init(sink: (any ResumptionSink)?, point: SuspensionPoint) {
        self.sink = sink
        self.point = point
    }

    /// Lets the request go on. The second call does nothing, nor does one for a request that has ended meanwhile.
    public func resume(_ verdict: ResumeVerdict) {
        guard !isSpent.exchange(true, ordering: .acquiringAndReleasing) else { return }
        sink?.resume(point, with: verdict)
    }
}
