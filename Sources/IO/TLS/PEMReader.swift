import COpenSSL

/// Reads the objects of PEM files.
enum PEMReader {
    /// All certificates of a file, which the caller frees.
    ///
    /// - Throws: when there is none, or one is malformed.
    static func certificates(_ file: SecretFile) throws(TLSLoadError) -> [OpaquePointer] {
        try all(file, of: "certificate", free: { X509_free($0) }) { PEM_read_bio_X509($0, nil, nil, nil) }
    }

    /// All revocation lists of a file, which the caller frees.
    static func revocations(_ file: SecretFile) throws(TLSLoadError) -> [OpaquePointer] {
        try all(file, of: "X509 CRL", free: { X509_CRL_free($0) }) { PEM_read_bio_X509_CRL($0, nil, nil, nil) }
    }

    /// The private key of a file, which the caller frees.
    static func privateKey(_ file: SecretFile) throws(TLSLoadError) -> OpaquePointer {
        ERR_clear_error()
        guard let bio = copenssl_reader(file.bytes.baseAddress, file.bytes.count) else {
            throw TLSLoadError(file.path, "there is no memory to read it")
        }
        defer { BIO_free(bio) }
        var wantsPassword = false
        let key = withUnsafeMutablePointer(to: &wantsPassword) { asked in
            PEM_read_bio_PrivateKey(
                bio, nil,
                { _, _, _, asked in
                    asked?.assumingMemoryBound(to: Bool.self).pointee = true
                    return -1
                }, asked)
        }
        guard !wantsPassword else {
            if let key { EVP_PKEY_free(key) }
            ERR_clear_error()
            throw TLSLoadError(
                file.path,
                "the private key is encrypted, and nobody could type its password: store it decrypted (openssl pkey -in …)")
        }
        guard let key else {
            // OpenSSL says the same of a file without a key and of a key of an unknown kind.
            let isMissing = !file.contains("PRIVATE KEY-----")
            let reason = openSSLText()
            throw TLSLoadError(
                file.path, isMissing ? "there is no private key in PEM form in it" : "the private key cannot be read: \(reason)")
        }
        return key
    }

    private static func all(
        _ file: SecretFile, of kind: String, free: (OpaquePointer) -> Void, read: (OpaquePointer) -> OpaquePointer?
    ) throws(TLSLoadError) -> [OpaquePointer] {
        ERR_clear_error()
        guard let bio = copenssl_reader(file.bytes.baseAddress, file.bytes.count) else {
            throw TLSLoadError(file.path, "there is no memory to read it")
        }
        defer { BIO_free(bio) }
        var found: [OpaquePointer] = []
        while let next = read(bio) { found.append(next) }
        // The end shows as an error: no further beginning was found.
        let isEnd = lastIsEnd
        let reason = openSSLText()
        guard isEnd else {
            found.forEach(free)
            throw TLSLoadError(file.path, "\(kind) \(found.count + 1) of the file cannot be read: \(reason)")
        }
        guard !found.isEmpty else { throw TLSLoadError(file.path, "there is no \(kind) in PEM form in it") }
        return found
    }

    private static var lastIsEnd: Bool {
        let code = ERR_peek_last_error()
        return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE
    }
}
