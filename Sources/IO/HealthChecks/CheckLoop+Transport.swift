import Primitives
import Reactor
import TLS

/// Bytes on and off the wire, encrypted or not. Above this nobody knows, but for the handshake.
extension CheckLoop {
    /// Takes what is there into `receiveBuffer`.
    /// - Returns: how many bytes; 0 when the instance has closed, minus the error number otherwise, `-SystemError.again` for nothing yet.
    func receive(_ connection: UnsafeMutablePointer<CheckConnection>) -> Int {
        guard let session = connection.pointee.tls else {
            return calls.receive(connection.pointee.descriptor, receiveBuffer.baseAddress, receiveBuffer.count)
        }
        if connection.pointee.hasClosedTLS { return 0 }
        while true {
            let n = calls.receive(connection.pointee.descriptor, cipherBuffer.baseAddress, cipherBuffer.count)
            guard n > 0 else { return n }
            let received = tls.receive(session, UnsafeRawBufferPointer(rebasing: cipherBuffer[..<n]), into: receiveBuffer)
            let isSent = sendOutput(connection)
            if received.failure != nil {
                if !connection.pointee.hasBegun { connection.pointee.faultOfEnd = .tlsFailed }
                return -SystemError.protocolError
            }
            guard isSent else { return -SystemError.brokenPipe }
            connection.pointee.hasClosedTLS = received.isClosed
            if received.isClosed || received.count > 0 { return received.count }
        }
    }

    /// Hands bytes to the connection; what the kernel does not take waits in `outgoing`.
    /// - Returns: false when the connection is gone.
    func send(_ connection: UnsafeMutablePointer<CheckConnection>, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let session = connection.pointee.tls else { return hand(connection, bytes) }
        guard tls.send(session, bytes) else { return false }
        return sendOutput(connection)
    }

    /// The same for what the engine has made.
    func sendOutput(_ connection: UnsafeMutablePointer<CheckConnection>) -> Bool {
        guard !tls.output.isEmpty else { return true }
        defer { tls.clearOutput() }
        return hand(connection, tls.output)
    }

    private func hand(_ connection: UnsafeMutablePointer<CheckConnection>, _ bytes: UnsafeRawBufferPointer) -> Bool {
        switch calls.write(connection.pointee.descriptor, bytes, waiting: &connection.pointee.outgoing) {
        case .all, .blocked: return true
        case .failed: return false
        }
    }

    /// Says that nothing more will come, as far as that is possible without waiting, and frees what the connection has.
    func sayFarewell(_ connection: UnsafeMutablePointer<CheckConnection>) {
        if let stream = connection.pointee.stream, connection.pointee.outgoing.isEmpty {
            stream.sayFarewell()
            frames.clear()
            _ = stream.write(into: &frames, at: now, scratch: &head)
            _ = send(connection, frames.unsafeBytes)
        }
        connection.pointee.stream = nil
        if let session = connection.pointee.tls {
            tls.shutdown(session)
            _ = sendOutput(connection)
            session.free()
        }
        connection.pointee.outgoing.discard()
    }
}
