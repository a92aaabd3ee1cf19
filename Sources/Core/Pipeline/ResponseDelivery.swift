import HTTPMessages

/// How a response is framed for the client, and what becomes of the client's connection after it.
public struct ResponseDelivery: Equatable, Sendable {
    /// What `Connection` says.
    public enum Connection: UInt8, Sendable {
        /// Nothing: HTTP/1.1 stays open by default.
        case unsaid
        case close
        /// To a client of HTTP/1.0 that asked for it.
        case keepAlive
    }

    /// The framing of the bytes that follow the head; `.none` for HEAD, 1xx, 204 and 304 whatever the fields say.
    public var body: BodyFraming
    /// `Content-Length`, also where no body follows (HEAD, 304); nil when it is not written.
    public var contentLength: UInt64?
    public var connection: Connection

    public init(body: BodyFraming, contentLength: UInt64?, connection: Connection) {
        self.body = body
        self.contentLength = contentLength
        self.connection = connection
    }

    /// Whether the connection ends after this response.
    public var closes: Bool { connection == .close }

    /// Decides from the table of RFC 9112 §6.3.
    ///
    /// | upstream | to HTTP/1.1 | to HTTP/1.0 | to HTTP/2 |
    /// |---|---|---|---|
    /// | length | the same | the same | the same |
    /// | chunked, until close | chunked | until close | until the stream ends |
    ///
    /// - Parameters:
    ///   - upstream: the framing of the body as the backend, or the gateway's own answer, has it.
    ///   - declaredLength: the received `Content-Length`, for responses without a body that still say it.
    ///   - keepsAlive: the client wants another request on this connection, and nothing on our side speaks against it (drain,
    ///     unread body, requests per connection).
    public static func decide(
        version: HTTPVersion, method: Method, status: UInt16, upstream: BodyFraming, declaredLength: UInt64?, keepsAlive: Bool
    ) -> ResponseDelivery {
        if status < 200 {
            return ResponseDelivery(body: .none, contentLength: nil, connection: .unsaid)
        }
        var body = upstream
        var contentLength: UInt64?
        if status == 204 {
            // No Content-Length here (RFC 9110 §8.6).
            body = .none
        } else if status == 304 || method == .head {
            body = .none
            contentLength = declaredLength
            if case .length(let count) = upstream, method == .head, status != 304 { contentLength = count }
        } else {
            switch upstream {
            case .none:
                body = .length(0)
                contentLength = 0
            case .length(let count):
                contentLength = count
            case .chunked, .untilClose:
                body = version == .http11 ? .chunked : .untilClose
            }
        }
        let connection: Connection =
            if version == .http2 {
                // A stream ends by itself, and its connection is not the response's to close (RFC 9113 §8.2.2).
                .unsaid
            } else if !keepsAlive || body == .untilClose {
                .close
            } else {
                version == .http11 ? .unsaid : .keepAlive
            }
        return ResponseDelivery(body: body, contentLength: contentLength, connection: connection)
    }
}
