import COpenSSL
import Glibc

/// An authority that makes certificates, revocation lists and OCSP responses for the tests.
final class Authority: Sendable {
    enum Key: Sendable { case ecdsa, rsa, weakRSA }

    nonisolated(unsafe) let certificate: OpaquePointer
    nonisolated(unsafe) let key: OpaquePointer
    let pem: String

    /// - Parameter parent: nil: its own root.
    init(_ name: String, parent: Authority? = nil) {
        key = makeKey(.ecdsa)
        let own = makeCertificate(
            name, key: key, issuer: parent?.certificate, issuerKey: parent?.key ?? key, days: -1...365,
            extensions: [(NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "keyCertSign,cRLSign,digitalSignature")],
            san: nil)
        certificate = own
        pem = pemText { PEM_write_bio_X509($0, own) }
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    func issue(
        _ name: String, names: String? = nil, rawNames: [UInt8]? = nil, key kind: Key = .ecdsa, days: ClosedRange<Int> = -1...90,
        usage: String? = "serverAuth,clientAuth"
    ) -> Leaf {
        let leafKey = makeKey(kind)
        var extensions: [(Int32, String)] = [(NID_basic_constraints, "critical,CA:FALSE")]
        if let usage { extensions.append((NID_ext_key_usage, usage)) }
        if let names { extensions.append((NID_subject_alt_name, names)) }
        let leaf = makeCertificate(
            name, key: leafKey, issuer: certificate, issuerKey: key, days: days, extensions: extensions, san: rawNames)
        return Leaf(certificate: leaf, key: leafKey)
    }

    /// A revocation list, PEM, that is good for `days` from now.
    func revocations(of leaves: [Leaf], days: Int = 30) -> String {
        let list = X509_CRL_new()
        defer { X509_CRL_free(list) }
        X509_CRL_set_version(list, 1)
        X509_CRL_set_issuer_name(list, X509_get_subject_name(certificate))
        let begin = X509_gmtime_adj(nil, -86_400 * 2)
        let end = X509_gmtime_adj(nil, 86_400 * days)
        defer {
            ASN1_TIME_free(begin)
            ASN1_TIME_free(end)
        }
        X509_CRL_set1_lastUpdate(list, begin)
        X509_CRL_set1_nextUpdate(list, end)
        for leaf in leaves {
            let entry = X509_REVOKED_new()
            X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(leaf.certificate))
            X509_REVOKED_set_revocationDate(entry, begin)
            X509_CRL_add0_revoked(list, entry)
        }
        X509_CRL_sign(list, key, EVP_sha256())
        return pemText { PEM_write_bio_X509_CRL($0, list) }
    }

    /// What the authority says of a certificate, DER; `until` seconds from now.
    func status(of leaf: Leaf, _ status: Int32 = V_OCSP_CERTSTATUS_GOOD, until: Int = 86_400, signedBy signer: Authority? = nil)
        -> [UInt8]
    {
        let basic = OCSP_BASICRESP_new()
        defer { OCSP_BASICRESP_free(basic) }
        let begin = X509_gmtime_adj(nil, min(-3600, until - 3600))
        let end = X509_gmtime_adj(nil, until)
        defer {
            ASN1_TIME_free(begin)
            ASN1_TIME_free(end)
        }
        let generalizedBegin = ASN1_TIME_to_generalizedtime(begin, nil)
        let generalizedEnd = ASN1_TIME_to_generalizedtime(end, nil)
        defer {
            ASN1_GENERALIZEDTIME_free(generalizedBegin)
            ASN1_GENERALIZEDTIME_free(generalizedEnd)
        }
        let name = OCSP_cert_to_id(EVP_sha1(), leaf.certificate, certificate)
        OCSP_basic_add1_status(basic, name, status, 0, generalizedBegin, generalizedBegin, generalizedEnd)
        OCSP_CERTID_free(name)
        let signer = signer ?? self
        OCSP_basic_sign(basic, signer.certificate, signer.key, EVP_sha256(), nil, 0)
        let response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic)
        defer { OCSP_RESPONSE_free(response) }
        var start: UnsafeMutablePointer<UInt8>?
        let count = i2d_OCSP_RESPONSE(response, &start)
        defer { copenssl_free(start) }
        return Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }
}

/// A certificate with its key.
final class Leaf: Sendable {
    nonisolated(unsafe) let certificate: OpaquePointer
    nonisolated(unsafe) let key: OpaquePointer
    let pem: String
    let keyPEM: String

    init(certificate: OpaquePointer, key: OpaquePointer) {
        self.certificate = certificate
        self.key = key
        pem = pemText { PEM_write_bio_X509($0, certificate) }
        keyPEM = pemText { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    /// The key as a file with a password has it.
    var encryptedKeyPEM: String { pemText { PEM_write_bio_PKCS8PrivateKey($0, key, EVP_aes_256_cbc(), "secret", 6, nil, nil) } }
}

/// A new folder for the files of a test.
final class Folder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/sluice-tls-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nowhere"
    }

    deinit {
        for file in files() { unlink(file) }
        rmdir(path)
    }

    func write(_ name: String, _ text: String, mode: mode_t = 0o600) -> String { write(name, Array(text.utf8), mode: mode) }

    func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o600) -> String {
        let file = "\(path)/\(name)"
        unlink(file)
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        _ = Glibc.write(descriptor, bytes, bytes.count)
        fchmod(descriptor, mode)
        close(descriptor)
        return file
    }

    private func files() -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { names.append("\(path)/\(String(cString: $0))") }
            }
        }
        return names
    }
}

func pemText(_ write: (OpaquePointer?) -> Int32) -> String {
    let bio = BIO_new(BIO_s_mem())
    defer { BIO_free(bio) }
    _ = write(bio)
    var bytes: UnsafeMutablePointer<CChar>?
    let count = copenssl_written(bio, &bytes)
    return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
}

private let rsaKey = KeyHolder(bits: 2048)
private let weakKey = KeyHolder(bits: 1024)

/// Making RSA keys takes long: one does for all certificates.
private final class KeyHolder: Sendable {
    nonisolated(unsafe) let key: OpaquePointer?

    init(bits: Int32) {
        let context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var made: OpaquePointer?
        EVP_PKEY_keygen_init(context)
        EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits)
        EVP_PKEY_keygen(context, &made)
        key = made
    }
}

private func makeKey(_ kind: Authority.Key) -> OpaquePointer {
    switch kind {
    case .rsa, .weakRSA:
        let key = kind == .rsa ? rsaKey.key : weakKey.key
        EVP_PKEY_up_ref(key)
        return key.unsafelyUnwrapped
    case .ecdsa:
        let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var made: OpaquePointer?
        EVP_PKEY_keygen_init(context)
        EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1)
        EVP_PKEY_keygen(context, &made)
        return made.unsafelyUnwrapped
    }
}

private func makeCertificate(
    _ name: String, key: OpaquePointer, issuer: OpaquePointer?, issuerKey: OpaquePointer, days: ClosedRange<Int>,
    extensions: [(Int32, String)], san: [UInt8]?
) -> OpaquePointer {
    let certificate = X509_new().unsafelyUnwrapped
    X509_set_version(certificate, 2)
    var serial: UInt64 = 0
    RAND_bytes(&serial, 7)
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial | 1 << 48)
    X509_gmtime_adj(X509_getm_notBefore(certificate), 86_400 * days.lowerBound)
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86_400 * days.upperBound)
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", 0x1000, name, -1, -1, 0)
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer ?? certificate))
    X509_set_pubkey(certificate, key)
    var context = v3_ext_ctx()
    X509V3_set_ctx(&context, issuer ?? certificate, certificate, nil, nil, 0)
    for (kind, value) in extensions {
        let made = X509V3_EXT_nconf_nid(nil, &context, kind, value)
        X509_add_ext(certificate, made, -1)
        X509_EXTENSION_free(made)
    }
    if let san {
        let bytes = ASN1_STRING_type_new(V_ASN1_OCTET_STRING)
        ASN1_STRING_set(bytes, san, Int32(san.count))
        let made = X509_EXTENSION_create_by_NID(nil, NID_subject_alt_name, 0, bytes)
        X509_add_ext(certificate, made, -1)
        X509_EXTENSION_free(made)
        ASN1_STRING_free(bytes)
    }
    X509_sign(certificate, issuerKey, EVP_sha256())
    return certificate
}
