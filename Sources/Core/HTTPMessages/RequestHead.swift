import Primitives

/// How long a message's body is (RFC 9112 §6.3).
public enum BodyFraming: Equatable, Sendable {
    case none
    case length(UInt64)
    case chunked
    /// A response that ends when its connection does (RFC 9112 §6.3 item 8).
    case untilClose
}

public enum HTTPVersion: UInt8, Sendable {
    case http10, http11, http2
}

/// A request's start line and fields, after the checks of RFC 9112 §3 and §5.
///
/// Offsets point into `headers.storage`, whose first bytes are the received head. The canonical path, query and host are
/// appended behind it by `Routing`.
public struct RequestHead: ~Copyable {
    public var headers: HeaderBlock
    public var method: Method = .get
    public var version: HTTPVersion = .http11
    /// The method's token as received.
    public var methodRange: Range<Int> = 0..<0
    /// The request target as received.
    public var targetRange: Range<Int> = 0..<0
    public var framing: BodyFraming = .none
    /// Whether the client allows another request after this one (RFC 9112 §9.3).
    public var wantsKeepAlive = true
    /// `Expect: 100-continue` on an HTTP/1.1 request with a body (RFC 9110 §10.1.1).
    public var expectsContinue = false
    /// `TE: trailers` (RFC 9110 §10.1.4).
    public var acceptsTrailers = false
    /// The field line of the one `Host`; nil in an HTTP/1.0 request without it.
    public var hostIndex: Int?
    /// `Connection` names fields of its own; they are to be looked up before forwarding.
    public var hasConnectionOptions = false
    /// `Upgrade` is there and `Connection` lists it.
    public var wantsUpgrade = false

    // What Routing made of target and Host: the one canonical form for matching, policy, log and forwarding.
    public var host: Range<Int> = 0..<0
    /// The port of the authority; 0 when it names none.
    public var port: UInt16 = 0
    public var path: Range<Int> = 0..<0
    /// Without the `?`; nil when there is none (`/a` and `/a?` differ).
    public var query: Range<Int>?
    /// The path holds `%2F` or `%5C`; what becomes of it is the route's to say.
    public var hasEncodedSlash = false

    public init() { headers = HeaderBlock() }

    /// Makes the head ready for the next request; keeps its memory.
    public mutating func clear() {
        headers.clear()
        method = .get
        version = .http11
        methodRange = 0..<0
        targetRange = 0..<0
        framing = .none
        wantsKeepAlive = true
        expectsContinue = false
        acceptsTrailers = false
        hostIndex = nil
        hasConnectionOptions = false
        wantsUpgrade = false
        host = 0..<0
        port = 0
        path = 0..<0
        query = nil
        hasEncodedSlash = false
    }

    @_lifetime(borrow self)
    public func bytes(_ range: Range<Int>) -> RawSpan { headers.storage.bytes.extracting(range) }
}

/// A response's status and fields, after the checks of RFC 9112 §4 and §5.
public struct ResponseHead: ~Copyable {
    public var headers: HeaderBlock
    public var status: UInt16 = 0
    public var version: HTTPVersion = .http11
    public var reason: Range<Int> = 0..<0
    public var framing: BodyFraming = .none
    /// Whether the backend allows another request after this one.
    public var allowsReuse = true
    public var hasConnectionOptions = false
    /// `Content-Length` as received, also where the message has no body (HEAD, 304).
    public var declaredLength: UInt64?

    public init() { headers = HeaderBlock() }

    public mutating func clear() {
        headers.clear()
        status = 0
        version = .http11
        reason = 0..<0
        framing = .none
        allowsReuse = true
        hasConnectionOptions = false
        declaredLength = nil
    }

    public var isInterim: Bool { status >= 100 && status < 200 }

    @_lifetime(borrow self)
    public func bytes(_ range: Range<Int>) -> RawSpan { headers.storage.bytes.extracting(range) }
}
