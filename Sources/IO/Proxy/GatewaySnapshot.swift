import Balancing
import Configuration
import Downstream
import HTTP1
import HTTP2
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Resilience
import Routing
import TLS
import Telemetry
import Upstream

/// One configuration, compiled: what every worker reads and nobody changes. A request ends under the one it began with.
public final class GatewaySnapshot: Sendable {
    /// Counts from 1; higher is newer.
    public let number: Int
    public let configuration: GatewayConfiguration
    public let routeTable: RouteTable
    public let services: [ServiceRuntime]
    public let listeners: [ListenerRuntime]
    public let entrance: Entrance
    public let responses: ResponseForwarding
    public let names: NameTable
    public let labels: MetricsLabels
    // The labels by place in the configuration; all `.none` for the admin listener, which is not counted.
    let listenerLabels: [Label]
    let routeLabels: [Label]
    let serviceLabels: [Label]
    let instanceLabels: [Label]
    public let accessLogRules: AccessLogRules
    /// What the health endpoints answer with as the version.
    public let version: String
    // Read for every request, and so kept where reading retains nothing. Written once; the memory lives as long as the snapshot.
    /// In the order of `routeTable`'s rules.
    nonisolated(unsafe) let routes: UnsafePointer<RouteRuntime>
    public let routeCount: Int
    /// In the order of `listeners`.
    nonisolated(unsafe) let listenerRules: UnsafePointer<ListenerRules>

    public init(
        number: Int, configuration: GatewayConfiguration, routeTable: RouteTable, routes: [RouteRuntime],
        services: [ServiceRuntime], listeners: [ListenerRuntime], entrance: Entrance,
        responses: ResponseForwarding, names: NameTable, labels: MetricsLabels, version: String
    ) {
        self.number = number
        self.configuration = configuration
        self.routeTable = routeTable
        self.services = services
        self.listeners = listeners
        self.entrance = entrance
        self.responses = responses
        self.names = names
        self.labels = labels
        listenerLabels = Self.labels(labels.listeners, count: listeners.count)
        routeLabels = Self.labels(labels.routes, count: routes.count)
        serviceLabels = Self.labels(labels.services, count: services.count)
        instanceLabels = Self.labels(labels.instances, count: names.instances.count)
        self.version = version
        let log = configuration.accessLog
        accessLogRules = AccessLogRules(requestHeaders: log.requestHeaders, redact: log.redact)
        routeCount = routes.count
        self.routes = Self.memory(routes)
        listenerRules = Self.memory(listeners.map(\.rules))
    }

    private static func memory<Element>(_ elements: [Element]) -> UnsafePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
        for (i, element) in elements.enumerated() { (memory + i).initialize(to: element) }
        return UnsafePointer(memory)
    }

    private static func free<Element>(_ memory: UnsafePointer<Element>, count: Int) {
        let memory = UnsafeMutablePointer(mutating: memory)
        memory.deinitialize(count: count)
        memory.deallocate()
    }

    private static func labels(_ labels: [Label], count: Int) -> [Label] {
        labels.isEmpty ? [Label](repeating: .none, count: count) : labels
    }

    /// The route at this index of `routeTable.rules`; for reports.
    public func route(_ index: Int) -> RouteRuntime {
        precondition(index >= 0 && index < routeCount, "there is no such route")
        return routes[index]
    }

    deinit {
        Self.free(routes, count: routeCount)
        Self.free(listenerRules, count: listeners.count)
    }
}

/// A route, ready to run.
public struct RouteRuntime: Sendable {
    public enum Action: Sendable {
        /// An index into `services`.
        case forward(Int)
        case redirect(Redirect)
        /// The same answer for everybody.
        case respond(Answer)
        case health
        case ready
        case metrics(allow: [AddressBlock])
        /// The admin API.
        case administer
        /// 503.
        case maintenance(Answer)
    }

    public let index: Int
    public let action: Action
    /// The service's index where the action forwards, else -1.
    public let service: Int
    /// How many stages the chain has.
    let stages: Int
    let chainReference: Unmanaged<Chain>
    let forwardingReference: Unmanaged<Forwarding>
    let responsesReference: Unmanaged<ResponseForwarding>
    /// Nil where the action does not forward.
    let serviceReference: Unmanaged<ServiceRuntime>?
    // What the references point to.
    private let chainOwner: Chain
    private let forwardingOwner: Forwarding
    private let responsesOwner: ResponseForwarding
    private let serviceOwner: ServiceRuntime?
    public let encodedSlash: EncodedSlashRule
    public let rewriter: PathRewriter?
    /// Bytes; 0 takes the listener's.
    public let bodyLimit: UInt64
    public let allowsBody: Bool
    public let responseTimeout: TimeAmount
    public let idleTimeout: TimeAmount
    public let requestTimeout: TimeAmount
    public let connectTimeout: TimeAmount
    let rewrites: Bool
    /// A scrape is no client's request, and has no line in the access log.
    let isLogged: Bool
    /// The action is to forward.
    let forwards: Bool
    public let priority: RequestPriority
    /// Nil where no request may change the protocol.
    let tunnelsReference: Unmanaged<TunnelRules>?
    private let tunnelsOwner: TunnelRules?
    /// What counts its requests' failures: its own, or its service's; nil where nobody does.
    let breakerReference: Unmanaged<NamedBreaker>?
    private let breakerOwner: NamedBreaker?
    /// Its own, or its service's.
    let fallbackReference: Unmanaged<Fallback>?
    private let fallbackOwner: Fallback?

    public init(
        index: Int, action: Action, service: ServiceRuntime?, chain: Chain, encodedSlash: EncodedSlashRule,
        rewriter: PathRewriter?,
        bodyLimit: UInt64, allowsBody: Bool, timeouts: TimeoutsConfiguration, forwarding: Forwarding,
        responses: ResponseForwarding, priority: RequestPriority = .standard, breaker: NamedBreaker? = nil,
        fallback: Fallback? = nil, tunnels: TunnelRules? = nil
    ) {
        self.index = index
        self.action = action
        self.service = service?.index ?? -1
        stages = chain.count
        chainOwner = chain
        chainReference = Unmanaged.passUnretained(chain)
        forwardingOwner = forwarding
        forwardingReference = Unmanaged.passUnretained(forwarding)
        responsesOwner = responses
        responsesReference = Unmanaged.passUnretained(responses)
        serviceOwner = service
        serviceReference = service.map { Unmanaged.passUnretained($0) }
        self.encodedSlash = encodedSlash
        self.rewriter = rewriter
        rewrites = rewriter != nil
        if case .metrics = action { isLogged = false } else { isLogged = true }
        if case .forward = action { forwards = true } else { forwards = false }
        self.bodyLimit = bodyLimit
        self.allowsBody = allowsBody
        responseTimeout = timeouts.response
        idleTimeout = timeouts.idle
        requestTimeout = timeouts.request
        connectTimeout = timeouts.connect
        self.priority = priority
        tunnelsOwner = tunnels
        tunnelsReference = tunnelsOwner.map { Unmanaged.passUnretained($0) }
        breakerOwner = breaker
        breakerReference = breakerOwner.map { Unmanaged.passUnretained($0) }
        fallbackOwner = fallback ?? service?.fallback
        fallbackReference = fallbackOwner.map { Unmanaged.passUnretained($0) }
    }

    // For reports.
    public var breaker: NamedBreaker? { breakerOwner }
    public var chain: Chain { chainOwner }
    public var forwarding: Forwarding { forwardingOwner }
}

/// What a listener asks of its clients.
public struct ListenerRuntime: Sendable {
    public let name: String
    public let address: ListenAddress
    /// Who may connect, where a connection has to begin with a PROXY header.
    public let proxyPeers: [AddressBlock]
    let rules: ListenerRules
    /// Nil where nothing is encrypted.
    public let tls: TLSServer?

    public init(_ configuration: ListenerConfiguration, mergesSlashes: Bool, tls: TLSServer? = nil) {
        self.tls = tls
        name = configuration.name
        address = configuration.address
        proxyPeers = configuration.proxyProtocol ?? []
        let limits = configuration.limits
        let parser = HTTP1.Limits(
            requestTargetBytes: limits.requestTargetBytes, fieldBytes: limits.requestFieldBytes,
            headerBytes: limits.requestHeaderBytes, fieldCount: limits.requestHeaders)
        rules = ListenerRules(
            limits: limits, expectsProxyHeader: configuration.proxyProtocol != nil,
            parser: parser,
            target: TargetPolicy(scheme: tls == nil ? .http : .https, mergeSlashes: mergesSlashes),
            tls: tls.map { Unmanaged.passUnretained($0) },
            asksForCertificates: configuration.tls?.asksForClientCertificate ?? false,
            forwardsCertificates: configuration.tls?.forwardsClientCertificate ?? false,
            takesHTTP1: configuration.protocols.http1, takesPlainHTTP2: configuration.protocols.h2c,
            http2: Self.http2(configuration, parser, isSecure: tls != nil))
    }

    private static func http2(_ configuration: ListenerConfiguration, _ parser: HTTP1.Limits, isSecure: Bool) -> HTTP2ServerPolicy
    {
        let limits = configuration.limits
        return HTTP2ServerPolicy(
            scheme: isSecure ? .https : .http, maxConcurrentStreams: configuration.http2.maxConcurrentStreams,
            streamWindowBytes: configuration.http2.initialWindow, connectionWindowBytes: configuration.http2.connectionWindow,
            limits: parser, requestsPerConnection: limits.requestsPerConnection, extendedConnect: true,
            headersTimeout: limits.headerTimeout,
            writeTimeout: limits.writeTimeout, resetsMax: configuration.http2.maxResets,
            controlFramesMax: configuration.http2.maxControlFrames)
    }

    // For reports.
    public var limits: LimitsConfiguration { rules.limits }
    public var parserLimits: HTTP1.Limits { rules.parser }
    public var targetPolicy: TargetPolicy { rules.target }
}

/// The numbers among them.
struct ListenerRules: Sendable {
    let limits: LimitsConfiguration
    let expectsProxyHeader: Bool
    let parser: HTTP1.Limits
    let target: TargetPolicy
    /// The listener's, which keeps it alive.
    let tls: Unmanaged<TLSServer>?
    let asksForCertificates: Bool
    /// Backends get the certificate (RFC 9440).
    let forwardsCertificates: Bool
    let takesHTTP1: Bool
    /// HTTP/2 without encryption, by prior knowledge (RFC 9113 §3.3).
    let takesPlainHTTP2: Bool
    let http2: HTTP2ServerPolicy
}
