import Glibc
import Primitives
import Reactor
import TLS
import Telemetry

/// A connected socket whose every call ends by a deadline, however busy the other end is.
struct ClientSocket: ~Copyable {
    enum Failure: Error, Equatable {
        case timedOut
        /// The number of the error.
        case system(Int)
        /// Encryption came to nothing; with what OpenSSL says of it.
        case encryption(HandshakeFault, String)
    }

    private let descriptor: Int32
    private let deadline: Instant
    private let calls: SystemCalls

    init(connectingTo address: SocketAddress, deadline: Instant) throws(Failure) {
        let calls = SystemCalls.kernel
        var raw = address.raw
        let descriptor = calls.connect(&raw)
        self.calls = calls
        self.deadline = deadline
        self.descriptor = descriptor
        guard descriptor >= 0 else {
            // A full backlog of a Unix socket is no error but a wait without an end.
            throw Int(-descriptor) == SystemError.again ? .timedOut : .system(Int(-descriptor))
        }
        try wait(for: Int16(POLLOUT))
        let error = calls.socketError(descriptor)
        guard error == 0 else { throw .system(Int(error)) }
    }

    deinit { if descriptor >= 0 { calls.close(descriptor, 0) } }

    /// Until the socket can be read from or written to, or has failed.
    private func wait(for events: Int16) throws(Failure) {
        while true {
            let left = try remaining()
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let count = poll(&entry, 1, Int32(clamping: left / 1_000_000 + 1))
            if count > 0 { return }
            if count < 0, errno != EINTR { throw .system(Int(errno)) }
        }
    }

    /// In nanoseconds.
    private func remaining() throws(Failure) -> UInt64 {
        let now = Clock.monotonic
        guard now < deadline else { throw .timedOut }
        return deadline.nanoseconds - now.nanoseconds
    }

    func send(_ bytes: [UInt8]) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            _ = try remaining()
            let count = bytes[sent...].withUnsafeBytes { calls.send(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                sent += count
            } else if -count == SystemError.again {
                try wait(for: Int16(POLLOUT))
            } else if -count != Int(EINTR) {
                throw .system(-count)
            }
        }
    }

    /// - Returns: how many bytes came; 0 at the end.
    func receive(into buffer: inout [UInt8]) throws(Failure) -> Int {
        while true {
            _ = try remaining()
            let count = buffer.withUnsafeMutableBytes { calls.receive(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            if -count == SystemError.again {
                try wait(for: Int16(POLLIN))
            } else if -count != Int(EINTR) {
                throw .system(-count)
            }
        }
    }
}
