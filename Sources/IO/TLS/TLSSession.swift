import COpenSSL
import Telemetry

/// A handle of one session, to be copied freely. It belongs to the engine's thread, and stays good until `free()`.
public struct TLSSession {
    let state: UnsafeMutablePointer<copenssl_session>

    var ssl: OpaquePointer? { state.pointee.ssl }

    /// Gives everything back, and drops output that was not taken. Neither this handle nor a copy of it may be used afterwards.
    public func free() {
        let owner = state.pointee.owner
        let resumption = state.pointee.resumption
        if state.pointee.has_failed == 0 {
            // Otherwise OpenSSL takes a missing close_notify as a reason not to resume the session (RFC 8446 §6.1 gives none).
            SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        }
        copenssl_errors_clear()
        copenssl_session_free(state)
        if let owner { Unmanaged<AnyObject>.fromOpaque(owner).release() }
        if let resumption { Unmanaged<AnyObject>.fromOpaque(resumption).release() }
    }

    /// Whether the handshake is done.
    public var isEstablished: Bool { state.pointee.is_established != 0 }

    /// Whether nothing but freeing is left.
    public var hasFailed: Bool { state.pointee.has_failed != 0 }

    /// Whether it goes on from an earlier session, without certificates.
    public var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// What ALPN agreed on.
    public var alpn: TLSProtocol {
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &start, &count)
        return TLSProtocol(UnsafeRawBufferPointer(start: start, count: Int(count)))
    }

    /// The server name that the client asked for; good until the next call of the engine with this session.
    public var serverName: UnsafeRawBufferPointer? {
        guard let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return nil }
        return UnsafeRawBufferPointer(start: name, count: strlen(name))
    }

    public var version: HandshakeVersion { ssl.map { HandshakeVersion(of: $0) } ?? .tls12 }

    /// The cipher suite as OpenSSL calls it; the bytes are never given back. Empty before the handshake.
    public var cipher: UnsafeRawBufferPointer {
        guard let cipher = SSL_get_current_cipher(ssl), let name = SSL_CIPHER_get_name(cipher) else {
            return .empty
        }
        return UnsafeRawBufferPointer(start: name, count: strlen(name))
    }

    /// A server's session: the policy on client certificates that it began under; 0: none are asked for.
    public var policyID: UInt32 {
        guard state.pointee.is_client == 0 else { return 0 }
        return ServerContext.of(ssl)?.policyID ?? 0
    }

    /// Whether a request for this host may be served here: the host's policy on client certificates is the session's. Otherwise the
    /// request is misdirected (421). Cheap where the server has one policy.
    public func mayServe(host: RawSpan) -> Bool {
        guard state.pointee.is_client == 0, let owner = state.pointee.owner else { return true }
        let server = Unmanaged<TLSServer>.fromOpaque(owner).takeUnretainedValue()
        return !server.hasSeveralPolicies || server.policy(forHost: host) == policyID
    }

    /// Who the peer is; nil when it showed no certificate, or one that was not verified. Makes a new object at each call.
    public var peerIdentity: TLSPeerIdentity? {
        guard isEstablished, SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER != 0, SSL_get_verify_result(ssl) == X509_V_OK,
            let certificate = SSL_get0_peer_certificate(ssl)
        else { return nil }
        return TLSPeerIdentity(certificate)
    }
}
