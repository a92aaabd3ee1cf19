import COpenSSL
import Telemetry

/// TLS as a filter on bytes, for the sessions of one thread: ciphertext and plaintext go in, plaintext and ciphertext come out. It
/// never touches a descriptor, never blocks, and has no clock.
///
/// What is to be sent to a peer is appended to `output`: take it before the next session's turn, which drops it.
public final class TLSEngine {
    private let buffers: UnsafeMutablePointer<copenssl_buffers>
    /// Where two pieces become one record, whose length is the longest (RFC 8446 §5.1).
    private let joint = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: 16)
    private var lastError: UInt = 0
    private var lastVerdict = Int(X509_V_OK)

    public init() {
        buffers = .allocate(capacity: 1)
        buffers.initialize(to: copenssl_buffers())
    }

    /// All sessions must have been freed.
    deinit {
        copenssl_output_clear(buffers, 0)
        buffers.deallocate()
        joint.deallocate()
    }

    /// Ciphertext of the calls since it was cleared; good until the next call.
    public var output: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffers.pointee.output, count: buffers.pointee.output_count)
    }

    public func clearOutput() { copenssl_output_clear(buffers, TLSLimits.outputKeptBytes) }

    /// The server's side of a new connection; nil when memory is short.
    public func accept(_ server: TLSServer) -> TLSSession? {
        guard let state = copenssl_session_new(server.contexts[0].context, buffers, 0) else { return nil }
        state.pointee.owner = Unmanaged.passRetained(server).toOpaque()
        return TLSSession(state: state)
    }

    /// The client's side of a new connection; `start` makes its first bytes.
    ///
    /// - Parameters:
    ///   - name: of the server, unless the client has one of its own.
    ///   - resumption: where sessions are taken from and kept; those of this client and name only.
    ///   - only: the one protocol to offer, in the place of those of the client; the server may still choose none.
    /// - Returns: nil when memory is short, or when the server is to be verified and there is no name.
    public func connect(
        _ client: TLSClient, to name: TLSServerName?, resumption: TLSResumption?, offering only: TLSProtocol? = nil
    ) -> TLSSession? {
        let name = client.serverName ?? name
        guard name != nil || !client.needsName, let state = copenssl_session_new(client.context, buffers, 1) else { return nil }
        state.pointee.owner = Unmanaged.passRetained(client).toOpaque()
        let session = TLSSession(state: state)
        if let name, let ssl = state.pointee.ssl, !client.name(name, ssl) {
            session.free()
            return nil
        }
        if let only {
            let offer = TLSProtocol.list([only])
            guard SSL_set_alpn_protos(state.pointee.ssl, offer, UInt32(offer.count)) == 0 else {
                session.free()
                return nil
            }
            state.pointee.offer = only.rawValue + 1
        }
        if let resumption {
            state.pointee.resumption = Unmanaged.passRetained(resumption).toOpaque()
            if let earlier = resumption.take() {
                SSL_set_session(state.pointee.ssl, earlier)
                SSL_SESSION_free(earlier)
            }
        }
        return session
    }

    /// A client's first bytes.
    public func start(_ session: TLSSession) {
        feed(.empty)
        _ = handshake(session)
    }

    /// Takes what came from the peer: goes on with the handshake while it is not done, then decrypts all that is complete. Nothing of
    /// `ciphertext` is left over.
    ///
    /// - Parameter plaintext: at least `TLSLimits.recordBytes` longer than `ciphertext`.
    public func receive(
        _ session: TLSSession, _ ciphertext: UnsafeRawBufferPointer, into plaintext: UnsafeMutableRawBufferPointer
    ) -> TLSReceived {
        precondition(plaintext.count >= ciphertext.count + TLSLimits.recordBytes, "the plaintext might not fit")
        let state = session.state
        var received = TLSReceived()
        guard state.pointee.has_failed == 0 else {
            received.failure = .protocolError
            return received
        }
        feed(ciphertext)
        defer { feed(.empty) }
        if state.pointee.is_established == 0 {
            received.failure = handshake(session, ciphertext)
            guard received.failure == nil, state.pointee.is_established != 0 else { return received }
            received.handshakeCompleted = true
        } else {
            copenssl_errors_clear()
        }
        read(session, into: plaintext, &received)
        return received
    }

    /// Encrypts and appends to `output`. False: the session is not established, or broken, and nothing of this was appended.
    public func send(_ session: TLSSession, _ plaintext: UnsafeRawBufferPointer) -> Bool {
        let state = session.state
        guard state.pointee.is_established != 0, state.pointee.has_failed == 0 else { return false }
        guard plaintext.count > 0 else { return true }
        let before = buffers.pointee.output_count
        copenssl_errors_clear()
        var count = 0
        if SSL_write_ex(state.pointee.ssl, plaintext.baseAddress, plaintext.count, &count) == 1 { return true }
        _ = fail(session)
        buffers.pointee.output_count = min(before, buffers.pointee.output_count)
        return false
    }

    /// Encrypts two pieces, the second behind the first, as one: a head and a short body become one record.
    public func send(_ session: TLSSession, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bool {
        guard let from = second.baseAddress, second.count > 0 else { return send(session, first) }
        guard let head = first.baseAddress, first.count > 0 else { return send(session, second) }
        guard first.count < joint.count else { return send(session, first) && send(session, second) }
        let share = min(second.count, joint.count - first.count)
        let to = joint.baseAddress.unsafelyUnwrapped
        to.copyMemory(from: head, byteCount: first.count)
        (to + first.count).copyMemory(from: from, byteCount: share)
        guard send(session, UnsafeRawBufferPointer(start: to, count: first.count + share)) else { return false }
        return send(session, UnsafeRawBufferPointer(rebasing: second[share...]))
    }

    /// Says that nothing more will come (close_notify). What the peer still sends can be received.
    public func shutdown(_ session: TLSSession) {
        guard session.isEstablished, !session.hasFailed else { return }
        copenssl_errors_clear()
        SSL_shutdown(session.ssl)
    }

    /// What OpenSSL said of the last failure, for a log.
    public var failureText: String {
        guard lastVerdict == X509_V_OK else { return String(cString: X509_verify_cert_error_string(lastVerdict)) }
        return errorText(lastError) ?? "no reason is known"
    }

    @inline(__always)
    private func feed(_ bytes: UnsafeRawBufferPointer) {
        buffers.pointee.feed = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        buffers.pointee.feed_count = bytes.count
    }

    @inline(__always)
    private func read(_ session: TLSSession, into plaintext: UnsafeMutableRawBufferPointer, _ received: inout TLSReceived) {
        let state = session.state
        let ssl = state.pointee.ssl
        while received.count < plaintext.count {
            var count = 0
            let rest = plaintext.count - received.count
            if SSL_read_ex(ssl, plaintext.baseAddress.unsafelyUnwrapped + received.count, rest, &count) == 1 {
                received.count += count
                // A record that ends with the feed: asking again would only cost.
                if buffers.pointee.feed_count == 0, SSL_pending(ssl) == 0 { break }
                continue
            }
            switch SSL_get_error(ssl, 0) {
            case SSL_ERROR_WANT_READ: break
            case SSL_ERROR_ZERO_RETURN: received.isClosed = true
            default: received.failure = fail(session)
            }
            break
        }
        if state.pointee.steps > TLSLimits.stepsAfterHandshake, received.failure == nil {
            let megabytes = BIO_number_read(SSL_get_rbio(ssl)) >> 20
            let allowance = TLSLimits.stepsAfterHandshake + megabytes * TLSLimits.stepsPerMiB
            if state.pointee.steps > allowance { received.failure = fail(session, .tooManyMessages) }
        }
    }

    /// Goes on with the handshake. - Returns: why it failed; nil when it is done or waits for the peer.
    private func handshake(
        _ session: TLSSession, _ ciphertext: UnsafeRawBufferPointer = .empty
    ) -> HandshakeFault? {
        let state = session.state
        let ssl = state.pointee.ssl
        let isFirst = BIO_number_read(SSL_get_rbio(ssl)) == 0
        copenssl_errors_clear()
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            guard agreedOnOffer(session) else { return fail(session, .noSharedProtocol) }
            state.pointee.is_established = 1
            SSL_set_info_callback(ssl, countStep)
            keepRenewed(session)
            return nil
        }
        guard SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ else {
            let failure = fail(session)
            return failure == .protocolError && isFirst && looksLikeText(ciphertext) ? .plainHTTP : failure
        }
        guard BIO_number_read(SSL_get_rbio(ssl)) <= TLSLimits.handshakeBytes else { return fail(session, .handshakeTooLong) }
        return nil
    }

    /// OpenSSL does not call back for a ticket that a resumption in TLS 1.2 brought.
    private func keepRenewed(_ session: TLSSession) {
        guard let holder = session.state.pointee.resumption, session.isResumed, session.version == .tls12,
            let renewed = SSL_get1_session(session.ssl)
        else { return }
        Unmanaged<TLSResumption>.fromOpaque(holder).takeUnretainedValue().put(renewed)
    }

    /// A server must choose one of the protocols that it was offered, or none (RFC 7301 §3.2).
    private func agreedOnOffer(_ session: TLSSession) -> Bool {
        guard session.state.pointee.is_client != 0, let owner = session.state.pointee.owner else { return true }
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(session.ssl, &start, &count)
        guard count > 0 else { return true }
        if session.state.pointee.offer > 0 { return session.alpn.rawValue + 1 == session.state.pointee.offer }
        return Unmanaged<TLSClient>.fromOpaque(owner).takeUnretainedValue().protocols.contains(session.alpn)
    }

    /// Notes the reason, and that the session is over.
    private func fail(_ session: TLSSession, _ known: HandshakeFault? = nil) -> HandshakeFault {
        let state = session.state
        state.pointee.has_failed = 1
        lastError = ERR_peek_error()
        lastVerdict = SSL_get_verify_result(state.pointee.ssl)
        let isVerdict = ERR_GET_LIB(lastError) == ERR_LIB_SSL && ERR_GET_REASON(lastError) == SSL_R_CERTIFICATE_VERIFY_FAILED
        if !isVerdict { lastVerdict = Int(X509_V_OK) }
        defer { copenssl_errors_clear() }
        if let known { return known }
        if state.pointee.refusal > 0, let refusal = HandshakeFault(rawValue: state.pointee.refusal - 1) { return refusal }
        return .reading(lastError, verdict: lastVerdict, isClient: state.pointee.is_client != 0)
    }

    /// Methods and versions of HTTP begin with capitals, and no record of TLS does.
    private func looksLikeText(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= 3 && bytes[..<3].allSatisfy { $0 >= 0x41 && $0 <= 0x5a }
    }
}

/// Called at each step of a handshake; installed when the first is done, it counts what a peer asks for afterwards.
private func countStep(_ ssl: OpaquePointer?, _ occasion: Int32, _: Int32) {
    guard let ssl, occasion & SSL_CB_LOOP != 0, let session = copenssl_session_of(ssl) else { return }
    session.pointee.steps += 1
}
