import Balancing
import Pooling
import Primitives
import Reactor
import Synchronization
import Telemetry

/// One worker's side of an instance: its pool, and the addresses it connects to. Kept in memory of its own that does not move
/// (`PoolPointer`), since every request looks at one.
public struct InstancePool {
    public let state: InstanceState
    public var pool: ConnectionPool
    public var dialect: BackendDialect
    /// Its connections speak HTTP/2: as far as is known, where the handshake decides.
    public var speaksHTTP2: Bool
    /// Connections that carry many requests, those that are being made among them.
    public var shared: [Int32] = []
    // The state and its parts, reached without counting references; `state` keeps them alive.
    public let stateReference: Unmanaged<InstanceState>
    private let load: Unmanaged<InstanceLoad>
    private let slots: Unmanaged<ConnectionSlots>
    /// What this worker has seen of it and not told yet.
    public var seen = SeenTraffic()
    private var addresses: [SocketAddress]
    private var seenVersion: Int
    private var nextAddress = 0
    /// Counts the returns while another worker waits; every second one is for that worker.
    private var contested = 0
    /// Its place in the worker's list.
    public let index: Int32
    /// The requests that wait for its service on this worker.
    public let queue: ServiceQueue
    /// The service's name in the metrics.
    public var label: Label

    public init(
        index: Int32, state: InstanceState, queue: ServiceQueue, label: Label, policy: ConnectionPool.Policy,
        dialect: BackendDialect
    ) {
        self.index = index
        self.state = state
        stateReference = Unmanaged.passUnretained(state)
        load = Unmanaged.passUnretained(state.load)
        slots = Unmanaged.passUnretained(state.slots)
        self.queue = queue
        self.label = label
        pool = ConnectionPool(policy: policy)
        self.dialect = dialect
        speaksHTTP2 = dialect.http == .http2
        seenVersion = state.addressVersion.load(ordering: .acquiring)
        addresses = state.currentAddresses()
    }

    /// A request is about to be sent to the instance. Goes with one `requestEnded`, where it is not `.busy`.
    @inline(__always)
    public func requestStarted() -> InstanceLoad.Admission { load._withUnsafeGuaranteedRef { $0.requestStarted() } }

    @inline(__always)
    public func requestEnded(wasOnTrial: Bool) { load._withUnsafeGuaranteedRef { $0.requestEnded(wasOnTrial: wasOnTrial) } }

    /// Its name leads to more than one address, so that a failed connect says little of the others.
    public var addressCount: Int { addresses.count }

    public func latencyMeasured(_ latency: TimeAmount, failed: Bool, decay: TimeAmount, at now: Instant) {
        load._withUnsafeGuaranteedRef { $0.latencyMeasured(latency, failed: failed, decay: decay, at: now) }
    }

    /// Whether another worker waits for a connection to the instance.
    @inline(__always)
    public func othersWait(than worker: Int) -> Bool { slots._withUnsafeGuaranteedRef { $0.othersWait(than: worker) } }

    /// Whether a connection that comes back is to be closed for another worker's sake, or because there are too many.
    @inline(__always)
    public mutating func handsOver(worker: Int, hasOwnWaiters: Bool) -> Bool {
        if slots._withUnsafeGuaranteedRef({ $0.isOverLimit }) { return true }
        guard othersWait(than: worker) else { return false }
        contested &+= 1
        return !hasOwnWaiters || contested & 1 == 0
    }

    /// Whether the addresses have changed since the last look; idle connections may then lead to the old ones.
    public mutating func refreshAddresses() -> Bool {
        let version = state.addressVersion.load(ordering: .acquiring)
        guard version != seenVersion else { return false }
        seenVersion = version
        addresses = state.currentAddresses()
        nextAddress = 0
        return true
    }

    /// The address for the next connection: each in turn. Nil when the name has none.
    public mutating func takeAddress() -> SocketAddress? {
        guard !addresses.isEmpty else { return nil }
        nextAddress = (nextAddress + 1) % addresses.count
        return addresses[nextAddress]
    }
}

/// A pool's place; good until the worker frees it, which it does when nothing names it any more.
public typealias PoolPointer = UnsafeMutablePointer<InstancePool>

/// The requests of one worker that wait for a connection to one service.
public final class ServiceQueue {
    public let state: ServiceState
    public var waiters = WaitQueue()

    public init(state: ServiceState) { self.state = state }
}

/// Answers of an instance that a worker counts before it tells them, about once a second.
public struct SeenTraffic {
    public private(set) var requests = 0
    public private(set) var serverErrors = 0
    public private(set) var latency = TimeAmount.zero
    private var since = Instant(nanoseconds: 0)

    public init() {}

    /// - Returns: true when it is time to tell, and to `clear`.
    @inline(__always)
    public mutating func add(isServerError: Bool, latency more: TimeAmount, at now: Instant) -> Bool {
        requests &+= 1
        if isServerError { serverErrors &+= 1 }
        latency.nanoseconds &+= more.nanoseconds
        return now.since(since) > .seconds(1)
    }

    public mutating func clear(at now: Instant) {
        requests = 0
        serverErrors = 0
        latency = .zero
        since = now
    }
}
