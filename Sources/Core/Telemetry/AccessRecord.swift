import HTTPMessages
import Primitives

/// What the access log tells of one request, but for the texts that came with it (`AccessText`).
public struct AccessRecord: Sendable {
    /// When the first byte of the request came.
    public var time: Timestamp
    public var listener: Label = .none
    /// Who asked, after trusted proxies were seen through; nil on a Unix socket.
    public var client: IPAddress?
    /// 0 when it is not known.
    public var clientPort: UInt16 = 0
    /// Who the connection is with; nil on a Unix socket.
    public var peer: IPAddress?
    public var version: HTTPVersion = .http11
    /// Whether the client's connection is TLS.
    public var isSecure = false
    public var route: Label = .none
    public var service: Label = .none
    /// The instance of the last attempt.
    public var instance: Label = .none
    /// As sent, or `Refusal.clientClosedStatus`.
    public var status: UInt16
    /// Of the last attempt's answer; 0 when there was none.
    public var upstreamStatus: UInt16 = 0
    /// The protocol that was spoken with the last instance asked; nil, and no key in the line, when none was.
    public var upstreamVersion: HTTPVersion?
    /// What a gRPC client was told, whoever said it; nil, and no key in the line, for other requests and where it is not known.
    public var grpcStatus: UInt32?
    public var reason: Reason
    /// Of the request: head and body, as they came.
    public var bytesIn: UInt64 = 0
    /// Of the answer: head and body, as they went.
    public var bytesOut: UInt64 = 0
    /// From the first byte of the request to the last of the answer.
    public var duration: TimeAmount = .zero
    /// What of it was the gateway's own.
    public var overhead: TimeAmount = .zero
    /// From the first byte of the request to the first of the answer; nil when none was sent.
    public var firstByte: TimeAmount?
    /// In the hands of backends, all attempts together; nil when none was asked, as are the next two.
    public var upstream: TimeAmount?
    /// To connect; nil when a kept connection was used.
    public var connect: TimeAmount?
    /// In the service's queue; nil when it did not have to wait.
    public var queue: TimeAmount?
    public var attempts: UInt32 = 0

    public init(time: Timestamp, status: UInt16, reason: Reason) {
        self.time = time
        self.status = status
        self.reason = reason
    }
}

/// The texts of a request that the access log shows, borrowed from where they are. An empty one was not there.
public struct AccessText: ~Escapable {
    public let requestID: RawSpan
    public let method: RawSpan
    public let host: RawSpan
    public let path: RawSpan
    /// `path` is a target as it came: an address perhaps, with user information.
    let isTarget: Bool
    /// Without the `?`.
    public let query: RawSpan
    public let userAgent: RawSpan
    public let referer: RawSpan

    @_lifetime(copy requestID, copy method, copy host, copy path, copy query, copy userAgent, copy referer)
    public init(
        requestID: RawSpan, method: RawSpan, host: RawSpan, path: RawSpan, query: RawSpan, userAgent: RawSpan, referer: RawSpan
    ) {
        self.requestID = requestID
        self.method = method
        self.host = host
        self.path = path
        isTarget = false
        self.query = query
        self.userAgent = userAgent
        self.referer = referer
    }

    /// Of a request head, whole or not. As long as there is no canonical path, the target is shown as it came.
    @_lifetime(borrow head, copy requestID)
    public init(_ head: borrowing RequestHead, requestID: RawSpan) {
        self.requestID = requestID
        method = head.bytes(head.methodRange)
        host = head.bytes(head.host)
        if head.path.isEmpty {
            let target = head.bytes(head.targetRange)
            let end = target.firstIndex(of: ASCII.question) ?? target.byteCount
            path = target.extracting(0..<end)
            isTarget = true
            query = target.extracting(min(end + 1, target.byteCount)..<target.byteCount)
        } else {
            isTarget = false
            path = head.bytes(head.path)
            query = head.bytes(head.query ?? 0..<0)
        }
        if let i = head.headers.firstIndex(of: .userAgent) {
            userAgent = head.headers.value(i)
        } else {
            userAgent = head.bytes(0..<0)
        }
        if let i = head.headers.firstIndex(of: .referer) {
            referer = head.headers.value(i)
        } else {
            referer = head.bytes(0..<0)
        }
    }
}
