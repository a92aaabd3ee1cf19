import Balancing
import Health
import Primitives
import Resilience

/// A group of backends that answer alike.
public struct ServiceConfiguration: Sendable, Equatable {
    public var name: String
    /// False when the file says `enabled: false`. Its routes then carry a `maintenance` answer and it needs no pool.
    public var enabled = true
    /// At least one.
    public var instances: [InstanceConfiguration]
    public var balancer = Balancer.Policy()
    /// For `consistent_hash`; nil otherwise.
    public var hashSource: HashSource?
    public var sticky: StickyConfiguration?
    /// `hasChecks` is set exactly where `check` is.
    public var health = Self.healthWithoutChecks
    public var check: CheckConfiguration?
    /// Nil is off.
    public var outliers: OutlierDetector.Policy? = OutlierDetector.Policy()
    /// Nil is off.
    public var breaker: BreakerPolicy? = BreakerPolicy()
    public var retry = RetryConfiguration()
    /// Nil is off.
    public var adaptiveConcurrency: ConcurrencyLimit.Policy?
    public var fallback: FallbackConfiguration?
    public var timeouts = TimeoutsConfiguration()
    public var pool = PoolConfiguration()
    public var queue = QueueConfiguration()
    public var passHost = PassHost.fromClient
    /// Nil exactly where no instance is `isSecure`.
    public var tls: TLSClientConfiguration?
    /// How often host names are looked up again.
    public var resolveInterval = Defaults.resolveInterval

    public init(name: String, instances: [InstanceConfiguration]) {
        self.name = name
        self.instances = instances
    }

    /// Only traffic is evidence.
    public static var healthWithoutChecks: HealthPolicy {
        var policy = HealthPolicy()
        policy.hasChecks = false
        return policy
    }
}

/// One backend of a service.
public struct InstanceConfiguration: Sendable, Equatable {
    public var address: InstanceAddress
    /// Whether it is spoken to over TLS, as `https://` says. Never on a Unix socket.
    public var isSecure: Bool
    /// `h2` only where `isSecure`, `h2c` only where not.
    public var `protocol` = UpstreamProtocol.auto
    /// The share of the traffic against its siblings, 1 to 1000; 0 drains it: no new requests.
    public var weight = Defaults.instanceWeight
    /// A label for logs and metrics; may be empty.
    public var version = ""

    public init(address: InstanceAddress, isSecure: Bool = false) {
        self.address = address
        self.isSecure = isSecure
    }

    /// Its name in logs and metrics, and its identity across reloads: the address, behind `https://` where it is spoken to over
    /// TLS, so that no connection of the one is ever used for the other.
    public var id: String { isSecure ? "https://\(address.text)" : address.text }

    /// What `Host` says when its own name is sent: without the port that its scheme has anyway.
    public var hostField: String { address.hostField(defaultPort: isSecure ? 443 : 80) }
}

/// Where a backend is reached.
public enum InstanceAddress: Sendable, Hashable {
    case ip(IPAddress, port: UInt16)
    /// A host name in lower case, to be looked up.
    case name(String, port: UInt16)
    /// An absolute path of at most 107 bytes.
    case unix(path: String)

    /// `10.0.0.5:8080`, `[::1]:80`, `app.local:80`, `unix:/path`. The identity of an instance is `InstanceConfiguration.id`.
    public var text: String {
        switch self {
        case .ip(let address, let port): address.isV4 ? "\(address.text):\(port)" : "[\(address.text)]:\(port)"
        case .name(let name, let port): "\(name):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The host, with the port unless it is `defaultPort`; `localhost` for a Unix socket.
    public func hostField(defaultPort: UInt16) -> String {
        switch self {
        case .ip(let address, let port):
            (address.isV4 ? address.text : "[\(address.text)]") + (port == defaultPort ? "" : ":\(port)")
        case .name(let name, let port): name + (port == defaultPort ? "" : ":\(port)")
        case .unix: "localhost"
        }
    }
}

/// The deadlines of an exchange with a backend; `TimeAmount.forever` is off.
public struct TimeoutsConfiguration: Sendable, Equatable {
    public var connect = Defaults.connectTimeout
    /// From the request being sent to the end of the answer's head.
    public var response = Defaults.responseTimeout
    /// Between two reads of the answer's body.
    public var idle = Defaults.upstreamIdleTimeout
    /// The whole request.
    public var request = Defaults.requestTimeout

    public init() {}
}

public struct PoolConfiguration: Sendable, Equatable {
    /// Connections to one instance, counted over the whole process.
    public var maxConnections = Defaults.poolConnections
    public var idleTimeout = Defaults.poolIdleTimeout
    public var maxRequestsPerConnection = Defaults.poolRequestsPerConnection
    /// Requests at once on one HTTP/2 connection, where the backend does not allow fewer.
    public var maxStreams = Defaults.poolStreams

    public init() {}
}

/// Requests that wait for a connection.
public struct QueueConfiguration: Sendable, Equatable {
    /// 0 answers 503 at once when every connection is taken.
    public var maxPending = Defaults.queuePending
    public var timeout = Defaults.queueTimeout

    public init() {}
}

/// What the backend gets as `Host`.
public enum PassHost: Sendable, Equatable {
    case fromClient
    case ofInstance
    case literal(String)
}
