import COpenSSL

/// What is told of a certificate in reports and metrics.
public struct TLSCertificate: Sendable, Equatable {
    public enum KeyKind: UInt8, Sendable {
        case rsa, ecdsa, ed25519, other
    }

    /// Where it was read from.
    public var file: String
    /// RFC 2253.
    public var subject: String
    /// Each behind its kind: `DNS:…`, `IP:…`.
    public var alternativeNames: [String]
    /// Seconds since 1970.
    public var notBefore: Int64
    public var notAfter: Int64
    public var key: KeyKind
    public var keyBits: Int

    init(_ certificate: OpaquePointer, file: String) {
        self.file = file
        subject = CertificateText.subject(certificate)
        alternativeNames = CertificateText.alternativeNames(certificate)
        notBefore = copenssl_seconds(X509_get0_notBefore(certificate))
        notAfter = copenssl_seconds(X509_get0_notAfter(certificate))
        let publicKey = X509_get0_pubkey(certificate)
        keyBits = Int(EVP_PKEY_get_bits(publicKey))
        key =
            switch EVP_PKEY_get_base_id(publicKey) {
            case EVP_PKEY_RSA, EVP_PKEY_RSA_PSS: .rsa
            case EVP_PKEY_EC: .ecdsa
            case EVP_PKEY_ED25519: .ed25519
            default: .other
            }
    }
}
