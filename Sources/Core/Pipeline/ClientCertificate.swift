import Primitives

/// Who a client is by the certificate that it showed and that was verified: made once for a connection, read by its requests.
public final class ClientCertificate: Sendable {
    /// The distinguished name (RFC 4514).
    public let subject: [UInt8]
    /// `DNS:…`, `URI:…`, `email:…`, `IP:…`.
    public let alternativeNames: [[UInt8]]
    /// The same with a comma between two, for a field. A comma within a name stands as `\x2c`, so that one cannot pass for two.
    let alternativeNamesText: [UInt8]
    /// SHA-256 of the certificate, 64 hexadecimal digits in lower case.
    public let fingerprint: [UInt8]
    /// The value of `Client-Cert`: the certificate in DER as a byte sequence of structured fields (RFC 9440 §2.1); empty where the
    /// backend is not to get it.
    let field: [UInt8]

    /// - Parameter certificate: in DER; empty where the backend is not to get it.
    public init(subject: [UInt8], alternativeNames: [[UInt8]], fingerprint: [UInt8], certificate: [UInt8]) {
        self.subject = Self.fieldSafe(subject)
        self.alternativeNames = alternativeNames.map(Self.fieldSafe)
        alternativeNamesText = Array(
            self.alternativeNames.map { name in Array(name.map { $0 == ASCII.comma ? Array("\\x2c".utf8) : [$0] }.joined()) }
                .joined(separator: [ASCII.comma]))
        self.fingerprint = fingerprint
        guard !certificate.isEmpty else {
            field = []
            return
        }
        var text = ByteBuffer(capacity: certificate.count * 3 / 2 + 8)
        text.append(ASCII.colon)
        text.append(base64: certificate.span.bytes)
        text.append(ASCII.colon)
        field = text.bytes.array()
    }

    /// A name may hold any byte, a field may not: what cannot stand there becomes `?`, which no rule compares equal by accident with
    /// something else, since rules are made of text that can.
    private static func fieldSafe(_ bytes: [UInt8]) -> [UInt8] {
        bytes.map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: "?") : $0 }
    }
}

/// Who is let in by certificate: one match is enough.
public final class ClientCertificateStage: Sendable {
    private let subjects: [[UInt8]]
    private let alternativeNames: [[UInt8]]
    private let fingerprints: [[UInt8]]

    public init(subjects: [[UInt8]], alternativeNames: [[UInt8]], fingerprints: [[UInt8]]) {
        self.subjects = subjects
        self.alternativeNames = alternativeNames
        self.fingerprints = fingerprints
    }

    func admits(_ context: borrowing RequestContext) -> Bool {
        guard let certificate = context.clientCertificate else { return false }
        return certificate._withUnsafeGuaranteedRef { certificate in
            fingerprints.contains(certificate.fingerprint) || subjects.contains(certificate.subject)
                || certificate.alternativeNames.contains { alternativeNames.contains($0) }
        }
    }
}

extension Answer {
    /// The client's certificate is not one of those that are let in, or it showed none.
    static var certificateDenied: Answer {
        .error(
            status: 403, code: "AUTH_ERROR", message: "This certificate is not allowed here.", reason: "certificate_denied")
    }
}
