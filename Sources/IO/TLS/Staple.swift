import COpenSSL

/// What an authority said of one of our certificates, signed by it, to be handed to clients in the handshake (RFC 6066 §8).
struct Staple: Sendable {
    /// DER.
    var response: [UInt8]
    /// The certificate that it is about.
    nonisolated(unsafe) var leaf: OpaquePointer
    /// Seconds since 1970; afterwards clients would refuse it.
    var goodUntil: Int64

    /// How far the clocks of the authority and of this machine may differ, in seconds.
    private static var clockError: Int { 300 }

    private struct Unfit: Error {
        var problem: String
    }

    /// Reads a response. One that is expired, or is not about this certificate, is not used: clients would refuse us for it.
    static func load(_ file: String, for chain: CertificateChain) -> (staple: Staple?, warning: TLSWarning?) {
        do {
            return (try read(file, chain), nil)
        } catch let fault as TLSLoadError {
            return (nil, TLSWarning(fault.file, fault.problem))
        } catch let fault as Unfit {
            return (nil, TLSWarning(file, "the OCSP response is not used: \(fault.problem)"))
        } catch {
            return (nil, TLSWarning(file, "the OCSP response is not used: \(error)"))
        }
    }

    private static func read(_ file: String, _ chain: CertificateChain) throws -> Staple {
        let content = try SecretFile(file)
        ERR_clear_error()
        defer { ERR_clear_error() }
        var from = content.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let response = d2i_OCSP_RESPONSE(nil, &from, content.bytes.count) else {
            throw Unfit(problem: "it is no OCSP response in DER form")
        }
        defer { OCSP_RESPONSE_free(response) }
        guard OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL, let basic = OCSP_response_get1_basic(response)
        else {
            throw Unfit(problem: "the authority did not answer the question")
        }
        defer { OCSP_BASICRESP_free(basic) }
        guard let issuer = ([chain.leaf] + chain.above).first(where: { X509_check_issued($0, chain.leaf) == X509_V_OK }) else {
            throw Unfit(problem: "it cannot be checked: put the issuer's certificate behind the leaf in \(chain.certificateFile)")
        }
        let single = try find(basic, leaf: chain.leaf, issuer: issuer)
        guard single.status == V_OCSP_CERTSTATUS_GOOD else {
            throw Unfit(
                problem: single.status == V_OCSP_CERTSTATUS_REVOKED
                    ? "the certificate is revoked" : "the authority does not know the certificate")
        }
        guard OCSP_check_validity(single.thisUpdate, single.nextUpdate, clockError, -1) == 1 else {
            throw Unfit(problem: "it is too old, or not valid yet")
        }
        try verify(basic, issuer: issuer, above: chain.above)
        return Staple(
            response: Array(content.bytes), leaf: chain.leaf,
            goodUntil: single.nextUpdate.map { copenssl_seconds($0) } ?? .max)
    }

    private struct Single {
        var status: Int32
        var thisUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        var nextUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
    }

    /// The part that is about a certificate.
    private static func find(_ basic: OpaquePointer, leaf: OpaquePointer, issuer: OpaquePointer) throws -> Single {
        for digest in [EVP_sha1(), EVP_sha256()] {
            guard let name = OCSP_cert_to_id(digest, leaf, issuer) else { continue }
            defer { OCSP_CERTID_free(name) }
            var single = Single(status: -1)
            var reason: Int32 = 0
            if OCSP_resp_find_status(basic, name, &single.status, &reason, nil, &single.thisUpdate, &single.nextUpdate) == 1 {
                return single
            }
        }
        throw Unfit(problem: "it is about another certificate")
    }

    /// Checks that the issuer, or somebody whom it named for that, signed the response.
    private static func verify(_ basic: OpaquePointer, issuer: OpaquePointer, above: [OpaquePointer]) throws {
        guard let store = X509_STORE_new(), let known = copenssl_chain_new() else {
            throw Unfit(problem: "there is no memory to check it")
        }
        defer {
            X509_STORE_free(store)
            copenssl_chain_free(known)
        }
        X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
        for certificate in [issuer] + above {
            guard X509_STORE_add_cert(store, certificate) == 1, copenssl_chain_push(known, certificate) != 0 else {
                throw Unfit(problem: "there is no memory to check it")
            }
        }
        guard OCSP_basic_verify(basic, known, store, 0) == 1 else {
            throw Unfit(problem: "its signature is wrong: \(openSSLText())")
        }
    }
}
