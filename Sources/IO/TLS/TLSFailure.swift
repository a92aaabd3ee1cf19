/// Why a session came to nothing.
public enum TLSFailure: UInt8, Error, Sendable, CaseIterable {
    /// The peer speaks HTTP without TLS.
    case plainHTTP
    /// The server name is none of ours, and only ours are served.
    case unknownName
    case noSharedVersion
    case noSharedCipher
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
    /// The peer said that it does not want to go on.
    case alertFromPeer
    /// More than `TLSLimits.handshakeBytes`, and the handshake is not done.
    case handshakeTooLong
    /// More than `TLSLimits.stepsAfterHandshake`.
    case tooManyMessages
    /// The peer broke a rule of TLS, or sent something else.
    case protocolError
    /// It is not the peer's fault.
    case `internal`

    /// For logs and labels of metrics.
    public var reason: StaticString {
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
            .tooManyMessages, .protocolError, .internal:
            false
        }
    }
}
