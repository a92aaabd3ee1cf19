import Glibc
import Primitives

/// A connected socket whose every call ends by a deadline.
struct ClientSocket: ~Copyable {
    enum Failure: Error, Equatable {
        case timedOut
        /// The number of the error.
        case system(Int32)
    }

    private let descriptor: Int32
    private let deadline: UInt64

    /// Nanoseconds of the monotonic clock.
    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// - Parameter deadline: in nanoseconds of the monotonic clock.
    init(connectingTo address: AdminAddress, deadline: UInt64) throws(Failure) {
        self.deadline = deadline
        let family = Self.family(of: address)
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Self.cloexecNonblock, 0)
        guard descriptor >= 0 else {
            self.descriptor = -1
            throw .system(errno)
        }
        self.descriptor = descriptor
        if Self.connect(descriptor, to: address) == 0 { return }
        switch errno {
        case EINPROGRESS, EINTR: break
        // A full backlog of a Unix socket.
        case EAGAIN: throw .timedOut
        case let error: throw .system(error)
        }
        try wait(for: Int16(POLLOUT))
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        guard error == 0 else { throw .system(error) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private static var cloexecNonblock: Int32 { Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue) }

    private static func family(of address: AdminAddress) -> Int32 {
        switch address {
        case .unix: AF_UNIX
        case .tcp(let ip, _): ip.isV4 ? AF_INET : AF_INET6
        }
    }

    private static func connect(_ descriptor: Int32, to address: AdminAddress) -> Int32 {
        switch address {
        case .tcp(let ip, let port) where ip.isV4:
            var to = sockaddr_in()
            to.sin_family = sa_family_t(AF_INET)
            to.sin_port = port.bigEndian
            to.sin_addr.s_addr = UInt32(truncatingIfNeeded: ip.low).bigEndian
            return connect(descriptor, &to)
        case .tcp(let ip, let port):
            var to = sockaddr_in6()
            to.sin6_family = sa_family_t(AF_INET6)
            to.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &to.sin6_addr) { bytes in
                bytes.storeBytes(of: ip.high.bigEndian, as: UInt64.self)
                bytes.storeBytes(of: ip.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return connect(descriptor, &to)
        case .unix(let path):
            var to = sockaddr_un()
            to.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &to.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
            return connect(descriptor, &to)
        }
    }

    /// `address` is one of the socket address structures.
    private static func connect<Address>(_ descriptor: Int32, _ address: inout Address) -> Int32 {
        withUnsafeBytes(of: &address) { bytes in
            guard let start = bytes.baseAddress else { return -1 }
            return Glibc.connect(
                descriptor, start.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }

    /// Until the socket can be read from or written to, or has failed.
    private func wait(for events: Int16) throws(Failure) {
        while true {
            let now = Self.now
            guard now < deadline else { throw .timedOut }
            let milliseconds = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let count = poll(&entry, 1, milliseconds)
            if count > 0 { return }
            if count < 0, errno != EINTR { throw .system(errno) }
        }
    }

    func send(_ bytes: [UInt8]) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let rest = bytes[sent...]
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT))
            } else if errno != EINTR {
                throw .system(errno)
            }
        }
    }

    /// - Returns: how many bytes came; 0 at the end.
    func receive(into buffer: inout [UInt8]) throws(Failure) -> Int {
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count >= 0 { return count }
            if errno == EAGAIN {
                try wait(for: Int16(POLLIN))
            } else if errno != EINTR {
                throw .system(errno)
            }
        }
    }
}
