import Glibc
import Testing

/// A receiver of log messages in the test process: a socket that is read when the test asks for it, and never by itself.
final class Receiver {
    enum Failure: Error { case system(Int32), silence }

    /// How long a test waits for what must come.
    static let patience: Int32 = 10_000

    let socket: Int32
    let port: UInt16
    private var unread: [UInt8] = []

    private init(_ socket: Int32, port: UInt16) {
        self.socket = socket
        self.port = port
    }

    deinit { close(socket) }

    static func udp(port: UInt16 = 0) throws -> Receiver { try internet(Int32(SOCK_DGRAM.rawValue), port) }
    static func tcp(port: UInt16 = 0) throws -> Receiver { try internet(Int32(SOCK_STREAM.rawValue), port) }

    private static func internet(_ type: Int32, _ port: UInt16) throws -> Receiver {
        let socket = Glibc.socket(AF_INET, type | Int32(SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                let result = bind(socket, $0, length)
                if type == Int32(SOCK_STREAM.rawValue) { listen(socket, 8) }
                getsockname(socket, $0, &length)
                return result
            }
        }
        guard bound == 0 else { throw Failure.system(errno) }
        return Receiver(socket, port: UInt16(bigEndian: address.sin_port))
    }

    static func unix(_ path: String, isStream: Bool = false) throws -> Receiver {
        let type = isStream ? SOCK_STREAM : SOCK_DGRAM
        let socket = Glibc.socket(AF_UNIX, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard bound == 0 else { throw Failure.system(errno) }
        if isStream { listen(socket, 8) }
        return Receiver(socket, port: 0)
    }

    /// The next connection to a listening socket.
    func accept() throws -> Receiver {
        try wait(socket)
        let connection = Glibc.accept(socket, nil, nil)
        guard connection >= 0 else { throw Failure.system(errno) }
        return Receiver(connection, port: 0)
    }

    /// The next datagram, or what has come of a stream; empty at its end.
    func receive() throws -> [UInt8] {
        try wait(socket)
        var bytes = [UInt8](repeating: 0, count: 262_144)
        let n = recv(socket, &bytes, bytes.count, 0)
        guard n >= 0 else { throw Failure.system(errno) }
        return Array(bytes[..<n])
    }

    func text() throws -> String { String(decoding: try receive(), as: UTF8.self) }

    /// The next message of a stream with octet counts.
    func counted() throws -> String {
        while true {
            if let space = unread.firstIndex(of: 0x20) {
                let digits = String(decoding: unread[..<space], as: UTF8.self)
                let count = try #require(Int(digits), "no count: \(digits)")
                if unread.count > space + count {
                    defer { unread.removeFirst(space + 1 + count) }
                    return String(decoding: unread[(space + 1)...(space + count)], as: UTF8.self)
                }
            }
            try more()
        }
    }

    /// The next line of a stream or a FIFO, without its line feed.
    func line() throws -> String {
        while true {
            if let end = unread.firstIndex(of: 0x0a) {
                defer { unread.removeFirst(end + 1) }
                return String(decoding: unread[..<end], as: UTF8.self)
            }
            try more()
        }
    }

    private func more() throws {
        let bytes = try receive()
        guard !bytes.isEmpty else { throw Failure.silence }
        unread += bytes
    }

    private func wait(_ descriptor: Int32) throws {
        var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&event, 1, Self.patience) > 0 else { throw Failure.silence }
    }
}

/// What a writer says on standard error, in a pipe.
final class Notices {
    let writeEnd: Int32
    private let readEnd: Int32

    init() {
        var ends: [Int32] = [0, 0]
        pipe(&ends)
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// What has been said until now.
    var all: [String] {
        var text = ""
        var event = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
        while poll(&event, 1, 0) > 0 { text += chunk() }
        return text.split(separator: "\n").map(String.init)
    }

    /// The next to be said.
    func next() throws -> String {
        var event = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
        guard poll(&event, 1, Receiver.patience) > 0 else { throw Receiver.Failure.silence }
        return chunk()
    }

    private func chunk() -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let n = read(readEnd, &bytes, bytes.count)
        return String(decoding: bytes[..<max(0, n)], as: UTF8.self)
    }
}

/// A directory that is gone again after `body`, with what is in it.
func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/sluice-log-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    let directory = String(cString: made)
    defer {
        for name in ["log", "log.1", "socket", "moved"] { unlink(directory + "/" + name) }
        rmdir(directory)
    }
    try body(directory)
}
