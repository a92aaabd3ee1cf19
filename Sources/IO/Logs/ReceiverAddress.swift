import Glibc
import Primitives
import Reactor

/// A receiver of log messages as it is configured, before any name is looked up.
enum ReceiverAddress: Sendable {
    case journal(path: String)
    case syslog(SyslogTarget)

    /// How a receiver is told where a message ends.
    enum Framing: Sendable {
        /// A datagram each.
        case datagrams
        /// RFC 6587 §3.4.1.
        case octetCounts
        /// RFC 6587 §3.4.2; the lines hold no line feeds.
        case lineFeeds
    }

    struct Connection: Sendable {
        let socket: OutwardSocket
        let framing: Framing
    }

    /// What stands in the way of a connection.
    struct Failure: Error {
        let reason: String

        init(_ reason: String) { self.reason = reason }
        init(error: Int) { reason = SystemError.text(error) }
    }

    /// Of all addresses of a name together.
    private static let connectTimeout = TimeAmount.seconds(2)
    private static let addressesMax = 8

    var text: String {
        switch self {
        case .journal(let path): "journald (\(path))"
        case .syslog(.udp(let host, let port)): "syslog (udp \(host):\(port))"
        case .syslog(.tcp(let host, let port)): "syslog (tcp \(host):\(port))"
        case .syslog(.unix(let path)): "syslog (\(path))"
        }
    }

    /// Blocks for the look-up and for two seconds at most to connect.
    func connect() throws(Failure) -> Connection {
        switch self {
        case .journal(let path):
            guard let address = SocketAddress(unixPath: path) else { throw Failure("no path for a socket") }
            do {
                return Connection(socket: try .connect(address, .datagram), framing: .datagrams)
            } catch {
                throw Failure(error: error.error)
            }
        case .syslog(.unix(let path)):
            guard let address = SocketAddress(unixPath: path) else { throw Failure("no path for a socket") }
            return try Self.connectLocally(address)
        case .syslog(.udp(let host, let port)):
            return try Self.connect(host, port, .datagram)
        case .syslog(.tcp(let host, let port)):
            return try Self.connect(host, port, .stream)
        }
    }

    private static func connectLocally(_ address: SocketAddress) throws(Failure) -> Connection {
        do {
            return Connection(socket: try .connect(address, .datagram), framing: .datagrams)
        } catch {
            guard error.error == Int(EPROTOTYPE) else { throw Failure(error: error.error) }
        }
        do {
            return Connection(socket: try .connect(address, .stream), framing: .lineFeeds)
        } catch {
            throw Failure(error: error.error)
        }
    }

    private static func connect(_ host: String, _ port: UInt16, _ kind: OutwardSocket.Kind) throws(Failure) -> Connection {
        let addresses: [SocketAddress]
        switch resolveAddresses(host: host, port: port, capacity: addressesMax) {
        case .success(let found): addresses = found
        case .failure(let error): throw Failure(error.text)
        }
        let end = Clock.monotonic + connectTimeout
        var failure = Failure(error: SystemError.connectionTimedOut)
        for (i, address) in addresses.enumerated() {
            // A silent address does not use up the time of those behind it.
            let share = end.since(Clock.monotonic).nanoseconds / UInt64(addresses.count - i)
            do {
                let socket = try OutwardSocket.connect(address, kind)
                if kind == .datagram { return Connection(socket: socket, framing: .datagrams) }
                let error = outcome(of: socket, milliseconds: Int32(clamping: share / 1_000_000))
                if error == 0 { return Connection(socket: socket, framing: .octetCounts) }
                socket.close()
                failure = Failure(error: error)
            } catch {
                failure = Failure(error: error.error)
            }
        }
        throw failure
    }

    /// The error that connecting ended with, 0 for none.
    private static func outcome(of socket: OutwardSocket, milliseconds: Int32) -> Int {
        var event = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
        let end = Clock.monotonic + .milliseconds(UInt64(max(0, milliseconds)))
        while true {
            let n = poll(&event, 1, end.millisecondsAway)
            if n > 0 { return socket.takeError() }
            if n == 0 { return SystemError.connectionTimedOut }
            guard errno == EINTR else { return Int(errno) }
        }
    }
}

extension Instant {
    /// For `poll`: rounded up; -1 for never.
    var millisecondsAway: Int32 {
        if self == .never { return -1 }
        let left = since(Clock.monotonic).nanoseconds
        return Int32(clamping: left / 1_000_000 + (left % 1_000_000 == 0 ? 0 : 1))
    }
}
