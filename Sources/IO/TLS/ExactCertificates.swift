import COpenSSL
import Primitives

/// Certificates of which a server must show one, whatever else is to be said of them. Belongs to a client, and lives as long.
final class ExactCertificates: Sendable {
    /// SHA-256 of each.
    let fingerprints: [[UInt8]]
    /// The host names that they are for, without those with a wildcard.
    let hostNames: [String]

    /// - Parameter files: PEM; the first certificate of each.
    init(_ files: [String]) throws(TLSLoadError) {
        var fingerprints: [[UInt8]] = []
        var names: [[UInt8]] = []
        for file in files {
            let certificates = try PEMReader.certificates(SecretFile(file))
            fingerprints.append(CertificateText.fingerprint(certificates[0]))
            for name in AlternativeName.all(of: certificates[0]) where name.kind == .dns {
                if let name = ServerNames.canonical(name.bytes), name.first != ASCII.asterisk { names.append(name) }
            }
            certificates.forEach { X509_free($0) }
        }
        self.fingerprints = fingerprints
        hostNames = names.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The context must not outlive this.
    func use(in context: OpaquePointer) {
        SSL_CTX_set_cert_verify_callback(context, verifyExactly, Unmanaged.passUnretained(self).toOpaque())
    }
}

/// OpenSSL's question whether the server may be trusted, in the place of its own answer. 1: it may.
private func verifyExactly(_ store: OpaquePointer?, _ holder: UnsafeMutableRawPointer?) -> Int32 {
    guard let holder, let shown = X509_STORE_CTX_get0_cert(store) else { return 0 }
    let fingerprint = CertificateText.fingerprint(shown)
    let exact = Unmanaged<ExactCertificates>.fromOpaque(holder).takeUnretainedValue()
    guard !fingerprint.isEmpty, exact.fingerprints.contains(fingerprint) else {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED)
        return 0
    }
    X509_STORE_CTX_set_error(store, X509_V_OK)
    return 1
}
