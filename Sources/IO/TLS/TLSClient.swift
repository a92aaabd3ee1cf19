import COpenSSL
import Telemetry

/// What is needed to speak TLS to the instances of a service. Immutable; all workers share one.
public final class TLSClient: Sendable {
    public struct Options: Sendable {
        /// Whether the server must prove who it is. Without it anybody in between can read and change everything.
        public var verifies = true
        /// PEM: each certificate of the file is trusted by itself, whether or not it is a root. nil: the authorities of the system.
        public var caFile: String?
        /// What that file holds, where it has been read.
        public var authorities: TLSAuthorities?
        /// The name to ask for and to check, in place of that of the instance.
        public var serverName: TLSServerName?
        /// PEM: the certificate that we show, with its key.
        public var certificateFile: String?
        public var keyFile: String?
        /// PEM: where not empty, the server must show the first certificate of one of these files, and that is all that it must: who
        /// issued it, for which name and until when does not matter. The other ways to verify are not used.
        public var exactFiles: [String] = []
        public var minimumVersion = HandshakeVersion.tls12
        /// What is offered, best first; empty: ALPN is not used.
        public var protocols: [TLSProtocol] = [.http11]

        public init() {}
    }

    public let warnings: [TLSWarning]
    /// The files, as they were just before they were read, those of the authorities among them.
    public let files: TLSFileStamps
    /// Whom it believes; nil: nobody, or the first certificates of files alone.
    public let authorities: TLSAuthorities?
    public let verifies: Bool
    /// Whether a session needs the name of its server.
    let needsName: Bool
    /// The certificates that it may show; nil: any that is verified.
    private let exact: ExactCertificates?
    let serverName: TLSServerName?
    let protocols: [TLSProtocol]
    nonisolated(unsafe) let context: OpaquePointer

    /// - Parameter now: seconds since 1970.
    public init(_ options: Options, at now: Int64) throws(TLSLoadError) {
        let own = TLSFileStamps([options.certificateFile, options.keyFile].compactMap { $0 } + options.exactFiles)
        var authorities = options.authorities
        let exact = options.exactFiles.isEmpty ? nil : try ExactCertificates(options.exactFiles)
        if options.verifies, exact == nil, authorities == nil {
            guard let file = options.caFile ?? TLSAuthorities.systemFile else {
                throw TLSLoadError(
                    "tls", "the system has no authorities that it trusts: install ca-certificates, or name a ca_file")
            }
            authorities = try TLSAuthorities(file: file, at: now)
        }
        self.authorities = authorities
        files = TLSFileStamps(joining: [own] + (authorities.map { [$0.files] } ?? []))
        var chain: CertificateChain?
        switch (options.certificateFile, options.keyFile) {
        case (let certificate?, let key?): chain = try CertificateChain(certificateFile: certificate, keyFile: key, at: now)
        case (let certificate?, nil): throw TLSLoadError(certificate, "its private key is not named: give a key_file")
        case (nil, let key?): throw TLSLoadError(key, "its certificate is not named: give a cert_file")
        case (nil, nil): break
        }
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw TLSLoadError("tls", "TLS cannot be set up: \(openSSLText())")
        }
        self.context = context
        // Nobody here can do anything about those of the system.
        warnings = (options.caFile == nil ? [] : authorities?.warnings ?? []) + (chain?.warnings ?? [])
        verifies = options.verifies
        needsName = options.verifies && exact == nil
        self.exact = exact
        serverName = options.serverName
        protocols = options.protocols.filter { $0 != .none }
        let offer = TLSProtocol.list(protocols)
        guard copenssl_context_versions(context, options.minimumVersion.number, TLS1_3_VERSION) == 1,
            SSL_CTX_set_cipher_list(context, Self.cipherList) == 1,
            SSL_CTX_set_ciphersuites(context, ServerContext.cipherSuites) == 1,
            copenssl_context_groups(context, ServerContext.groups) == 1,
            offer.isEmpty || SSL_CTX_set_alpn_protos(context, offer, UInt32(offer.count)) == 0
        else { throw TLSLoadError("tls", "TLS cannot be set up: \(openSSLText())") }
        SSL_CTX_set_options(context, copenssl_option_no_compression | copenssl_option_no_renegotiation)
        copenssl_context_mode(context, Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_NO_AUTO_CHAIN))
        copenssl_context_cache(context, Int(SSL_SESS_CACHE_CLIENT) | Int(SSL_SESS_CACHE_NO_INTERNAL))
        SSL_CTX_set_timeout(context, TLSLimits.sessionSeconds)
        SSL_CTX_sess_set_new_cb(context, keepSession)
        SSL_CTX_set_verify(context, options.verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        authorities?.use(in: context, tellingClients: false)
        exact?.use(in: context)
        try chain?.use(in: context)
    }

    deinit { SSL_CTX_free(context) }

    /// The host names of the certificates in `exactFiles`, without those with a wildcard.
    public var exactNames: [String] { exact?.hostNames ?? [] }

    /// As the server's, and with finite fields, which old backends may need.
    private static var cipherList: String {
        ServerContext.cipherList + ":DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
    }

    /// Tells a session whom it talks to, and makes it check that. False: memory is short.
    func name(_ name: TLSServerName, _ ssl: OpaquePointer) -> Bool {
        switch name.kind {
        case .host(let host):
            // Alternative names only, and a wildcard only as a whole label (RFC 9110 §4.3.4).
            SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT) | UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            return copenssl_set_server_name(ssl, host) == 1 && (!verifies || SSL_set1_host(ssl, host) == 1)
        case .address(let address):
            return !verifies || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address.text) == 1
        }
    }
}

/// OpenSSL hands over a session that may be resumed, with a reference. 1: it is kept.
private func keepSession(_ ssl: OpaquePointer?, _ kept: OpaquePointer?) -> Int32 {
    guard let ssl, let kept, let session = copenssl_session_of(ssl), let holder = session.pointee.resumption else { return 0 }
    Unmanaged<TLSResumption>.fromOpaque(holder).takeUnretainedValue().put(kept)
    return 1
}
