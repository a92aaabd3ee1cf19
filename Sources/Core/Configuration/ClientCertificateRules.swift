/// Which clients are let in by the certificate that they showed: one match is enough. Not all of the lists are empty.
public struct ClientCertificateRules: Sendable, Equatable {
    /// Distinguished names, as `${client_cert_subject}` writes them (RFC 4514), to the letter.
    public var subjects: [String] = []
    public var sans: [ClientCertificateName] = []
    /// SHA-256 of the certificate, 64 hexadecimal digits in lower case.
    public var fingerprints: [String] = []

    public init() {}
}

/// A name in a certificate's subjectAltName (RFC 5280 §4.2.1.6).
public struct ClientCertificateName: Sendable, Hashable {
    public var kind: Kind
    /// DNS in lower case; IP in its shortest form.
    public var value: String

    /// The raw value is the word before the colon, in the file and in `${client_cert_san}`.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case dns = "DNS"
        case uri = "URI"
        case email
        case ip = "IP"
    }

    public init(kind: Kind, value: String) {
        self.kind = kind
        self.value = value
    }

    /// `DNS:client.example.com`
    public var text: String { "\(kind.rawValue):\(value)" }
}
