import Balancing
import Configuration
import Pipeline
import Pooling
import Primitives
import Resilience
import Upstream

/// A service, ready to be called.
public final class ServiceRuntime: Sendable {
    public let index: Int
    public let name: String
    public let state: ServiceState
    /// What each worker copies for itself.
    public let balancer: Balancer
    public let instances: [InstanceState]
    /// How each instance is spoken to.
    public let dialects: [BackendDialect]
    /// What `Host` says where the instance's own name is sent.
    public let authorities: [[UInt8]]
    /// Whether the instance takes new requests as far as the file says: its weight is not 0.
    public let takesTraffic: [Bool]
    /// The index of the first instance in `NameTable.instances`.
    public let firstInstance: Int
    public let timeouts: TimeoutsConfiguration
    public let pool: PoolConfiguration
    public let queue: QueueConfiguration
    // What each request looks at, reached without counting references; `state` keeps them alive.
    let budget: Unmanaged<SharedRetryBudget>
    let outliers: Unmanaged<SharedOutlierDetector>
    public let retry: RetryPolicy
    let perTryTimeout: TimeAmount
    public let trustsIdempotencyKey: Bool
    /// Nil where the file switches it off.
    public let breaker: NamedBreaker?
    public let fallback: Fallback?
    let placement: Placement
    let sessions: StickySessions?
    let hasSessions: Bool
    /// What happens to requests is evidence against an instance.
    let detectsOutliers: Bool
    let adaptsConcurrency: Bool
    /// For the balancer that looks at latency; nil where none does.
    let latencyDecay: TimeAmount?
    /// Active checks can tell more than traffic.
    let hasChecks: Bool

    /// What a request is placed by.
    enum Placement: Sendable {
        case none
        case clientAddress
        case header([UInt8])
        case cookie([UInt8])
        case parameter([UInt8])
        case path
    }

    public init(
        _ configuration: ServiceConfiguration, index: Int, state: ServiceState, instances: [InstanceState], firstInstance: Int,
        dialects: [BackendDialect], sessions: StickySessions?, fallback: Fallback?
    ) {
        self.index = index
        name = configuration.name
        self.state = state
        budget = Unmanaged.passUnretained(state.budget)
        outliers = Unmanaged.passUnretained(state.outliers)
        self.instances = instances
        self.firstInstance = firstInstance
        let parts = zip(configuration.instances, instances).map { configured, instance in
            Balancer.Instance(name: configured.id, weight: configured.weight, load: instance.load)
        }
        balancer = Balancer(configuration.balancer, instances: parts, service: state.load)
        self.dialects = dialects
        authorities = configuration.instances.map { Array($0.hostField.utf8) }
        takesTraffic = configuration.instances.map { $0.weight > 0 }
        timeouts = configuration.timeouts
        pool = configuration.pool
        queue = configuration.queue
        retry = configuration.retry.policy
        perTryTimeout = configuration.retry.policy.perTryTimeout
        trustsIdempotencyKey = configuration.retry.trustsIdempotencyKey
        breaker = configuration.breaker == nil ? nil : state.breaker
        self.fallback = fallback
        placement = Self.placement(configuration)
        self.sessions = sessions
        hasSessions = sessions != nil
        detectsOutliers = configuration.outliers != nil
        adaptsConcurrency = configuration.adaptiveConcurrency != nil
        latencyDecay = configuration.balancer.algorithm == .peakEWMA ? configuration.balancer.latencyDecay : nil
        hasChecks = configuration.check != nil
    }

    /// For how long requests wait for the first check of an instance that has just come.
    private static var firstCheckTime: TimeAmount { .seconds(1) }

    /// An instance has just come, and its first check will tell in a moment whether it takes requests.
    func awaitsFirstCheck(at now: Instant) -> Bool {
        hasChecks
            && zip(instances, takesTraffic).contains {
                $1 && $0.age(at: now) < Self.firstCheckTime && $0.load.status.health == .unknown
            }
    }

    /// Whether any instance takes requests at this moment.
    var isServed: Bool { zip(instances, takesTraffic).contains { $1 && $0.load.takesRequests } }

    /// The same, leaving one instance out.
    func isServed(without instance: Int) -> Bool {
        instances.indices.contains { $0 != instance && takesTraffic[$0] && instances[$0].load.takesRequests }
    }

    private static func placement(_ configuration: ServiceConfiguration) -> Placement {
        switch configuration.balancer.algorithm {
        case .roundRobin, .leastConnections, .peakEWMA, .random: return .none
        case .addressHash: return .clientAddress
        case .consistentHash:
            switch configuration.hashSource {
            case .header(let name): return .header(Array(name.utf8))
            case .cookie(let name): return .cookie(Array(name.utf8))
            case .query(let name): return .parameter(Array(name.utf8))
            case .path: return .path
            case nil: return .none
            }
        }
    }
}

/// What answers where a service cannot.
public final class Fallback: Sendable {
    public enum Kind: Sendable {
        /// The same answer for everybody; it carries `X-Sluice-Fallback`.
        case answer(Answer)
        case service(ServiceRuntime)
    }

    public let kind: Kind

    public init(_ kind: Kind) { self.kind = kind }
}
