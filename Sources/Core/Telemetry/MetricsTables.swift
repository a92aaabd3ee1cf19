import HTTPMessages
import Resilience

/// All that one worker counts; also the sum over workers.
struct MetricsTables: ~Copyable {
    var requests = SeriesTable(width: 1)
    var durations = SeriesTable(width: Histogram.latencyWidth)
    var routes = SeriesTable(width: RouteCells.width)
    var services = SeriesTable(width: ServiceCells.width)
    var listeners = SeriesTable(width: ListenerCells.width)
    var upstreams = SeriesTable(width: 1)
    var retries = SeriesTable(width: 1)
    var handshakes = SeriesTable(width: HandshakeCells.width)
    /// By listener and `HandshakeFault`.
    var handshakeFaults = SeriesTable(width: 1)
    /// By service and `HandshakeFault`.
    var upstreamHandshakeFaults = SeriesTable(width: 1)
    /// By listener and `SessionFault`.
    var sessionFaults = SeriesTable(width: 1)
    /// By listener and `StreamFault`.
    var streamFaults = SeriesTable(width: 1)
    /// By route; only routes that have had a tunnel have a row.
    var tunnels = SeriesTable(width: TunnelCells.width)
    /// By status.
    var administered = SeriesTable(width: 1)
    /// By `Reason`.
    var rejects = [UInt64](repeating: 0, count: Reason.allCases.count)
    /// By `AcceptError`.
    var acceptErrors = [UInt64](repeating: 0, count: AcceptError.allCases.count)
    /// By `RequestPriority`.
    var sheds = [UInt64](repeating: 0, count: RequestPriority.allCases.count)
    var logDropped: UInt64 = 0

    /// Adds up, but for the series of names that are gone.
    mutating func add(_ rows: MetricsRows, _ known: KnownLabels) {
        requests.add(rows.requests) { SeriesKey.isKnownRequest($0, known) }
        durations.add(rows.durations) { SeriesKey.isKnownDuration($0, known) }
        routes.add(rows.routes) { known.contains(UInt32(truncatingIfNeeded: $0), .route) }
        services.add(rows.services) { known.contains(UInt32(truncatingIfNeeded: $0), .service) }
        listeners.add(rows.listeners) { known.contains(UInt32(truncatingIfNeeded: $0), .listener) }
        upstreams.add(rows.upstreams) { SeriesKey.isKnownUpstream($0, known) }
        retries.add(rows.retries) { known.contains(SeriesKey.upstreamService($0), .service) }
        handshakes.add(rows.handshakes) { known.contains(UInt32(truncatingIfNeeded: $0), .listener) }
        handshakeFaults.add(rows.handshakeFaults) { known.contains(SeriesKey.faultOwner($0), .listener) }
        upstreamHandshakeFaults.add(rows.upstreamHandshakeFaults) { known.contains(SeriesKey.faultOwner($0), .service) }
        sessionFaults.add(rows.sessionFaults) { known.contains(SeriesKey.faultOwner($0), .listener) }
        streamFaults.add(rows.streamFaults) { known.contains(SeriesKey.faultOwner($0), .listener) }
        tunnels.add(rows.tunnels) { known.contains(UInt32(truncatingIfNeeded: $0), .route) }
        administered.add(rows.administered) { _ in true }
        for i in rejects.indices { rejects[i] &+= rows.rejects[i] }
        for i in acceptErrors.indices { acceptErrors[i] &+= rows.acceptErrors[i] }
        for i in sheds.indices { sheds[i] &+= rows.sheds[i] }
        logDropped &+= rows.logDropped
    }

    /// Sets all counts to zero and keeps the series.
    mutating func zero() {
        requests.zero()
        durations.zero()
        routes.zero()
        services.zero()
        listeners.zero()
        upstreams.zero()
        retries.zero()
        handshakes.zero()
        handshakeFaults.zero()
        upstreamHandshakeFaults.zero()
        sessionFaults.zero()
        streamFaults.zero()
        tunnels.zero()
        administered.zero()
        for i in rejects.indices { rejects[i] = 0 }
        for i in acceptErrors.indices { acceptErrors[i] = 0 }
        for i in sheds.indices { sheds[i] = 0 }
        logDropped = 0
    }

    /// Drops the series of names that are gone.
    mutating func retain(_ known: KnownLabels) {
        requests.retain { SeriesKey.isKnownRequest($0, known) }
        durations.retain { SeriesKey.isKnownDuration($0, known) }
        routes.retain { known.contains(UInt32(truncatingIfNeeded: $0), .route) }
        services.retain { known.contains(UInt32(truncatingIfNeeded: $0), .service) }
        listeners.retain { known.contains(UInt32(truncatingIfNeeded: $0), .listener) }
        upstreams.retain { SeriesKey.isKnownUpstream($0, known) }
        retries.retain { known.contains(SeriesKey.upstreamService($0), .service) }
        handshakes.retain { known.contains(UInt32(truncatingIfNeeded: $0), .listener) }
        handshakeFaults.retain { known.contains(SeriesKey.faultOwner($0), .listener) }
        upstreamHandshakeFaults.retain { known.contains(SeriesKey.faultOwner($0), .service) }
        sessionFaults.retain { known.contains(SeriesKey.faultOwner($0), .listener) }
        streamFaults.retain { known.contains(SeriesKey.faultOwner($0), .listener) }
        tunnels.retain { known.contains(UInt32(truncatingIfNeeded: $0), .route) }
    }

    /// A copy that can go to another thread.
    func rows() -> MetricsRows {
        MetricsRows(
            requests: requests.rows(), durations: durations.rows(), routes: routes.rows(), services: services.rows(),
            listeners: listeners.rows(), upstreams: upstreams.rows(), retries: retries.rows(),
            handshakes: handshakes.rows(), handshakeFaults: handshakeFaults.rows(),
            upstreamHandshakeFaults: upstreamHandshakeFaults.rows(), sessionFaults: sessionFaults.rows(),
            streamFaults: streamFaults.rows(), tunnels: tunnels.rows(), administered: administered.rows(), rejects: rejects,
            acceptErrors: acceptErrors, sheds: sheds, logDropped: logDropped)
    }
}

/// The counts of `MetricsTables` at one moment.
struct MetricsRows: Sendable {
    let requests: SeriesRows
    let durations: SeriesRows
    let routes: SeriesRows
    let services: SeriesRows
    let listeners: SeriesRows
    let upstreams: SeriesRows
    let retries: SeriesRows
    let handshakes: SeriesRows
    let handshakeFaults: SeriesRows
    let upstreamHandshakeFaults: SeriesRows
    let sessionFaults: SeriesRows
    let streamFaults: SeriesRows
    let tunnels: SeriesRows
    let administered: SeriesRows
    let rejects: [UInt64]
    let acceptErrors: [UInt64]
    let sheds: [UInt64]
    let logDropped: UInt64

    var overflowed: UInt64 {
        requests.overflowed &+ durations.overflowed &+ routes.overflowed &+ services.overflowed &+ listeners.overflowed
            &+ upstreams.overflowed &+ retries.overflowed &+ administered.overflowed &+ handshakes.overflowed
            &+ handshakeFaults.overflowed &+ upstreamHandshakeFaults.overflowed &+ sessionFaults.overflowed
            &+ streamFaults.overflowed &+ tunnels.overflowed
    }
}

/// A route's row: one gauge and three histograms.
enum RouteCells {
    static var inFlight: Int { 0 }
    static var overhead: Int { 1 }
    static var requestSize: Int { overhead + Histogram.overheadWidth }
    static var responseSize: Int { requestSize + Histogram.sizeWidth }
    static var width: Int { responseSize + Histogram.sizeWidth }
}

/// A service's row: gauges, histograms, then counters.
enum ServiceCells {
    static var queueLength: Int { 0 }
    /// Three, by `UpstreamConnectionState`.
    static var connections: Int { 1 }
    static var duration: Int { 4 }
    static var connect: Int { duration + Histogram.latencyWidth }
    static var queueWait: Int { connect + Histogram.waitWidth }
    static var breakerRejected: Int { queueWait + Histogram.waitWidth }
    static var concurrencyLimited: Int { breakerRejected + 1 }
    static var passiveFailures: Int { concurrencyLimited + 1 }
    /// Two, by `FallbackKind`.
    static var fallbacks: Int { passiveFailures + 1 }
    static var width: Int { fallbacks + FallbackKind.allCases.count }
}

/// A listener's row: one gauge, then counters by `ConnectionResult` and by `HTTPVersion`.
enum ListenerCells {
    static var connections: Int { 0 }
    static var results: Int { 1 }
    private static var requests: Int { results + ConnectionResult.allCases.count }
    static var width: Int { requests + 3 }

    @inline(__always)
    static func requests(of version: HTTPVersion) -> Int {
        switch version {
        case .http10: requests
        case .http11: requests &+ 1
        case .http2: requests &+ 2
        }
    }
}

/// A listener's row of TLS: counters by `HandshakeVersion` and whether the session was resumed. Listeners without TLS have none.
enum HandshakeCells {
    static var width: Int { 2 * HandshakeVersion.allCases.count }

    static func cell(_ version: HandshakeVersion, isResumed: Bool) -> Int { Int(version.rawValue) &* 2 &+ (isResumed ? 1 : 0) }
}

/// A route's row of tunnels: one gauge, then counters.
enum TunnelCells {
    static var open: Int { 0 }
    static var begun: Int { 1 }
    static var messagesIn: Int { 2 }
    static var messagesOut: Int { 3 }
    static var width: Int { 4 }
}

/// What became of a connection that a client made.
public enum ConnectionResult: UInt8, Sendable, CaseIterable {
    case accepted
    /// More than the process may hold.
    case overLimit
    /// More than one client address may hold.
    case overClientLimit
    /// Not trusted to say who the client is, on a listener of the PROXY protocol.
    case proxyPeerRefused
    /// The PROXY header did not come in time.
    case proxyHeaderMissing
    /// The PROXY header was broken.
    case proxyHeaderInvalid

    var name: StaticString {
        switch self {
        case .accepted: "accepted"
        case .overLimit: "over_limit"
        case .overClientLimit: "over_client_limit"
        case .proxyPeerRefused: "proxy_peer_refused"
        case .proxyHeaderMissing: "proxy_header_missing"
        case .proxyHeaderInvalid: "proxy_header_invalid"
        }
    }
}

public enum UpstreamConnectionState: UInt8, Sendable, CaseIterable {
    case active, idle, connecting

    var name: StaticString {
        switch self {
        case .active: "active"
        case .idle: "idle"
        case .connecting: "connecting"
        }
    }
}

/// What a retry led to.
public enum RetryResult: UInt8, Sendable, CaseIterable {
    /// The backend answered.
    case success
    case failure
    /// It was wanted, and the budget or the number of attempts did not allow it.
    case denied

    var name: StaticString {
        switch self {
        case .success: "success"
        case .failure: "failure"
        case .denied: "denied"
        }
    }
}

/// What answered in the place of a service.
public enum FallbackKind: UInt8, Sendable, CaseIterable {
    /// A fixed response.
    case `static`
    /// Another service.
    case service

    /// As in metrics, and in `X-Sluice-Fallback`.
    public var name: StaticString {
        switch self {
        case .static: "static"
        case .service: "service"
        }
    }
}

/// The errors of accept(2) that mean something to an operator.
public enum AcceptError: UInt8, Sendable, CaseIterable {
    case descriptorsOfProcess, descriptorsOfSystem, memory, buffers, aborted, forbidden, other

    /// From the number that Linux gives them.
    public init(errno: Int32) {
        self =
            switch errno {
            case 24: .descriptorsOfProcess
            case 23: .descriptorsOfSystem
            case 12: .memory
            case 105: .buffers
            case 103: .aborted
            case 1: .forbidden
            default: .other
            }
    }

    public var name: StaticString {
        switch self {
        case .descriptorsOfProcess: "EMFILE"
        case .descriptorsOfSystem: "ENFILE"
        case .memory: "ENOMEM"
        case .buffers: "ENOBUFS"
        case .aborted: "ECONNABORTED"
        case .forbidden: "EPERM"
        case .other: "other"
        }
    }
}
