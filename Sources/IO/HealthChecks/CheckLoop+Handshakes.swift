import HTTP2
import Health
import Primitives
import Reactor
import TLS

/// From a connection that stands to the question on it: encryption, and which version of HTTP is spoken.
extension CheckLoop {
    func startHandshake(_ index: Int, _ plan: CheckPlan, _ client: TLSClient, isReadable: Bool) {
        let connection = connections.pointer(index)
        guard
            let session = tls.connect(
                client, to: plan.dialect.name, resumption: plan.dialect.resumption, offering: plan.offer)
        else { return handshakeFailed(index) }
        connection.pointee.tls = session
        connection.pointee.phase = .handshaking
        tls.start(session)
        guard sendOutput(connection) else { return handshakeFailed(index) }
        if isReadable { continueHandshake(index) }
    }

    func continueHandshake(_ index: Int) {
        let connection = connections.pointer(index)
        guard let session = connection.pointee.tls, let instance = instances[connection.pointee.instance],
            let plan = instance.checking?.plan
        else { return close(index) }
        let n = receive(connection)
        guard n > 0 || n == -SystemError.again else { return handshakeFailed(index) }
        guard session.isEstablished else { return }
        guard plan.accepts(session) else { return handshakeFailed(index) }
        let early = UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: max(0, n))
        stands(index, instance, plan, early: early, isReadable: true)
    }

    /// The connection could not be encrypted, or agreed on nothing that can be used.
    func handshakeFailed(_ index: Int) {
        let instance = instances[connections.pointer(index).pointee.instance]
        close(index)
        if let instance { ended(instance, .failed(.tlsFailed)) }
    }

    /// Nothing stands between the connection and the question.
    /// - Parameters:
    ///   - early: what came with the end of the handshake.
    ///   - isReadable: whether more may have come.
    func stands(
        _ index: Int, _ instance: WatchedInstance, _ plan: CheckPlan, early: UnsafeRawBufferPointer, isReadable: Bool
    ) {
        let connection = connections.pointer(index)
        let token = Token(.backend, index: index, generation: connections.generation(index))
        guard plan.speaksHTTP2(connection.pointee.tls) else {
            connection.pointee.phase = .asking
            // What comes before the question is no answer to it.
            if early.count > 0 || isReadable && receive(connection) != -SystemError.again { return lost(index) }
            _ = ask(index, instance, plan)
            return
        }
        guard let session = makeSession() else {
            close(index)
            return abandon(instance)
        }
        connection.pointee.stream = CheckStream(session)
        connection.pointee.phase = .asking
        guard ask(index, instance, plan) else { return lost(index) }
        guard connections.isLive(token), early.count == 0 || feed(index, early) else { return }
        if isReadable { readStream(index) }
    }

    /// Nil when there is no memory.
    private func makeSession() -> HTTP2Session? {
        if http2Memory == nil { http2Memory = HTTP2Memory() }
        guard let http2Memory else { return nil }
        return HTTP2Session(.client(CheckStream.policy), memory: http2Memory, at: now, seed: random.next())
    }
}
