import Downstream
import Exchange
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import TLS
import Telemetry
import Upstream

/// Encryption's beginning, on both sides.
extension Worker {
    // Clients.

    func readHandshake(_ index: Int) {
        let client = clients.pointer(index)
        // Not before the client has said something: a silent connection costs nothing.
        if client.pointee.tls == nil, client.pointee.isReadable || client.pointee.hasUnparsedInput {
            guard let server = rules(of: index).tls,
                let session = server._withUnsafeGuaranteedRef({ tls.accept($0) })
            else { return closeClient(index, reset: true) }
            client.pointee.tls = session
        }
        guard let session = client.pointee.tls else { return }
        let n = client.pointee.hasUnparsedInput ? decryptInput(client, session) : receive(client)
        if n == 0 || n < 0 && n != -SystemError.again {
            return handshakeFailed(index, n == -SystemError.protocolError ? tlsFailure ?? .internal : .closed)
        }
        guard session.isEstablished else { return }
        handshakeEnded(index, session, UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: max(0, n)))
    }

    /// What came behind a PROXY header, in the same piece.
    private func decryptInput(_ client: UnsafeMutablePointer<ClientConnection>, _ session: TLSSession) -> Int {
        let n = min(client.pointee.input.count, Self.receiveBytes)
        if let from = client.pointee.input.bytes.baseAddress { cipherBuffer.baseAddress?.copyMemory(from: from, byteCount: n) }
        client.pointee.input.removeFirst(n)
        client.pointee.hasUnparsedInput = !client.pointee.input.isEmpty
        let count = decrypt(client, session, n)
        return count == -SystemError.again ? receive(client) : count
    }

    private func handshakeEnded(_ index: Int, _ session: TLSSession, _ early: UnsafeRawBufferPointer) {
        let client = clients.pointer(index)
        if !isAdmin {
            metrics.handshakeEnded(
                client.pointee.label, version: session.version, isResumed: session.isResumed)
        }
        identify(index, session)
        switch session.alpn {
        case .h2: beginStreams(index, early)
        case .http11, .none:
            client.pointee.phase = .head
            if early.count > 0 {
                client.pointee.input.append(early)
                client.pointee.hasUnparsedInput = true
            }
            clientReadable(index)
        }
    }

    /// Who the client has proved to be, for all its requests.
    private func identify(_ index: Int, _ session: TLSSession) {
        let rules = rules(of: index)
        guard rules.asksForCertificates, let identity = session.peerIdentity else { return }
        let certificate = ClientCertificate(
            subject: Array(identity.subject.utf8), alternativeNames: identity.alternativeNames.map { Array($0.utf8) },
            fingerprint: Array(identity.fingerprint.utf8),
            certificate: rules.forwardsCertificates ? identity.der : [])
        clients.pointer(index).pointee.certificate = Unmanaged.passRetained(certificate)
    }

    func handshakeFailed(_ index: Int, _ fault: HandshakeFault) {
        let client = clients.pointer(index)
        if !isAdmin { metrics.handshakeFailed(client.pointee.label, fault) }
        // Whoever only looks whether the port is open has done nothing wrong.
        if fault != .closed {
            report(.client(client.pointee.peer), fault.name)
        }
        closeClient(index)
    }

    func handshakeTimedOut(_ index: Int) {
        if clients.pointer(index).pointee.tls == nil { return closeClient(index) }
        handshakeFailed(index, .timeout)
    }

    // Backends.

    /// The connection stands; now it is to be encrypted.
    func startBackendHandshake(_ index: Int, _ pool: PoolPointer, _ client: TLSClient) {
        let backend = backends.pointer(index)
        let slot = Int(backend.pointee.exchange)
        let offer: TLSProtocol? = wantsOwnConnection(slot, pool) ? .http11 : nil
        guard
            let session = tls.connect(
                client, to: pool.pointee.dialect.name, resumption: pool.pointee.dialect.resumption, offering: offer)
        else {
            return connectBroken(index, .tlsFailed)
        }
        backend.pointee.tls = session
        backend.pointee.phase = .handshaking
        tls.start(session)
        guard sendOutput(backend) else { return connectBroken(index, .tlsFailed) }
        if backend.pointee.isReadable { continueBackendHandshake(index) }
    }

    func continueBackendHandshake(_ index: Int) {
        let backend = backends.pointer(index)
        guard backend.pointee.isReadable, let session = backend.pointee.tls,
            let pool = pools[Int(backend.pointee.pool)]
        else { return }
        let token = Token(.backend, index: index, generation: backends.generation(index))
        let n = receive(backend)
        if n == 0 || n < 0 && n != -SystemError.again {
            return backendHandshakeFailed(index, pool, n == -SystemError.protocolError ? tlsFailure ?? .internal : .closed)
        }
        guard session.isEstablished else { return }
        guard pool.pointee.dialect.accepts(session) else { return backendHandshakeFailed(index, pool, .noSharedProtocol) }
        guard n > 0 else { return connectionStands(index, pool) }
        // What came with the end of the handshake: of HTTP/2 the server's settings, of HTTP/1 nothing that was asked for.
        let early = UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: n)
        guard pool.pointee.dialect.speaksHTTP2(session) else { return connectBroken(index, .tlsFailed) }
        connectionStands(index, pool)
        guard backends.isLive(token), backend.pointee.streams != nil else { return }
        feedShared(index, early)
    }

    private func backendHandshakeFailed(_ index: Int, _ pool: PoolPointer, _ fault: HandshakeFault) {
        metrics.upstreamHandshakeFailed(pool.pointee.label, fault)
        report(.backend(pool.pointee.state.key.address), fault.name)
        connectBroken(index, .tlsFailed)
    }
}
