import COpenSSL
import Telemetry

extension HandshakeFault {
    /// What an error of OpenSSL means.
    ///
    /// - Parameters:
    ///   - error: the first of the thread's error queue; 0: it is empty.
    ///   - verdict: what became of verifying the peer's certificate, an `X509_V_ERR`.
    static func reading(_ error: UInt, verdict: Int, isClient: Bool) -> HandshakeFault {
        guard error != 0 else { return .internal }
        guard ERR_GET_LIB(error) == ERR_LIB_SSL else { return .protocolError }
        let reason = ERR_GET_REASON(error)
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
            return .plainHTTP
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_NO_PROTOCOLS_AVAILABLE, SSL_R_UNKNOWN_PROTOCOL:
            return .noSharedVersion
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SHARED_GROUPS, SSL_R_NO_SUITABLE_GROUPS, SSL_R_NO_SUITABLE_KEY_SHARE,
            SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
            return .noSharedCipher
        case SSL_R_NO_APPLICATION_PROTOCOL:
            return .noSharedProtocol
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return .clientCertificateMissing
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            return isClient ? ofServer(verdict) : ofClient(verdict)
        case 1000...1255:
            // SSL_AD_REASON_OFFSET, and the number of the alert that came.
            return .alertFromPeer
        default:
            let isOurs =
                reason == Int32(truncatingIfNeeded: ERR_R_INTERNAL_ERROR)
                || reason == Int32(truncatingIfNeeded: ERR_R_MALLOC_FAILURE)
            return isOurs ? .internal : .protocolError
        }
    }

    private static func ofClient(_ verdict: Int) -> HandshakeFault {
        switch Cause(verdict) {
        case .time: .clientCertificateExpired
        case .revoked: .clientCertificateRevoked
        case .issuer: .clientCertificateUntrusted
        case .name, .other: .clientCertificateInvalid
        }
    }

    private static func ofServer(_ verdict: Int) -> HandshakeFault {
        switch Cause(verdict) {
        case .time: .certificateExpired
        case .revoked: .certificateRevoked
        case .issuer: .certificateUntrusted
        case .name: .certificateNameMismatch
        case .other: .certificateInvalid
        }
    }

    private enum Cause {
        case time, revoked, issuer, name, other

        init(_ verdict: Int) {
            switch Int32(truncatingIfNeeded: verdict) {
            case X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID: self = .time
            case X509_V_ERR_CERT_REVOKED: self = .revoked
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_CERT_UNTRUSTED, X509_V_ERR_CERT_SIGNATURE_FAILURE:
                self = .issuer
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH, X509_V_ERR_EMAIL_MISMATCH: self = .name
            default: self = .other
            }
        }
    }
}
