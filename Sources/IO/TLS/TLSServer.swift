import COpenSSL
import Primitives
import Telemetry

/// What a listener needs to speak TLS: certificates, whom it asks for theirs, and the keys of session tickets. Immutable; all
/// workers share one.
///
/// Sessions hold the server that they began with, so that a reload may drop it at any time.
public final class TLSServer: Sendable {
    /// A certificate, and what goes with it.
    public struct CertificateFiles: Sendable, Hashable {
        /// PEM: the certificate, and behind it those of its issuers.
        public var certificateFile: String
        /// PEM, not encrypted.
        public var keyFile: String
        /// DER: an OCSP response to hand out.
        public var ocspFile: String?
        /// Server names that it is for, `a.example` or `*.a.example`; empty: those in the certificate.
        public var names: [String]
        /// nil: as the server's.
        public var clientAuth: TLSClientAuth?

        public init(
            certificateFile: String, keyFile: String, ocspFile: String? = nil, names: [String] = [],
            clientAuth: TLSClientAuth? = nil
        ) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.ocspFile = ocspFile
            self.names = names
            self.clientAuth = clientAuth
        }
    }

    public struct Options: Sendable {
        /// The first is for clients that name no server, or one that is unknown. At least one.
        public var certificates: [CertificateFiles]
        public var clientAuth: TLSClientAuth?
        public var minimumVersion = HandshakeVersion.tls12
        /// What is spoken, best first.
        public var protocols: [TLSProtocol] = [.h2, .http11]
        /// Whether a client that names no server, or one that no certificate is for, is refused.
        public var strictSNI = false
        /// nil: nothing is resumed.
        public var ticketKeys: TLSTicketKeys?

        public init(certificates: [CertificateFiles]) { self.certificates = certificates }

        /// Every file that a server is built from.
        public var files: [String] {
            certificates.flatMap {
                [$0.certificateFile, $0.keyFile] + ($0.ocspFile.map { [$0] } ?? []) + ($0.clientAuth?.files ?? [])
            }
                + (clientAuth?.files ?? [])
        }
    }

    /// In the order of the options.
    public let certificates: [TLSCertificate]
    public let warnings: [TLSWarning]
    /// The files, as they were just before they were read.
    public let files: TLSFileStamps
    /// Whether `policy(forHost:)` can differ from a session's.
    public let hasSeveralPolicies: Bool
    /// One for each set of certificates that serve the same name. The first is for all other names.
    let contexts: [ServerContext]
    let names: ServerNames
    let isStrict: Bool

    /// Reads all files.
    ///
    /// - Parameter now: seconds since 1970.
    /// - Throws: when a file is missing or malformed, or does not fit to the others. Nothing is served with a part of them.
    public init(_ options: Options, at now: Int64) throws(TLSLoadError) {
        files = TLSFileStamps(options.files)
        let assembly = try ServerAssembly(options, at: now)
        certificates = assembly.chains.map { $0.facts }
        warnings = assembly.warnings
        contexts = assembly.contexts
        names = assembly.names
        isStrict = options.strictSNI
        hasSeveralPolicies = Set(contexts.map { $0.policyID }).count > 1
        if contexts.count > 1 || isStrict {
            for context in contexts { SSL_CTX_set_client_hello_cb(context.context, chooseContext, nil) }
        }
    }

    /// The policy on client certificates that a client would have met which had named this host in its handshake: a request for a
    /// host on a session with another policy is misdirected (421, RFC 9110 §15.5.20).
    ///
    /// - Parameter host: a host with or without a port, in any case.
    public func policy(forHost host: RawSpan) -> UInt32 {
        guard hasSeveralPolicies else { return contexts[0].policyID }
        return host.withUnsafeBytes { bytes in
            let end = bytes.lastIndex(of: ASCII.colon) ?? bytes.endIndex
            return context(for: UnsafeRawBufferPointer(rebasing: bytes[..<end])).policyID
        }
    }

    /// The context for a server name, or the one for all others.
    func context(for name: UnsafeRawBufferPointer) -> ServerContext {
        contexts[names.find(name) ?? 0]
    }
}

/// OpenSSL's question which certificates a client is to see, before anything of its hello has been acted upon: so that a session of
/// another policy cannot be resumed, since the resumption is judged by the context that is chosen here.
private func chooseContext(
    _ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?, _: UnsafeMutableRawPointer?
) -> Int32 {
    guard let ssl, let session = copenssl_session_of(ssl), let owner = session.pointee.owner else {
        return SSL_CLIENT_HELLO_ERROR
    }
    let server = Unmanaged<TLSServer>.fromOpaque(owner).takeUnretainedValue()
    let index = serverName(ssl).flatMap { server.names.find($0) }
    guard let index = index ?? (server.isStrict ? nil : 0) else {
        session.pointee.refusal = HandshakeFault.unknownName.rawValue + 1
        alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
        return SSL_CLIENT_HELLO_ERROR
    }
    server.contexts[index].adopt(ssl)
    return SSL_CLIENT_HELLO_SUCCESS
}

/// The host name that a hello asks for (RFC 6066 §3): a list of one entry of the kind 0. nil: it asks for none, or is malformed,
/// which OpenSSL refuses later.
private func serverName(_ ssl: OpaquePointer) -> UnsafeRawBufferPointer? {
    var start: UnsafePointer<UInt8>?
    var count = 0
    guard SSL_client_hello_get0_ext(ssl, UInt32(TLSEXT_TYPE_server_name), &start, &count) == 1, let start, count >= 5 else {
        return nil
    }
    let length = Int(start[3]) << 8 | Int(start[4])
    guard start[2] == TLSEXT_NAMETYPE_host_name, length <= count - 5 else { return nil }
    return UnsafeRawBufferPointer(start: start + 5, count: length)
}
