import Multiplexing
import Pipeline
import Primitives
import Reactor
import TLS
import Telemetry

/// A client's connection, as small as it can be: ten thousand idle ones are ten thousand of these and nothing else.
///
/// The request that runs on it lives in an exchange of its own.
public struct ClientConnection {
    public enum Phase: UInt8 {
        /// The balancer before us is to say who the client is (PROXY protocol).
        case proxyHeader
        /// The connection is being encrypted.
        case handshake
        /// Between requests, or a head is arriving.
        case head
        /// A request is being answered.
        case exchange
        /// HTTP/2: as many requests as there are streams.
        case streams
        /// Everything has been said; what still arrives is thrown away until the client has seen it (RFC 9112 §9.6).
        case lingering
    }

    public var descriptor: Int32 = -1
    public var phase = Phase.head
    /// Something may be left in the socket: an edge has been seen and no short read since.
    public var isReadable = false
    /// The client has closed its half (FIN).
    public var isHalfClosed = false
    /// Nothing will come any more, so no lingering is needed.
    public var closesAtOnce = false
    /// It waits in the list of connections to be looked at again once this turn's events are through.
    public var isDeferred = false
    public var isUnix = false
    /// The client has said that it will encrypt nothing more (close_notify).
    public var hasClosedTLS = false
    /// `input` holds bytes that no parser has seen: what was sent behind the last request.
    public var hasUnparsedInput = false
    public var listener: UInt16 = 0
    public var port: UInt16 = 0
    public var requests: UInt32 = 0
    /// The exchange's index, -1 for none.
    public var exchange: Int32 = -1
    /// Bytes thrown away while lingering.
    public var lingered: Int32 = 0
    public var peer = IPAddress(high: 0, low: 0)
    public var deadline = Deadline()
    /// When the first byte of a head arrived that is not complete yet.
    public var headStarted = Instant.never
    /// The listener's name in the metrics, the one it was counted under when it came.
    public var label = Label.none
    public var openedAt = Instant(nanoseconds: 0)
    /// Received, not yet used: part of a head, or what came behind a request that still runs.
    public var input = Incoming()
    /// Nil where nothing is encrypted. Freed with the connection, as is `streams`.
    public var tls: TLSSession?
    /// What the client has shown of itself; retained, and released with the connection.
    public var certificate: Unmanaged<ClientCertificate>?
    /// Nil where the connection speaks HTTP/1.
    public var streams: StreamSessionPointer?
    public var outgoing = Outgoing()

    public init() {}
}
