/// Why a TLS session came to nothing, with a client or with a backend.
public enum HandshakeFault: UInt8, Error, Sendable, CaseIterable {
    /// The peer speaks HTTP without TLS.
    case plainHTTP
    /// The client asked for a server name that is none of ours, and only ours are served.
    case unknownName
    case noSharedVersion
    case noSharedCipher
    /// Both sides named protocols (ALPN), and have none in common.
    case noSharedProtocol
    case clientCertificateMissing
    case clientCertificateInvalid
    case clientCertificateExpired
    case clientCertificateRevoked
    case clientCertificateUntrusted
    case certificateInvalid
    case certificateExpired
    case certificateRevoked
    case certificateUntrusted
    case certificateNameMismatch
    /// The peer said that it does not want to go on; it may distrust our certificate.
    case alertFromPeer
    /// It took more bytes than a handshake may.
    case handshakeTooLong
    /// Messages that do no work, one after the other, on a session that is there already.
    case tooManyMessages
    /// The peer broke a rule of TLS, or sent something else.
    case protocolError
    case timeout
    /// The peer closed or reset the connection.
    case closed
    /// It is not the peer's fault.
    case `internal`

    /// As in metrics and logs.
    public var name: StaticString {
        switch self {
        case .plainHTTP: "plain_http"
        case .unknownName: "unknown_name"
        case .noSharedVersion: "no_shared_version"
        case .noSharedCipher: "no_shared_cipher"
        case .noSharedProtocol: "no_shared_protocol"
        case .clientCertificateMissing: "client_certificate_missing"
        case .clientCertificateInvalid: "client_certificate_invalid"
        case .clientCertificateExpired: "client_certificate_expired"
        case .clientCertificateRevoked: "client_certificate_revoked"
        case .clientCertificateUntrusted: "client_certificate_untrusted"
        case .certificateInvalid: "certificate_invalid"
        case .certificateExpired: "certificate_expired"
        case .certificateRevoked: "certificate_revoked"
        case .certificateUntrusted: "certificate_untrusted"
        case .certificateNameMismatch: "certificate_name_mismatch"
        case .alertFromPeer: "alert_from_peer"
        case .handshakeTooLong: "handshake_too_long"
        case .tooManyMessages: "too_many_messages"
        case .protocolError: "protocol_error"
        case .timeout: "timeout"
        case .closed: "closed"
        case .internal: "internal"
        }
    }

    /// Whether the peer's certificate is the reason.
    public var isOfCertificate: Bool {
        switch self {
        case .clientCertificateMissing, .clientCertificateInvalid, .clientCertificateExpired, .clientCertificateRevoked,
            .clientCertificateUntrusted, .certificateInvalid, .certificateExpired, .certificateRevoked, .certificateUntrusted,
            .certificateNameMismatch:
            true
        case .plainHTTP, .unknownName, .noSharedVersion, .noSharedCipher, .noSharedProtocol, .alertFromPeer, .handshakeTooLong,
            .tooManyMessages, .protocolError, .timeout, .closed, .internal:
            false
        }
    }
}

/// The versions of TLS that are spoken; older ones never are (RFC 8996).
public enum HandshakeVersion: UInt8, Sendable, CaseIterable {
    case tls12, tls13

    public var name: StaticString {
        switch self {
        case .tls12: "TLSv1.2"
        case .tls13: "TLSv1.3"
        }
    }
}
