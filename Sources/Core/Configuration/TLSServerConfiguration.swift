import Primitives

/// How a listener encrypts.
public struct TLSServerConfiguration: Sendable, Equatable {
    /// At least one. The first is that of clients whose name fits none, unless `strictSNI`.
    public var certificates: [CertificateConfiguration]
    /// Nil: clients are not asked for a certificate.
    public var clientAuth: ClientAuthConfiguration?
    public var minimumVersion = Defaults.tlsMinimumVersion
    /// Whether a client that names no host, or one that no certificate is for, is refused in the handshake.
    public var strictSNI = Defaults.strictSNI
    /// Whether clients may resume a session without the server keeping it (RFC 8446 §2.2, RFC 5077).
    public var sessionTickets = Defaults.sessionTickets
    /// How long one key encrypts tickets. Tickets of the key before it are still taken.
    public var ticketRotation = Defaults.ticketRotation

    public init(certificates: [CertificateConfiguration]) { self.certificates = certificates }

    /// What is asked of clients whom this certificate is shown.
    public func clientAuth(of certificate: CertificateConfiguration) -> ClientAuthConfiguration? {
        certificate.clientAuth ?? clientAuth
    }

    /// Whether nobody gets in without a certificate.
    public var requiresClientCertificate: Bool {
        certificates.allSatisfy { certificate in
            guard let auth = clientAuth(of: certificate) else { return false }
            return auth.mode == .require
        }
    }

    /// Whether backends are told of the certificates of clients.
    public var forwardsClientCertificate: Bool { certificates.contains { clientAuth(of: $0)?.forwards ?? false } }

    /// Whether some clients are asked for a certificate.
    public var asksForClientCertificate: Bool { certificates.contains { clientAuth(of: $0) != nil } }
}

/// A certificate with its key. Paths of files are complete: what the file writes without a leading slash stands below the file's
/// own directory.
public struct CertificateConfiguration: Sendable, Equatable {
    /// The certificate and behind it its chain, PEM.
    public var certFile: String
    public var keyFile: String
    /// Host names in lower case, exact or `*.example.com`, for which it is shown; empty: those that it holds.
    public var names: [String] = []
    /// An OCSP response, DER, that is stapled to the handshake (RFC 6066 §8).
    public var ocspFile: String?
    /// In the place of the listener's.
    public var clientAuth: ClientAuthConfiguration?

    public init(certFile: String, keyFile: String) {
        self.certFile = certFile
        self.keyFile = keyFile
    }
}

public enum TLSVersion: String, Sendable, Equatable, CaseIterable {
    case tls12 = "1.2"
    case tls13 = "1.3"
}
