import Primitives

/// One address on which clients are served.
public struct ListenerConfiguration: Sendable, Equatable {
    public var name: String
    public var address: ListenAddress
    /// The file's `limits` with what this listener says laid over them.
    public var limits: LimitsConfiguration
    /// Peers that must begin each connection with a PROXY header, which says who the client is; nil is off. Empty only on a
    /// Unix socket, whose peers have no address.
    public var proxyProtocol: [AddressBlock]?
    public var protocols = ListenerProtocols.standard(overTLS: false)
    /// Nil: plain text.
    public var tls: TLSServerConfiguration?
    /// Of a connection that speaks h2 or h2c.
    public var http2 = HTTP2Configuration()

    public init(name: String, address: ListenAddress, limits: LimitsConfiguration = LimitsConfiguration()) {
        self.name = name
        self.address = address
        self.limits = limits
    }
}

/// Where a listening socket is bound.
public enum ListenAddress: Sendable, Hashable {
    /// Port 0 lets the kernel choose.
    case tcp(IPAddress, port: UInt16)
    /// An absolute path of at most 107 bytes.
    case unix(path: String)

    /// Whether only this machine can reach it: 127.0.0.0/8, ::1 or a Unix socket.
    public var isLocal: Bool {
        switch self {
        case .unix: true
        case .tcp(let address, _):
            address.isV4 ? address.low >> 24 & 0xff == 127 : address.high == 0 && address.low == 1
        }
    }

    /// As the file writes it: `127.0.0.1:80`, `[::1]:80`, `unix:/path`.
    public var text: String {
        switch self {
        case .tcp(let address, let port): address.isV4 ? "\(address.text):\(port)" : "[\(address.text)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

/// What one client may take. Sizes in bytes; `Int.max` where the file says 0 for "no limit"; `TimeAmount.forever` for "off".
public struct LimitsConfiguration: Sendable, Equatable {
    public var requestTargetBytes = Defaults.requestTargetBytes
    /// The whole header block.
    public var requestHeaderBytes = Defaults.requestHeaderBytes
    /// One field line.
    public var requestFieldBytes = Defaults.requestFieldBytes
    /// Field lines in one request.
    public var requestHeaders = Defaults.requestHeaders
    public var requestBodyBytes = Defaults.requestBodyBytes
    /// From the first byte of a request to the end of its header block.
    public var headerTimeout = Defaults.headerTimeout
    /// Without a byte of the body.
    public var bodyIdleTimeout = Defaults.bodyIdleTimeout
    /// Bytes per second over the body as a whole, after a period of grace; 0 switches it off.
    public var bodyMinRate = Defaults.bodyMinRate
    /// Without the client taking a byte of the answer.
    public var writeTimeout = Defaults.writeTimeout
    /// Between two requests on a connection.
    public var keepaliveTimeout = Defaults.keepaliveTimeout
    public var requestsPerConnection = Defaults.requestsPerConnection
    /// Client connections of the whole process. Only the file's own `limits` can set it.
    public var connections = Defaults.connections
    /// Connections of one client address (IPv6: of one /64).
    public var connectionsPerClient = Defaults.connectionsPerClient
    public var connectionMaxAge = Defaults.connectionMaxAge

    public init() {}
}
