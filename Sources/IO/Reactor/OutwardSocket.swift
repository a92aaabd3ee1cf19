import CLinux
import Primitives

/// A connected, non-blocking socket that bytes only go out on, as to a receiver of logs. No call raises SIGPIPE or waits.
public struct OutwardSocket: Sendable {
    public enum Kind: Sendable { case stream, datagram }

    public let descriptor: Int32
    public let kind: Kind

    /// A stream may still be connecting: it is writable when that has ended, and `takeError` says how.
    /// - Throws: the error number.
    public static func connect(_ address: SocketAddress, _ kind: Kind) throws(PollerError) -> OutwardSocket {
        var raw = address.raw
        let descriptor =
            switch kind {
            case .stream: clinux_connect(&raw)
            case .datagram: clinux_connect_datagram(&raw)
            }
        guard descriptor >= 0 else { throw PollerError(error: Int(-descriptor)) }
        return OutwardSocket(descriptor: descriptor, kind: kind)
    }

    /// How many bytes the kernel took, or minus the error number. A datagram is taken whole or not at all.
    public func send(_ bytes: UnsafeRawBufferPointer) -> Int { clinux_send(descriptor, bytes.baseAddress, bytes.count) }

    /// The error that the kernel keeps for this socket, which forgets it; 0 for none.
    public func takeError() -> Int { Int(clinux_socket_error(descriptor)) }

    /// Whether the peer is still there, as far as the kernel knows. What it may have sent is read and thrown away, a little at a
    /// time.
    /// - Returns: the error number, with `SystemError.brokenPipe` for a peer that closed; 0 where nothing is wrong.
    public func probe() -> Int {
        switch kind {
        case .datagram: return takeError()
        case .stream:
            var scratch: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
            let n = withUnsafeMutableBytes(of: &scratch) { clinux_recv(descriptor, $0.baseAddress, $0.count) }
            if n == 0 { return SystemError.brokenPipe }
            return n > 0 || n == -SystemError.again ? 0 : -n
        }
    }

    public func close() { clinux_close(descriptor, 0) }
}
