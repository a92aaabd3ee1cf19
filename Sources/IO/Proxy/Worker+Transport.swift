import Downstream
import Primitives
import Reactor
import Upstream

/// Bytes on and off the wire.
extension Worker {
    /// Hands bytes to the client's connection, the second behind the first; what the kernel does not take waits in `outgoing`.
    @inline(__always)
    func send(
        _ client: UnsafeMutablePointer<ClientConnection>, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
    ) -> Sent {
        calls.write(client.pointee.descriptor, first, second, waiting: &client.pointee.outgoing)
    }

    /// The same to a backend's connection.
    @inline(__always)
    func send(
        _ backend: UnsafeMutablePointer<BackendConnection>, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
    ) -> Sent {
        calls.write(backend.pointee.descriptor, first, second, waiting: &backend.pointee.outgoing)
    }
}
