import Downstream
import Primitives
import Reactor
import TLS
import Upstream

/// What a client's connection and a backend's are to the bytes that they carry.
protocol Wire {
    var descriptor: Int32 { get }
    /// Nil where nothing is encrypted.
    var tls: TLSSession? { get }
    var isReadable: Bool { get set }
    var isHalfClosed: Bool { get }
    var hasClosedTLS: Bool { get set }
    var outgoing: Outgoing { get set }
}

extension ClientConnection: Wire {}
extension BackendConnection: Wire {}

/// Bytes on and off the wire, encrypted or not. Above this nobody knows: encryption is a filter on what was received and on what is sent.
extension Worker {
    // In.

    /// Takes what is there into the worker's receive buffer.
    /// - Returns: how many bytes; 0 when the peer has closed, minus the error number otherwise, `-SystemError.again` for nothing yet.
    @inline(__always)
    func receive<W: Wire>(_ wire: UnsafeMutablePointer<W>) -> Int {
        guard let tls = wire.pointee.tls else { return receive(wire, into: receiveBuffer) }
        return receive(encrypted: wire, tls)
    }

    @inline(__always)
    private func receive<W: Wire>(_ wire: UnsafeMutablePointer<W>, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let n = calls.receive(wire.pointee.descriptor, buffer.baseAddress, Self.receiveBytes)
        if n == -SystemError.again || n > 0 && n < Self.receiveBytes && !wire.pointee.isHalfClosed {
            wire.pointee.isReadable = false
        }
        return n
    }

    private func receive<W: Wire>(encrypted wire: UnsafeMutablePointer<W>, _ tls: TLSSession) -> Int {
        if wire.pointee.hasClosedTLS { return 0 }
        if tls.hasFailed { return -SystemError.protocolError }
        while wire.pointee.isReadable {
            let n = receive(wire, into: cipherBuffer)
            if n <= 0 { return n }
            let count = decrypt(wire, tls, n)
            if count != -SystemError.again { return count }
        }
        return -SystemError.again
    }

    /// Takes what stands in `cipherBuffer` into the receive buffer.
    /// - Parameter n: how many bytes.
    /// - Returns: as `receive`.
    func decrypt<W: Wire>(_ wire: UnsafeMutablePointer<W>, _ tls: TLSSession, _ n: Int) -> Int {
        let received = self.tls.receive(
            tls, UnsafeRawBufferPointer(start: cipherBuffer.baseAddress, count: n), into: receiveBuffer)
        // What comes before a failure is authentic, and may be a whole answer.
        let saysSomething = received.count > 0 && !received.handshakeCompleted
        if !self.tls.output.isEmpty, !sendOutput(wire), !saysSomething { return -SystemError.brokenPipe }
        if let failure = received.failure {
            tlsFailure = failure
            guard saysSomething else { return -SystemError.protocolError }
        } else if received.isClosed {
            wire.pointee.hasClosedTLS = true
        } else {
            return received.count > 0 ? received.count : -SystemError.again
        }
        // The end is told by the next call.
        wire.pointee.isReadable = true
        return received.count
    }

    // Out.

    /// Hands bytes to the connection, the second behind the first; what the kernel does not take waits in `outgoing`.
    @inline(__always)
    func send<W: Wire>(
        _ wire: UnsafeMutablePointer<W>, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty
    ) -> Sent {
        if let tls = wire.pointee.tls {
            guard self.tls.send(tls, first, second) else { return .failed(SystemError.protocolError) }
            return sendOutputAll(wire)
        }
        return calls.write(wire.pointee.descriptor, first, second, waiting: &wire.pointee.outgoing)
    }

    private func sendOutputAll<W: Wire>(_ wire: UnsafeMutablePointer<W>) -> Sent {
        let sent = calls.write(wire.pointee.descriptor, tls.output, waiting: &wire.pointee.outgoing)
        tls.clearOutput()
        return sent
    }

    /// - Returns: false when the connection is gone.
    func sendOutput<W: Wire>(_ wire: UnsafeMutablePointer<W>) -> Bool {
        if case .failed = sendOutputAll(wire) { return false }
        return true
    }

    /// Nothing more will be said: the peer can tell an end from a cut (RFC 8446 §6.1).
    func sayFarewell<W: Wire>(_ wire: UnsafeMutablePointer<W>) {
        guard let session = wire.pointee.tls else { return }
        tls.shutdown(session)
        if !tls.output.isEmpty { _ = sendOutput(wire) }
    }
}
