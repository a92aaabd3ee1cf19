import HTTPMessages
import Primitives

/// What is known of one request beside its head: where it came from, where it goes, its time, its id.
///
/// Numbers for the most part, so that a context costs nothing to carry: names stand in `names` under the indices. The first
/// group is of the connection and set once; `begin` makes the rest ready for the next request.
public struct RequestContext: ~Copyable {
    /// The other end of the connection; all zero when `peerIsUnixSocket`.
    public var peerAddress: IPAddress
    public var peerPort: UInt16
    public var peerIsUnixSocket: Bool
    /// How the request came in over the wire.
    public var scheme: Scheme
    public var listenerIndex: Int
    /// What the client has shown of itself; the connection keeps it alive.
    public var clientCertificate: Unmanaged<ClientCertificate>?
    public var names: NameTable
    /// Who takes `Resumption.resume`; nil where nothing can be resumed.
    public var resumptionSink: (any ResumptionSink)?

    /// The client as far as it is believed: the peer, or the hop that trusted proxies vouch for.
    public internal(set) var clientAddress: IPAddress
    /// The peer's port where the client is the peer, else 0.
    public internal(set) var clientPort: UInt16 = 0
    /// How the client came, as far as that is believed: the connection's scheme, or what a trusted proxy says it was.
    public internal(set) var clientScheme = Scheme.http
    /// Whether the peer is in `trusted_proxies`.
    public internal(set) var isTrustedPeer = false

    /// Indices into `names`; -1 while unknown. The instance is known in the response phase.
    /// The route's prefix was taken off the path.
    public var hasStrippedPrefix = false
    public var routeIndex = -1
    public var serviceIndex = -1
    public var instanceIndex = -1

    /// When the request's head was complete.
    public var now: Instant
    /// The same on the wall clock, in nanoseconds since 1970 (UTC).
    public var unixNanoseconds: UInt64
    /// Dice for this request; not for secrets.
    public var random: RandomSource
    /// Bytes that the body may have; `.max` is no limit.
    public var bodyLimit: UInt64 = .max
    /// The exchange, as IO knows it.
    public var exchangeToken: UInt64 = 0

    /// What the received request had of known fields, and how many fields it had in all.
    var received = FieldSet()
    var receivedCount = 0
    /// What is left of `Max-Forwards`, to be written in place of the received one; -1 where it is none of ours.
    var maxForwards = -1
    /// Which fields the gateway writes about the client.
    var forwardedStyle = ForwardedStyle.x
    /// What a trusted peer says of the client, with the family that was believed.
    var told = ToldClient()
    /// Whether the `Forwarded` of the trusted peer goes on, since it says what is believed.
    var continuesForwarded = false
    /// Where the chain stands while it calls a custom middleware.
    var suspensionPoint = SuspensionPoint(exchange: 0, phase: .request, stage: 0)
    /// Room for the longest id, allocated once; a context is used again and again.
    var requestIDBuffer = ByteBuffer(capacity: 128)

    public init(
        peerAddress: IPAddress, peerPort: UInt16 = 0, peerIsUnixSocket: Bool = false, scheme: Scheme = .http,
        listenerIndex: Int = -1, names: NameTable, resumptionSink: (any ResumptionSink)? = nil
    ) {
        self.peerAddress = peerIsUnixSocket ? RequestContext.noAddress : peerAddress
        self.peerPort = peerPort
        self.peerIsUnixSocket = peerIsUnixSocket
        self.scheme = scheme
        self.listenerIndex = listenerIndex
        self.names = names
        self.resumptionSink = resumptionSink
        clientAddress = self.peerAddress
        now = Instant(nanoseconds: 0)
        unixNanoseconds = 0
        random = RandomSource(seed: 0)
    }

    /// Makes the context ready for the next request of its connection.
    ///
    /// - Parameters:
    ///   - unixNanoseconds: the wall clock, UTC.
    ///   - seed: a draw of the worker's generator; the request id and all dice of the request come from it.
    ///   - bodyLimit: the listener's; a route's `bodySize` stage replaces it.
    public mutating func begin(
        at now: Instant, unixNanoseconds: UInt64, seed: UInt64, bodyLimit: UInt64, exchangeToken: UInt64
    ) {
        self.now = now
        self.unixNanoseconds = unixNanoseconds
        self.bodyLimit = bodyLimit
        self.exchangeToken = exchangeToken
        random = RandomSource(seed: seed)
        if peerIsUnixSocket { peerAddress = RequestContext.noAddress }
        clientAddress = peerAddress
        clientPort = peerPort
        isTrustedPeer = false
        clientScheme = scheme
        hasStrippedPrefix = false
        routeIndex = -1
        serviceIndex = -1
        instanceIndex = -1
        received = FieldSet()
        receivedCount = 0
        told = ToldClient()
        continuesForwarded = false
        maxForwards = -1
        requestIDBuffer.clear()
    }

    /// Whether a gateway in front of this one tries the request again already.
    public var isRetriedElsewhere: Bool { isTrustedPeer && received.contains(.xSluiceRetry) }

    /// Whether the client is known by an address: not where it came over a Unix socket and no proxy has named it.
    public var hasClientAddress: Bool { clientAddress != RequestContext.noAddress }
    static var noAddress: IPAddress { IPAddress(high: 0, low: 0) }

    public var hasRequestID: Bool { !requestIDBuffer.isEmpty }

    /// The request id; empty until `Entrance.receive` or `makeRequestID`.
    public var requestID: RawSpan {
        @_lifetime(borrow self)
        get { requestIDBuffer.bytes }
    }

    /// The means to go on with this request later; to be taken by a middleware that then returns `.suspend`.
    public func suspension() -> Resumption { Resumption(sink: resumptionSink, point: suspensionPoint) }

    var wallClock: Timestamp { Timestamp(nanoseconds: Int64(clamping: unixNanoseconds)) }

    /// The client as it is believed, as text: `192.0.2.1`; nil where it came over a Unix socket and no proxy has named it.
    public var clientText: String? { hasClientAddress ? clientAddress.text : nil }
    /// The request id as text.
    public var requestIDText: String { String(decoding: requestID.array(), as: UTF8.self) }

    /// Names as text, for middleware; nil while unknown.
    public var routeName: String? { text(names.routes, routeIndex) }
    public var serviceName: String? { text(names.services, serviceIndex) }
    public var instanceName: String? { text(names.instances, instanceIndex) }
    public var listenerName: String? { text(names.listeners, listenerIndex) }

    private func text(_ table: [[UInt8]], _ index: Int) -> String? {
        table.indices.contains(index) ? String(decoding: table[index], as: UTF8.self) : nil
    }
}
