import Balancing
import Configuration
import Downstream
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Routing
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
    /// What the health endpoints answer with as the version.
    public let version: String
    /// In the order of `routeTable`'s rules; written once, lives as long as the snapshot.
    nonisolated(unsafe) let routes: UnsafePointer<RouteRuntime>
    public let routeCount: Int

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
        routeCount = routes.count
        let memory = UnsafeMutablePointer<RouteRuntime>.allocate(capacity: max(1, routes.count))
        for (i, route) in routes.enumerated() { (memory + i).initialize(to: route) }
        self.routes = UnsafePointer(memory)
    }

    private static func labels(_ labels: [Label], count: Int) -> [Label] {
        labels.isEmpty ? [Label](repeating: .none, count: count) : labels
    }

    deinit {
        let memory = UnsafeMutablePointer(mutating: routes)
        memory.deinitialize(count: routeCount)
        memory.deallocate()
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
        /// 503.
        case maintenance(Answer)
    }

    public var index: Int
    public var action: Action
    /// The service's index where the action forwards, else -1; for labels.
    public var service: Int
    public var chain: Chain
    public var encodedSlash: EncodedSlashRule
    public var rewriter: PathRewriter?
    /// Bytes; 0 takes the listener's.
    public var bodyLimit: UInt64
    public var allowsBody: Bool
    public var responseTimeout: TimeAmount
    public var idleTimeout: TimeAmount
    public var requestTimeout: TimeAmount
    public var connectTimeout: TimeAmount
    public var forwarding: Forwarding

    public init(
        index: Int, action: Action, service: Int, chain: Chain, encodedSlash: EncodedSlashRule, rewriter: PathRewriter?,
        bodyLimit: UInt64, allowsBody: Bool, timeouts: TimeoutsConfiguration, forwarding: Forwarding
    ) {
        self.index = index
        self.action = action
        self.service = service
        self.chain = chain
        self.encodedSlash = encodedSlash
        self.rewriter = rewriter
        self.bodyLimit = bodyLimit
        self.allowsBody = allowsBody
        responseTimeout = timeouts.response
        idleTimeout = timeouts.idle
        requestTimeout = timeouts.request
        connectTimeout = timeouts.connect
        self.forwarding = forwarding
    }
}

/// A service, ready to be called.
public struct ServiceRuntime: Sendable {
    public var index: Int
    public var name: String
    public var state: ServiceState
    public var wheel: RoundRobinWheel
    public var instances: [InstanceState]
    /// What `Host` says where the instance's own name is sent.
    public var authorities: [[UInt8]]
    /// Whether the instance takes new requests: its weight is not 0.
    public var takesTraffic: [Bool]
    /// The index of the first instance in `NameTable.instances`.
    public var firstInstance: Int
    public var pool: PoolConfiguration
    public var queue: QueueConfiguration
    public var retries: Int

    public init(
        index: Int, name: String, state: ServiceState, wheel: RoundRobinWheel, instances: [InstanceState], authorities: [[UInt8]],
        takesTraffic: [Bool], firstInstance: Int, pool: PoolConfiguration, queue: QueueConfiguration, retries: Int
    ) {
        self.index = index
        self.name = name
        self.state = state
        self.wheel = wheel
        self.instances = instances
        self.authorities = authorities
        self.takesTraffic = takesTraffic
        self.firstInstance = firstInstance
        self.pool = pool
        self.queue = queue
        self.retries = retries
    }
}

/// What a listener asks of its clients.
public struct ListenerRuntime: Sendable {
    public var name: String
    public var address: ListenAddress
    public var limits: LimitsConfiguration
    public var parserLimits: HTTP1.Limits
    public var target: TargetPolicy

    public init(_ configuration: ListenerConfiguration, mergesSlashes: Bool) {
        name = configuration.name
        address = configuration.address
        limits = configuration.limits
        parserLimits = HTTP1.Limits(
            requestTargetBytes: limits.requestTargetBytes, fieldBytes: limits.requestFieldBytes,
            headerBytes: limits.requestHeaderBytes, fieldCount: limits.requestHeaders)
        target = TargetPolicy(scheme: .http, mergeSlashes: mergesSlashes)
    }
}
