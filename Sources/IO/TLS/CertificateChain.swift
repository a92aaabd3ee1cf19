import COpenSSL

/// A certificate with those above it and its private key, checked against each other.
final class CertificateChain {
    let certificateFile: String
    let keyFile: String
    let leaf: OpaquePointer
    let key: OpaquePointer
    /// The certificates that stand behind the leaf.
    let above: [OpaquePointer]
    let facts: TLSCertificate
    private(set) var warnings: [TLSWarning] = []

    /// - Parameter now: seconds since 1970.
    init(certificateFile: String, keyFile: String, at now: Int64) throws(TLSLoadError) {
        let certificates = try PEMReader.certificates(SecretFile(certificateFile))
        var isKept = false
        defer { if !isKept { certificates.forEach { X509_free($0) } } }
        let secret = try SecretFile(keyFile)
        let key = try PEMReader.privateKey(secret)
        defer { if !isKept { EVP_PKEY_free(key) } }
        if X509_check_private_key(certificates[0], key) != 1 {
            let owner = certificates.dropFirst().firstIndex { X509_check_private_key($0, key) == 1 }
            ERR_clear_error()
            if let owner {
                throw TLSLoadError(
                    certificateFile,
                    "the certificate of \(keyFile) stands in place \(owner + 1): put it first, and those of its issuers behind it"
                )
            }
            throw TLSLoadError(keyFile, "the private key does not belong to the certificate in \(certificateFile)")
        }
        isKept = true
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.key = key
        leaf = certificates[0]
        above = Array(certificates.dropFirst())
        facts = TLSCertificate(certificates[0], file: certificateFile)
        if secret.isOpenToOthers {
            warnings.append(TLSWarning(keyFile, "others than its owner may read the private key: chmod 600 \(keyFile)"))
        }
        warn(at: now)
    }

    deinit {
        X509_free(leaf)
        EVP_PKEY_free(key)
        above.forEach { X509_free($0) }
    }

    /// The names that it is for, in lower case; those that are no host names are left out.
    var hostNames: [[UInt8]] {
        AlternativeName.all(of: leaf).compactMap { $0.kind == .dns ? ServerNames.canonical($0.bytes) : nil }
    }

    /// Makes a context use it. A context may have one of each kind of key.
    func use(in context: OpaquePointer) throws(TLSLoadError) {
        ERR_clear_error()
        guard let chain = copenssl_chain_new() else { throw TLSLoadError(certificateFile, "there is no memory to use it") }
        defer { copenssl_chain_free(chain) }
        for certificate in above where copenssl_chain_push(chain, certificate) == 0 {
            throw TLSLoadError(certificateFile, "there is no memory to use it")
        }
        guard SSL_CTX_use_cert_and_key(context, leaf, key, chain, 1) == 1 else {
            let code = ERR_peek_last_error()
            let isWeak = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_EE_KEY_TOO_SMALL
            let reason = openSSLText()
            throw TLSLoadError(
                certificateFile,
                isWeak
                    ? "the key of \(facts.keyBits) bits is too short: RSA needs 2048, ECDSA 256"
                    : "the certificate cannot be used: \(reason)")
        }
    }

    private func warn(at now: Int64) {
        if now > facts.notAfter {
            warnings.append(TLSWarning(certificateFile, "the certificate has expired, and clients will refuse it"))
        } else if now < facts.notBefore {
            warnings.append(TLSWarning(certificateFile, "the certificate is not valid yet, and clients will refuse it"))
        }
        var lower = leaf
        for (i, upper) in above.enumerated() {
            if X509_check_issued(upper, lower) != X509_V_OK {
                warnings.append(
                    TLSWarning(
                        certificateFile,
                        "certificate \(i + 2) did not issue certificate \(i + 1): the order is leaf, its issuer, the issuer's issuer"
                    ))
                break
            }
            lower = upper
        }
    }
}
