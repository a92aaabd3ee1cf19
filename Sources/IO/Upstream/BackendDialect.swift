import HTTP2
import Primitives
import TLS

/// How an instance is spoken to: encrypted or not, and in which version of HTTP.
public struct BackendDialect: Sendable {
    public enum HTTP: UInt8, Sendable {
        case http1, http2
        /// Whichever the handshake agrees on (ALPN, RFC 7301).
        case negotiated
    }

    public var http: HTTP
    /// Nil where nothing is encrypted.
    public var tls: TLSClient?
    /// The name that is asked for and verified.
    public var name: TLSServerName?
    /// The last session with the instance, so that the next handshake is short; for all workers.
    public var resumption: TLSResumption?
    /// Requests at once on one connection.
    public var streamsMax: Int

    public init(
        _ http: HTTP = .http1, tls: TLSClient? = nil, name: TLSServerName? = nil, streamsMax: Int = 100
    ) {
        self.http = http
        self.tls = tls
        self.name = name
        self.streamsMax = streamsMax
        resumption = tls == nil ? nil : TLSResumption()
    }

    /// Whether a connection, once it stands, speaks HTTP/2.
    public func speaksHTTP2(_ session: TLSSession?) -> Bool {
        switch http {
        case .http1: return false
        case .http2: return true
        case .negotiated:
            guard let session else { return false }
            return session.alpn == .h2
        }
    }

    /// Whether the handshake has agreed on something that can be used.
    public func accepts(_ session: TLSSession) -> Bool { http != .http2 || session.alpn == .h2 }

    /// Whether connections made for the one may serve the other.
    public func isSame(as other: BackendDialect) -> Bool {
        http == other.http && tls === other.tls && name == other.name
    }

    public func http2(requestsPerConnection: Int) -> HTTP2ClientPolicy {
        HTTP2ClientPolicy(maxConcurrentStreams: streamsMax, requestsPerConnection: requestsPerConnection)
    }
}
