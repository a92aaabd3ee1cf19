import Primitives

/// An answer that the gateway makes itself because a request cannot be served. Which situation gets which answer is in
/// `Refusal+Situations.swift`; its body is written by `RefusalBody`.
public struct Refusal: Sendable {
    public var status: UInt16
    public var code: ErrorCode
    public var reason: Reason
    /// One sentence for people. It never holds anything from the request or the configuration.
    public var message: StaticString
    /// Seconds for `Retry-After` (RFC 9110 §10.2.3); 0 leaves the field out.
    public var retryAfterSeconds: Int
    /// The error type for `Proxy-Status` (RFC 9209 §2.3).
    public var proxyStatus: StaticString?
    /// The connection cannot be used any more: it is not known where the next request would begin, or it is to go away.
    public var closes: Bool

    public init(
        status: UInt16, code: ErrorCode, reason: Reason, message: StaticString, retryAfterSeconds: Int = 0,
        proxyStatus: StaticString? = nil, closes: Bool = false
    ) {
        self.status = status
        self.code = code
        self.reason = reason
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
        self.proxyStatus = proxyStatus
        self.closes = closes
    }

    /// The status in the log when the client went away before there was one to send; never on the wire.
    public static var clientClosedStatus: UInt16 { 499 }

    /// The same answer with up to a fifth added to `Retry-After`, so that those who wait do not all come back at once.
    public func jittered(by random: UInt64) -> Refusal {
        guard retryAfterSeconds > 0, retryAfterSeconds <= 1_000_000_000 else { return self }
        var spread = self
        spread.retryAfterSeconds += Int(random % UInt64(retryAfterSeconds / 5 + 1))
        return spread
    }

    /// The same answer, after which the connection is closed.
    public func closing() -> Refusal {
        var closing = self
        closing.closes = true
        return closing
    }

    /// Fills an empty head with the status and the fields that every answer of the gateway's own carries. The serialiser adds
    /// `Date` and what belongs to the connection.
    /// - Parameters:
    ///   - requestID: empty leaves `X-Request-ID` out.
    ///   - allow: the methods of the route for 405, as a list; empty leaves `Allow` out.
    public func fill(
        _ head: inout ResponseHead, format: RefusalBody.Format, bodyBytes: Int, requestID: RawSpan, allow: RawSpan
    ) {
        head.status = status
        head.framing = .length(UInt64(bodyBytes))
        head.declaredLength = UInt64(bodyBytes)
        RefusalBody.addFields(to: &head, format: format)
        if requestID.byteCount > 0 { head.headers.add(.xRequestID, value: requestID) }
        if allow.byteCount > 0 { head.headers.add(.allow, value: allow) }
        if retryAfterSeconds > 0 {
            head.headers.addComposed(.retryAfter) { $0.append(decimal: UInt64(retryAfterSeconds)) }
        }
        if let proxyStatus {
            head.headers.addComposed(.proxyStatus) {
                $0.append("sluice; error=")
                $0.append(proxyStatus)
            }
        }
    }

    /// The bytes of a text that lives as long as the process.
    @_lifetime(immortal)
    static func bytes(_ text: StaticString) -> RawSpan {
        let span = RawSpan(_unsafeStart: UnsafeRawPointer(text.utf8Start), byteCount: text.utf8CodeUnitCount)
        return _overrideLifetime(span, borrowing: ())
    }
}

extension HeaderBlock {
    /// Adds a field whose value `compose` appends to the storage.
    public mutating func addComposed(_ id: FieldID, _ compose: (inout ByteBuffer) -> Void) {
        let nameOffset = storage.count
        storage.append(id.name)
        let valueOffset = storage.count
        compose(&storage)
        append(
            Field(
                nameOffset: nameOffset, nameCount: valueOffset - nameOffset, valueOffset: valueOffset,
                valueCount: storage.count - valueOffset, id: id))
    }
}
