import HTTPMessages
import Primitives
import Resilience

/// The counters of one worker, for the whole of its life: no lock, no other thread, no allocation once a series has been seen.
///
/// The control thread asks for a `snapshot()`, a copy that the worker makes at a loop boundary and posts. Names come as
/// `Label`s, whose ids outlive a reload (`LabelRegistry`): nothing is folded or moved when the configuration changes.
public struct WorkerMetrics: ~Copyable {
    var tables = MetricsTables()
    private var longestTurn: UInt64 = 0

    public init() {}

    // Requests.

    /// A route was found and the request is being served. Goes with one `requestEnded(…, wasStarted: true)`.
    public mutating func requestStarted(_ route: Label) {
        tables.routes.add(1, to: tables.routes.cell(of: UInt64(route.id)) &+ RouteCells.inFlight)
    }

    /// A request is over, whatever became of it.
    /// - Parameter wasStarted: whether `requestStarted` was called for it.
    public mutating func requestEnded(_ request: RequestFigures, wasStarted: Bool) {
        tables.requests.add(
            1,
            to: tables.requests.cell(
                of: SeriesKey.request(
                    request.listener, request.route, request.service, request.method, request.status, request.reason)))
        let duration = tables.durations.cell(
            of: SeriesKey.duration(request.route, request.service, request.method, request.status))
        tables.durations.observe(
            request.duration.nanoseconds, bucket: Histogram.latencyBucket(request.duration.nanoseconds),
            width: Histogram.latencyWidth, at: duration)
        let route = tables.routes.cell(of: UInt64(request.route.id))
        if wasStarted { tables.routes.add(.max, to: route &+ RouteCells.inFlight) }
        tables.routes.observe(
            request.overhead.nanoseconds, bucket: Histogram.overheadBucket(request.overhead.nanoseconds),
            width: Histogram.overheadWidth, at: route &+ RouteCells.overhead)
        tables.routes.observe(
            request.bytesIn, bucket: Histogram.sizeBucket(request.bytesIn), width: Histogram.sizeWidth,
            at: route &+ RouteCells.requestSize)
        tables.routes.observe(
            request.bytesOut, bucket: Histogram.sizeBucket(request.bytesOut), width: Histogram.sizeWidth,
            at: route &+ RouteCells.responseSize)
        let listener = tables.listeners.cell(of: UInt64(request.listener.id))
        tables.listeners.add(1, to: listener &+ ListenerCells.requests(of: request.version))
    }

    /// A request was refused before it could be understood; `requestEnded` counts it as well.
    public mutating func rejected(_ reason: Reason) { tables.rejects[Int(reason.rawValue)] &+= 1 }

    /// A request was turned away since there is too much to do; `requestEnded` counts it as well.
    public mutating func shed(_ priority: RequestPriority) { tables.sheds[Int(priority.rawValue)] &+= 1 }

    /// A request to the admin listener is over.
    public mutating func administered(status: UInt16) {
        tables.administered.add(1, to: tables.administered.cell(of: UInt64(status)))
    }

    // Backends.

    /// One attempt is over.
    /// - Parameters:
    ///   - status: of the backend; 0 when it gave none.
    ///   - outcome: `.ok` when its answer was passed on, else what went wrong.
    ///   - duration: from the first byte sent, or the attempt to connect, to the end of the answer.
    public mutating func upstreamEnded(
        service: Label, instance: Label, status: UInt16, outcome: Reason, duration: TimeAmount
    ) {
        tables.upstreams.add(1, to: tables.upstreams.cell(of: SeriesKey.upstream(service, instance, status, outcome)))
        tables.services.observe(
            duration.nanoseconds, bucket: Histogram.latencyBucket(duration.nanoseconds), width: Histogram.latencyWidth,
            at: tables.services.cell(of: UInt64(service.id)) &+ ServiceCells.duration)
    }

    /// A new connection to a backend stands.
    public mutating func upstreamConnected(_ service: Label, after duration: TimeAmount) {
        tables.services.observe(
            duration.nanoseconds, bucket: Histogram.waitBucket(duration.nanoseconds), width: Histogram.waitWidth,
            at: tables.services.cell(of: UInt64(service.id)) &+ ServiceCells.connect)
    }

    /// A request that had to wait for a connection has got one, or has given up.
    public mutating func queueWaited(_ service: Label, for duration: TimeAmount) {
        tables.services.observe(
            duration.nanoseconds, bucket: Histogram.waitBucket(duration.nanoseconds), width: Histogram.waitWidth,
            at: tables.services.cell(of: UInt64(service.id)) &+ ServiceCells.queueWait)
    }

    /// A retry has come to its end, or was not allowed.
    /// - Parameter reason: what made it necessary.
    public mutating func retried(_ service: Label, _ reason: Reason, _ result: RetryResult) {
        tables.retries.add(1, to: tables.retries.cell(of: SeriesKey.retry(service, reason, result)))
    }

    /// A circuit breaker, the service's or a route's, turned a request away.
    public mutating func breakerRejected(_ service: Label) { count(service, ServiceCells.breakerRejected) }

    /// Something else answered in the place of the service.
    public mutating func fallbackServed(_ service: Label, _ kind: FallbackKind) {
        count(service, ServiceCells.fallbacks &+ Int(kind.rawValue))
    }

    /// The service had as many requests in flight as its adaptive limit allows.
    public mutating func concurrencyLimited(_ service: Label) { count(service, ServiceCells.concurrencyLimited) }

    /// A try told something about its instance. Only those that failed are counted: what succeeds is in `upstreamEnded`.
    public mutating func passiveEvidence(_ service: Label, failed: Bool) {
        if failed { count(service, ServiceCells.passiveFailures) }
    }

    private mutating func count(_ service: Label, _ cell: Int) {
        tables.services.add(1, to: tables.services.cell(of: UInt64(service.id)) &+ cell)
    }

    /// This worker's connections to the backends of a service, in one state, have become more or fewer.
    public mutating func upstreamConnections(_ service: Label, _ state: UpstreamConnectionState, changedBy change: Int) {
        let cell = tables.services.cell(of: UInt64(service.id)) &+ ServiceCells.connections &+ Int(state.rawValue)
        tables.services.add(UInt64(bitPattern: Int64(change)), to: cell)
    }

    /// One of this worker's connections to the backends of a service has changed its state.
    public mutating func upstreamConnectionMoved(
        _ service: Label, from old: UpstreamConnectionState, to new: UpstreamConnectionState
    ) {
        let cells = tables.services.cell(of: UInt64(service.id)) &+ ServiceCells.connections
        tables.services.add(.max, to: cells &+ Int(old.rawValue))
        tables.services.add(1, to: cells &+ Int(new.rawValue))
    }

    /// Requests that wait for a connection on this worker have become more or fewer.
    public mutating func queueLength(_ service: Label, changedBy change: Int) {
        let cell = tables.services.cell(of: UInt64(service.id)) &+ ServiceCells.queueLength
        tables.services.add(UInt64(bitPattern: Int64(change)), to: cell)
    }

    // Clients.

    /// A client has connected; an accepted connection goes with one `connectionClosed`.
    public mutating func connection(_ listener: Label, _ result: ConnectionResult) {
        let row = tables.listeners.cell(of: UInt64(listener.id))
        tables.listeners.add(1, to: row &+ ListenerCells.results &+ Int(result.rawValue))
        switch result {
        case .accepted: tables.listeners.add(1, to: row &+ ListenerCells.connections)
        case .overLimit, .overClientLimit, .proxyPeerRefused, .proxyHeaderMissing, .proxyHeaderInvalid: break
        }
    }

    public mutating func connectionClosed(_ listener: Label) {
        tables.listeners.add(.max, to: tables.listeners.cell(of: UInt64(listener.id)) &+ ListenerCells.connections)
    }

    public mutating func acceptFailed(_ error: AcceptError) { tables.acceptErrors[Int(error.rawValue)] &+= 1 }

    // The worker itself.

    /// Log lines that found no room.
    public mutating func logDropped(_ lines: UInt64) { tables.logDropped &+= lines }

    /// One turn of the event loop has ended: the time from its events being there to the last of them being handled.
    public mutating func loopTurned(_ duration: TimeAmount) { longestTurn = max(longestTurn, duration.nanoseconds) }

    /// Drops the series of names that left the configuration long ago, to make room for new ones. To be called once for each
    /// configuration, at a loop boundary.
    public mutating func adopt(_ labels: MetricsLabels) { tables.retain(labels.known) }

    /// What was counted so far, for `MetricsStore.receive`. The longest turn starts again.
    public mutating func snapshot() -> MetricsSnapshot {
        let snapshot = MetricsSnapshot(rows: tables.rows(), longestTurn: longestTurn)
        longestTurn = 0
        return snapshot
    }
}

/// One request, as it is counted.
public struct RequestFigures: Sendable {
    public var listener: Label
    /// `.none` when no route was found.
    public var route: Label
    /// `.none` when the route answered by itself, or there was none.
    public var service: Label
    public var method: Method
    /// That of the client's side.
    public var version: HTTPVersion
    /// As sent, or `Refusal.clientClosedStatus`.
    public var status: UInt16
    public var reason: Reason
    /// From the first byte of the request to the last of the answer.
    public var duration: TimeAmount
    /// What of it was the gateway's own: not the client, not the backend.
    public var overhead: TimeAmount
    /// Of the request: head and body, as they came.
    public var bytesIn: UInt64
    /// Of the answer: head and body, as they went.
    public var bytesOut: UInt64

    public init(
        listener: Label, route: Label, service: Label, method: Method, version: HTTPVersion = .http11, status: UInt16,
        reason: Reason, duration: TimeAmount, overhead: TimeAmount, bytesIn: UInt64, bytesOut: UInt64
    ) {
        self.listener = listener
        self.route = route
        self.service = service
        self.method = method
        self.version = version
        self.status = status
        self.reason = reason
        self.duration = duration
        self.overhead = overhead
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
    }
}

/// A worker's counters at one moment.
public struct MetricsSnapshot: Sendable {
    let rows: MetricsRows
    /// Nanoseconds.
    let longestTurn: UInt64
}
