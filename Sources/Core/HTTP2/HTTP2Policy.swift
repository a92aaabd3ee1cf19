import HTTP1
import HTTPMessages
import Primitives

/// What a session allows a client.
public struct HTTP2ServerPolicy: Sendable {
    /// Whether the connection is encrypted; a request's `:scheme` must say the same.
    public var scheme: Scheme
    /// Streams at one time, advertised and enforced from the first frame on (RFC 9113 §5.1.2).
    public var maxConcurrentStreams: Int
    /// Bytes of one request's body that may be on their way or unread: at first, and once as many have gone on as half of that.
    public var initialWindowBytes: Int
    public var streamWindowBytes: Int
    /// The same for all bodies of the connection.
    public var connectionWindowBytes: Int
    public var limits: Limits
    /// Streams after which the connection is drained.
    public var requestsPerConnection: Int
    /// Whether WebSocket over HTTP/2 is offered (RFC 8441).
    public var extendedConnect: Bool
    /// How long the acknowledgement of our SETTINGS may take.
    public var settingsTimeout: TimeAmount
    /// How long a header block may take from its first frame to END_HEADERS.
    public var headersTimeout: TimeAmount
    /// The first GOAWAY of a drain lets in what is on its way; the second, this much later, does not (RFC 9113 §6.8).
    public var drainGrace: TimeAmount
    /// A stream whose owner is done with it, and whose last bytes the peer does not take, is reset after this long.
    public var writeTimeout: TimeAmount
    /// Resets that may come at once, the client's and those that its broken rules cause; a tenth of it more with each second.
    public var resetsMax: Int
    /// The same for frames that carry no message, and for malformed messages.
    public var controlFramesMax: Int
    /// `nextDrained` tells of a stream whose unsent bytes have fallen to this.
    public var sendLowWaterBytes: Int

    public init(
        scheme: Scheme, maxConcurrentStreams: Int = 100, initialWindowBytes: Int? = nil, streamWindowBytes: Int = 262_144,
        connectionWindowBytes: Int = 1_048_576, limits: Limits = Limits(), requestsPerConnection: Int = 10_000,
        extendedConnect: Bool = false, settingsTimeout: TimeAmount = .seconds(10), headersTimeout: TimeAmount = .seconds(10),
        drainGrace: TimeAmount = .seconds(1), writeTimeout: TimeAmount = .seconds(60), resetsMax: Int = 200,
        controlFramesMax: Int = 100, sendLowWaterBytes: Int = 16_384
    ) {
        self.scheme = scheme
        self.maxConcurrentStreams = maxConcurrentStreams
        self.initialWindowBytes = min(initialWindowBytes ?? streamWindowBytes, streamWindowBytes)
        self.streamWindowBytes = streamWindowBytes
        self.connectionWindowBytes = connectionWindowBytes
        self.limits = limits
        self.requestsPerConnection = requestsPerConnection
        self.extendedConnect = extendedConnect
        self.settingsTimeout = settingsTimeout
        self.headersTimeout = headersTimeout
        self.drainGrace = drainGrace
        self.writeTimeout = writeTimeout
        self.resetsMax = resetsMax
        self.controlFramesMax = controlFramesMax
        self.sendLowWaterBytes = sendLowWaterBytes
    }
}

/// What a session allows a backend, and asks of it.
public struct HTTP2ClientPolicy: Sendable {
    /// Streams at one time, when the backend allows more.
    public var maxConcurrentStreams: Int
    /// Bytes of one response that may be on their way or unread: at first, and once its reader has taken half as many.
    public var initialWindowBytes: Int
    public var streamWindowBytes: Int
    /// The same for all of the connection. Twice as much as for all streams together, so that those whose clients do not read leave the
    /// others alone: what was read is given back once it is half of the window.
    public var connectionWindowBytes: Int
    public var limits: Limits
    /// Streams after which no more are opened.
    public var requestsPerConnection: Int
    public var settingsTimeout: TimeAmount
    public var headersTimeout: TimeAmount
    /// How long the answer to a PING may take.
    public var pingTimeout: TimeAmount
    public var sendLowWaterBytes: Int

    public init(
        maxConcurrentStreams: Int = 100, initialWindowBytes: Int = 65_536, streamWindowBytes: Int = 196_608,
        connectionWindowBytes: Int? = nil,
        limits: Limits = .response, requestsPerConnection: Int = 10_000, settingsTimeout: TimeAmount = .seconds(10),
        headersTimeout: TimeAmount = .seconds(10), pingTimeout: TimeAmount = .seconds(5), sendLowWaterBytes: Int = 16_384
    ) {
        self.maxConcurrentStreams = maxConcurrentStreams
        self.initialWindowBytes = min(initialWindowBytes, streamWindowBytes)
        self.streamWindowBytes = streamWindowBytes
        self.connectionWindowBytes =
            connectionWindowBytes ?? 2 * min(max(maxConcurrentStreams, 1), 4096) * min(streamWindowBytes, 524_288)
        self.limits = limits
        self.requestsPerConnection = requestsPerConnection
        self.settingsTimeout = settingsTimeout
        self.headersTimeout = headersTimeout
        self.pingTimeout = pingTimeout
        self.sendLowWaterBytes = sendLowWaterBytes
    }
}

/// The end of the connection that a session is.
public enum HTTP2Role: Sendable {
    case server(HTTP2ServerPolicy)
    case client(HTTP2ClientPolicy)

    /// A server's policy, whichever the role, so that a session holds one form: a client has no scheme to compare, no drain of
    /// its own.
    var policy: HTTP2ServerPolicy {
        switch self {
        case .server(let policy): policy
        case .client(let policy):
            HTTP2ServerPolicy(
                scheme: .http, maxConcurrentStreams: policy.maxConcurrentStreams,
                initialWindowBytes: policy.initialWindowBytes, streamWindowBytes: policy.streamWindowBytes,
                connectionWindowBytes: policy.connectionWindowBytes, limits: policy.limits,
                requestsPerConnection: policy.requestsPerConnection, settingsTimeout: policy.settingsTimeout,
                headersTimeout: policy.headersTimeout, sendLowWaterBytes: policy.sendLowWaterBytes)
        }
    }
}
