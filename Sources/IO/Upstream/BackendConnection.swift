import Multiplexing
import Primitives
import Reactor
import TLS

/// A connection to an instance of a service.
public struct BackendConnection {
    public enum Phase: UInt8 {
        case connecting
        /// The connection stands and is being encrypted.
        case handshaking
        /// Lent to an exchange.
        case lent
        /// HTTP/2: it carries as many requests as there are streams.
        case shared
        /// In its pool. Anything that arrives now was not asked for, and ends it.
        case idle
    }

    public var descriptor: Int32 = -1
    public var phase = Phase.connecting
    /// Something may be left in the socket: an edge has been seen and no short read since.
    public var isReadable = false
    /// The backend has closed its half (FIN), or all of it.
    public var isHalfClosed = false
    /// The backend has said that it will encrypt nothing more (close_notify): an end without is a cut.
    public var hasClosedTLS = false
    /// It served another request before the present one.
    public var isReused = false
    /// It waits in the list of connections to be looked at again once this turn's events are through.
    public var isDeferred = false
    public var requests: Int32 = 0
    /// The exchange that it is lent to, -1 for none.
    public var exchange: Int32 = -1
    /// Its pool in the worker's list.
    public var pool: Int32 = -1
    public var deadline = Deadline()
    public var connectStarted = Instant(nanoseconds: 0)
    /// Part of a response head.
    public var input = Incoming()
    /// Nil where nothing is encrypted. Freed with the connection, as is `streams`.
    public var tls: TLSSession?
    /// Nil where the connection speaks HTTP/1, or does not stand yet.
    public var streams: StreamSessionPointer?
    /// Requests that wait for a stream of it while it is being made, by their tokens.
    public var waiters: [UInt64] = []
    public var outgoing = Outgoing()

    public init() {}
}
