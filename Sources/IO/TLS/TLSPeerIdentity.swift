import COpenSSL

/// Who a peer has proved to be.
public final class TLSPeerIdentity: Sendable {
    /// RFC 2253.
    public let subject: String
    /// Each behind its kind: `DNS:…`, `URI:…`, `IP:…`, `email:…`. A byte that is not printable ASCII stands as `\xNN`.
    public let alternativeNames: [String]
    /// SHA-256 of the certificate, 64 lower-case hexadecimal digits.
    public let fingerprint: String
    /// The certificate, DER: what `Client-Cert` tells (RFC 9440 §2.2).
    public let der: [UInt8]

    init(_ certificate: OpaquePointer) {
        subject = CertificateText.subject(certificate)
        alternativeNames = CertificateText.alternativeNames(certificate)
        fingerprint = CertificateText.hexadecimal(CertificateText.fingerprint(certificate))
        der = CertificateText.der(certificate)
    }
}
