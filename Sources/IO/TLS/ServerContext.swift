import COpenSSL
import Glibc

/// The settings of OpenSSL for one set of certificates and one policy on clients' certificates.
///
/// OpenSSL's callbacks get at it through the SSL_CTX, unretained: the server that a session holds holds it.
final class ServerContext: Sendable {
    nonisolated(unsafe) let context: OpaquePointer
    /// The same for contexts that ask the same of clients' certificates; 0: nothing is asked.
    let policyID: UInt32
    /// 32 bytes that no other set of names or policy has: what sessions and tickets are bound to.
    let identity: [UInt8]
    private let tickets: TicketSealer?
    private let staples: [Staple]
    private let protocols: [TLSProtocol]

    /// TLS 1.2 suites with forward secrecy and authenticated encryption: Mozilla's "intermediate" without its DHE, which nobody who
    /// lacks ECDHE is left to need. The client's order counts, since it knows whether it has AES in hardware.
    static var cipherList: String {
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
            + "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
    }
    static var cipherSuites: String { "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256" }
    static var groups: String { "X25519:P-256:P-384" }

    /// - Parameters:
    ///   - chains: of different kinds of keys.
    ///   - names: that the chains serve, as they tell this context from others.
    init(
        chains: [CertificateChain], names: [[UInt8]], staples: [Staple],
        clients: (auth: TLSClientAuth, authorities: TLSAuthorities)?,
        options: TLSServer.Options
    ) throws(TLSLoadError) {
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSLoadError(chains[0].certificateFile, "TLS cannot be set up: \(openSSLText())")
        }
        self.context = context
        let policy = Self.policy(clients)
        policyID = clients == nil ? 0 : max(1, policy[..<4].reduce(0) { $0 << 8 | UInt32($1) })
        let identity = Self.identity(names: names, policy: policy)
        self.identity = identity
        // A client that was let in by its certificate shows it each time: no ticket can outlive it, or its revocation.
        tickets = clients == nil ? options.ticketKeys.map { TicketSealer(ring: $0, policy: identity) } : nil
        self.staples = staples
        protocols = options.protocols.filter { $0 != .none }
        guard copenssl_context_versions(context, options.minimumVersion.number, TLS1_3_VERSION) == 1,
            SSL_CTX_set_cipher_list(context, Self.cipherList) == 1, SSL_CTX_set_ciphersuites(context, Self.cipherSuites) == 1,
            copenssl_context_groups(context, Self.groups) == 1,
            SSL_CTX_set_session_id_context(context, identity, UInt32(identity.count)) == 1
        else { throw TLSLoadError(chains[0].certificateFile, "TLS cannot be set up: \(openSSLText())") }
        SSL_CTX_set_security_level(context, 2)
        SSL_CTX_set_options(context, copenssl_option_no_compression | copenssl_option_no_renegotiation)
        copenssl_context_mode(context, Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_NO_AUTO_CHAIN))
        copenssl_context_cache(context, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_timeout(context, TLSLimits.sessionSeconds)
        copenssl_context_set_object(context, Unmanaged.passUnretained(self).toOpaque())
        if tickets == nil {
            SSL_CTX_set_options(context, copenssl_option_no_ticket)
            SSL_CTX_set_num_tickets(context, 0)
        } else {
            SSL_CTX_set_num_tickets(context, Self.ticketCount)
            SSL_CTX_set_tlsext_ticket_key_evp_cb(context, prepareTicket)
        }
        copenssl_context_on_name(context, { _, _, _ in SSL_TLSEXT_ERR_OK })
        SSL_CTX_set_alpn_select_cb(context, chooseProtocol, nil)
        if !staples.isEmpty { copenssl_context_on_status(context, attachStaple) }
        if let clients {
            var mode = SSL_VERIFY_PEER
            if clients.auth.mode == .require { mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT }
            SSL_CTX_set_verify(context, mode, nil)
            SSL_CTX_set_verify_depth(context, Int32(clamping: clients.auth.depth))
            clients.authorities.use(in: context, tellingClients: true)
        }
        for chain in chains { try chain.use(in: context) }
    }

    deinit { SSL_CTX_free(context) }

    /// In TLS 1.3, at the end of a handshake. Each costs about as much as the rest of what is not public-key work; a client that opens
    /// several connections gets one with each of them.
    private static var ticketCount: Int { 1 }

    /// Makes a session one of this context, whatever it was made from. SSL_set_SSL_CTX changes certificates and authorities alone.
    func adopt(_ ssl: OpaquePointer) {
        guard SSL_get_SSL_CTX(ssl) != context else { return }
        SSL_set_SSL_CTX(ssl, context)
        SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), nil)
        SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(context))
        if tickets == nil {
            SSL_set_options(ssl, copenssl_option_no_ticket)
            SSL_set_num_tickets(ssl, 0)
        } else {
            SSL_clear_options(ssl, copenssl_option_no_ticket)
            SSL_set_num_tickets(ssl, Self.ticketCount)
        }
    }

    /// The context that a session has now; nil for a client's.
    static func of(_ ssl: OpaquePointer?) -> ServerContext? {
        guard let object = copenssl_context_object(SSL_get_SSL_CTX(ssl)) else { return nil }
        return Unmanaged<ServerContext>.fromOpaque(object).takeUnretainedValue()
    }

    private static func policy(_ clients: (auth: TLSClientAuth, authorities: TLSAuthorities)?) -> [UInt8] {
        guard let clients else { return [] }
        var text = [clients.auth.mode.rawValue]
        withUnsafeBytes(of: clients.auth.depth) { text += $0 }
        text += clients.authorities.digest
        return text.withUnsafeBytes { Digest.sha256($0) }
    }

    private static func identity(names: [[UInt8]], policy: [UInt8]) -> [UInt8] {
        var text = policy
        for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            text.append(0)
            text += name
        }
        return text.withUnsafeBytes { Digest.sha256($0) }
    }

    fileprivate func ticketKeys(
        _ ssl: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>, _ vector: UnsafeMutablePointer<UInt8>,
        _ cipher: OpaquePointer?,
        _ mac: OpaquePointer?, seals: Bool
    ) -> Int32 {
        guard let tickets else { return 0 }
        // A ticket of TLS 1.3 is used once, and each use brings the next (RFC 8446 appendix C.4).
        let renews = SSL_version(ssl) == TLS1_3_VERSION
        return tickets.prepare(name: name, vector: vector, cipher: cipher, mac: mac, seals: seals, renews: renews)
    }

    fileprivate func choice(from list: UnsafeRawBufferPointer) -> Range<Int>? {
        TLSProtocol.choose(protocols, from: list)
    }

    /// What an authority said of one of the certificates, while it holds.
    func staple(for leaf: OpaquePointer?, at now: Int64) -> [UInt8]? {
        guard let staple = staples.first(where: { $0.leaf == leaf }), now < staple.goodUntil else { return nil }
        return staple.response
    }
}

private func prepareTicket(
    _ ssl: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?, _ vector: UnsafeMutablePointer<UInt8>?, _ cipher: OpaquePointer?,
    _ mac: OpaquePointer?, _ seals: Int32
) -> Int32 {
    guard let context = ServerContext.of(ssl), let name, let vector else { return -1 }
    return context.ticketKeys(ssl, name, vector, cipher, mac, seals: seals != 0)
}

private func chooseProtocol(
    _ ssl: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ chosenCount: UnsafeMutablePointer<UInt8>?,
    _ list: UnsafePointer<UInt8>?, _ count: UInt32, _: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context = ServerContext.of(ssl), let list,
        let range = context.choice(from: UnsafeRawBufferPointer(start: list, count: Int(count)))
    else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    chosen?.pointee = list + range.lowerBound
    chosenCount?.pointee = UInt8(range.count)
    return SSL_TLSEXT_ERR_OK
}

private func attachStaple(_ ssl: OpaquePointer?, _: UnsafeMutableRawPointer?) -> Int32 {
    guard let context = ServerContext.of(ssl), let response = context.staple(for: SSL_get_certificate(ssl), at: Int64(time(nil))),
        let copy = copenssl_malloc(response.count)
    else { return SSL_TLSEXT_ERR_NOACK }
    response.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(copy), byteCount: $0.count) }
    copenssl_set_status(ssl, copy.assumingMemoryBound(to: UInt8.self), response.count)
    return SSL_TLSEXT_ERR_OK
}
