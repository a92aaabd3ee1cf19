import Downstream
import Primitives
import Reactor
import TLS
import Upstream

/// Bytes on and off the wire, encrypted or not. Above this nobody knows: encryption is a filter on what was received and on what is sent.
extension Worker {
    // Clients.

    /// Takes what is there into the worker's receive buffer.
    /// - Returns: how many bytes; 0 when the client has closed, minus the error number otherwise, `-SystemError.again` for nothing yet.
    @inline(__always)
    func receive(_ client: UnsafeMutablePointer<ClientConnection>) -> Int {
        if let tls = client.pointee.tls { return receive(encrypted: client, tls) }
        let n = calls.receive(client.pointee.descriptor, receiveBuffer.baseAddress, Self.receiveBytes)
        if n == -SystemError.again || n > 0 && n < Self.receiveBytes && !client.pointee.isHalfClosed {
            client.pointee.isReadable = false
        }
        return n
    }

    private func receive(encrypted client: UnsafeMutablePointer<ClientConnection>, _ tls: TLSSession) -> Int {
        if client.pointee.hasClosedTLS { return 0 }
        while client.pointee.isReadable || client.pointee.hasUnparsedInput {
            let n =
                client.pointee.hasUnparsedInput
                ? takeCipher(client) : calls.receive(client.pointee.descriptor, cipherBuffer.baseAddress, Self.receiveBytes)
            if n == -SystemError.again || n > 0 && n < Self.receiveBytes && !client.pointee.isHalfClosed {
                client.pointee.isReadable = false
            }
            if n <= 0 { return n }
            let received = self.tls.receive(
                tls, UnsafeRawBufferPointer(start: cipherBuffer.baseAddress, count: n), into: receiveBuffer)
            if !self.tls.output.isEmpty, !sendOutput(client) { return -SystemError.brokenPipe }
            if let failure = received.failure {
                tlsFailure = failure
                return -SystemError.protocolError
            }
            if received.isClosed {
                client.pointee.hasClosedTLS = true
                // The end is told by the next call.
                client.pointee.isReadable = true
                return received.count
            }
            if received.count > 0 { return received.count }
        }
        return -SystemError.again
    }

    /// What came behind a PROXY header, in the same piece.
    private func takeCipher(_ client: UnsafeMutablePointer<ClientConnection>) -> Int {
        let n = min(client.pointee.input.count, Self.receiveBytes)
        if let from = client.pointee.input.bytes.baseAddress { cipherBuffer.baseAddress?.copyMemory(from: from, byteCount: n) }
        client.pointee.input.removeFirst(n)
        client.pointee.hasUnparsedInput = !client.pointee.input.isEmpty
        return n
    }

    /// Hands bytes to the client's connection, the second behind the first; what the kernel does not take waits in `outgoing`.
    @inline(__always)
    func send(
        _ client: UnsafeMutablePointer<ClientConnection>, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
    ) -> Sent {
        if let tls = client.pointee.tls {
            guard self.tls.send(tls, first, second) else { return .failed(SystemError.protocolError) }
            return sendOutputAll(client)
        }
        return calls.write(client.pointee.descriptor, first, second, waiting: &client.pointee.outgoing)
    }

    private func sendOutputAll(_ client: UnsafeMutablePointer<ClientConnection>) -> Sent {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let sent = calls.write(client.pointee.descriptor, tls.output, nothing, waiting: &client.pointee.outgoing)
        tls.clearOutput()
        return sent
    }

    /// - Returns: false when the connection is gone.
    func sendOutput(_ client: UnsafeMutablePointer<ClientConnection>) -> Bool {
        if case .failed = sendOutputAll(client) { return false }
        return true
    }

    /// Nothing more will be said: the client can tell an end from a cut (RFC 8446 §6.1).
    func sayFarewell(_ client: UnsafeMutablePointer<ClientConnection>) {
        guard let session = client.pointee.tls else { return }
        tls.shutdown(session)
        if !tls.output.isEmpty { _ = sendOutput(client) }
    }

    // Backends.

    /// The same as for clients.
    @inline(__always)
    func receive(_ backend: UnsafeMutablePointer<BackendConnection>) -> Int {
        if let tls = backend.pointee.tls { return receive(encrypted: backend, tls) }
        let n = calls.receive(backend.pointee.descriptor, receiveBuffer.baseAddress, Self.receiveBytes)
        if n == -SystemError.again || n > 0 && n < Self.receiveBytes && !backend.pointee.isHalfClosed {
            backend.pointee.isReadable = false
        }
        return n
    }

    private func receive(encrypted backend: UnsafeMutablePointer<BackendConnection>, _ tls: TLSSession) -> Int {
        if backend.pointee.hasClosedTLS { return 0 }
        while backend.pointee.isReadable {
            let n = calls.receive(backend.pointee.descriptor, cipherBuffer.baseAddress, Self.receiveBytes)
            if n == -SystemError.again || n > 0 && n < Self.receiveBytes && !backend.pointee.isHalfClosed {
                backend.pointee.isReadable = false
            }
            if n <= 0 { return n }
            let received = self.tls.receive(
                tls, UnsafeRawBufferPointer(start: cipherBuffer.baseAddress, count: n), into: receiveBuffer)
            if !self.tls.output.isEmpty, !sendOutput(backend) { return -SystemError.brokenPipe }
            if let failure = received.failure {
                tlsFailure = failure
                return -SystemError.protocolError
            }
            if received.isClosed {
                backend.pointee.hasClosedTLS = true
                backend.pointee.isReadable = true
                return received.count
            }
            if received.count > 0 { return received.count }
        }
        return -SystemError.again
    }

    @inline(__always)
    func send(
        _ backend: UnsafeMutablePointer<BackendConnection>, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
    ) -> Sent {
        if let tls = backend.pointee.tls {
            guard self.tls.send(tls, first, second) else { return .failed(SystemError.protocolError) }
            return sendOutputAll(backend)
        }
        return calls.write(backend.pointee.descriptor, first, second, waiting: &backend.pointee.outgoing)
    }

    private func sendOutputAll(_ backend: UnsafeMutablePointer<BackendConnection>) -> Sent {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let sent = calls.write(backend.pointee.descriptor, tls.output, nothing, waiting: &backend.pointee.outgoing)
        tls.clearOutput()
        return sent
    }

    func sendOutput(_ backend: UnsafeMutablePointer<BackendConnection>) -> Bool {
        if case .failed = sendOutputAll(backend) { return false }
        return true
    }

    func sayFarewell(_ backend: UnsafeMutablePointer<BackendConnection>) {
        guard let session = backend.pointee.tls else { return }
        tls.shutdown(session)
        if !tls.output.isEmpty { _ = sendOutput(backend) }
    }
}
