import COpenSSL
import Glibc

/// The certificates that others are judged by. Several servers and clients may share one: those of the system take a MiB or two.
public final class TLSAuthorities: Sendable {
    nonisolated(unsafe) let store: OpaquePointer
    /// PEM.
    public let file: String
    public let warnings: [TLSWarning]
    /// The files, as they were just before they were read.
    public let files: TLSFileStamps
    /// Tells one set of authorities from another.
    let digest: [UInt8]
    nonisolated(unsafe) private let certificates: [OpaquePointer]

    /// - Parameters:
    ///   - crlFile: the revocation lists; without one nothing is looked up.
    ///   - now: seconds since 1970.
    /// - Throws: when a file cannot be read, or holds nothing, or something that is malformed.
    public init(file: String, crlFile: String? = nil, at now: Int64) throws(TLSLoadError) {
        files = TLSFileStamps([file] + (crlFile.map { [$0] } ?? []))
        let certificates = try PEMReader.certificates(SecretFile(file))
        guard let store = X509_STORE_new() else {
            certificates.forEach { X509_free($0) }
            throw TLSLoadError(file, "there is no memory to use it")
        }
        self.store = store
        self.file = file
        self.certificates = certificates
        var warnings: [TLSWarning] = []
        var seen: [UInt8] = []
        var problem: TLSLoadError?
        for (i, certificate) in certificates.enumerated() {
            if X509_STORE_add_cert(store, certificate) != 1 {
                problem = TLSLoadError(file, "certificate \(i + 1) cannot be used: \(openSSLText())")
            }
            if now > copenssl_seconds(X509_get0_notAfter(certificate)) {
                warnings.append(TLSWarning(file, "certificate \(i + 1) (\(CertificateText.subject(certificate))) has expired"))
            }
            seen += CertificateText.fingerprint(certificate)
        }
        var flags = UInt(X509_V_FLAG_PARTIAL_CHAIN)
        if let crlFile, problem == nil {
            flags |= UInt(X509_V_FLAG_CRL_CHECK) | UInt(X509_V_FLAG_CRL_CHECK_ALL)
            do throws(TLSLoadError) {
                let content = try SecretFile(crlFile)
                let lists = try PEMReader.revocations(content)
                defer { lists.forEach { X509_CRL_free($0) } }
                for (i, list) in lists.enumerated() {
                    if X509_STORE_add_crl(store, list) != 1 {
                        problem = TLSLoadError(crlFile, "list \(i + 1) cannot be used: \(openSSLText())")
                    }
                    if let next = X509_CRL_get0_nextUpdate(list), now > copenssl_seconds(next) {
                        warnings.append(
                            TLSWarning(crlFile, "list \(i + 1) is too old, and all certificates of its issuer are refused"))
                    }
                }
                seen += Digest.sha256(content.bytes)
            } catch {
                problem = error
            }
        }
        X509_STORE_set_flags(store, flags)
        digest = seen.withUnsafeBytes { Digest.sha256($0) }
        self.warnings = warnings
        if let problem { throw problem }
    }

    deinit {
        X509_STORE_free(store)
        certificates.forEach { X509_free($0) }
    }

    /// Makes a context judge its peers by them, and, on a server, say so to its clients.
    func use(in context: OpaquePointer, tellingClients: Bool) {
        SSL_CTX_set1_cert_store(context, store)
        guard tellingClients else { return }
        for certificate in certificates { SSL_CTX_add_client_CA(context, certificate) }
    }

    /// Where the system keeps the authorities that it trusts; nil: nowhere that is known.
    public static var systemFile: String? {
        if let named = getenv("SSL_CERT_FILE") { return String(cString: named) }
        let usual = [
            "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
            String(cString: X509_get_default_cert_file()),
        ]
        return usual.first { access($0, R_OK) == 0 }
    }
}

/// SHA-256.
enum Digest {
    static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        SHA256(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, &digest)
        return digest
    }
}
