import CLinux
import Glibc
import Primitives
import Reactor

/// A listening socket of a backend whose every step the test takes itself.
final class Backend {
    let socket: ListeningSocket
    private(set) var isOpen = true

    init() throws {
        socket = try ListeningSocket.open(SocketAddress(IPAddress(v4: 0x7f00_0001), port: 0), backlog: 1024, sharesPort: false)
    }

    deinit { if isOpen { socket.close() } }

    var address: SocketAddress { socket.address }

    /// Nobody listens there from now on.
    func close() {
        socket.close()
        isOpen = false
    }

    /// A connection that waits to be accepted; nil when none does.
    func accept() -> BackendSide? {
        var peer = SocketAddress.Raw()
        let descriptor = clinux_accept(socket.descriptor, &peer)
        return descriptor < 0 ? nil : BackendSide(descriptor: descriptor)
    }
}

/// The backend's end of a connection.
final class BackendSide {
    let descriptor: Int32
    private var isOpen = true
    /// What was read and not taken yet.
    private var received: [UInt8] = []
    /// The checker has closed its end.
    private(set) var isEnded = false

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close() }

    func close() {
        guard isOpen else { return }
        isOpen = false
        clinux_close(descriptor, 0)
    }

    /// The kernel answers whoever sends to it with a reset.
    func reset() {
        guard isOpen else { return }
        isOpen = false
        clinux_close(descriptor, 1)
    }

    /// Sends as much as the kernel takes.
    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { clinux_send(descriptor, $0.baseAddress, $0.count) }
    }

    /// Reads what has come.
    func look() {
        guard isOpen else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let n = clinux_recv(descriptor, &buffer, buffer.count)
            if n == 0 || n < 0 && n != -SystemError.again { isEnded = true }
            guard n > 0 else { return }
            received += buffer[..<n]
        }
    }

    /// The next whole request; nil while there is none.
    func takeRequest() -> String? {
        look()
        let text = String(decoding: received, as: UTF8.self)
        guard let end = text.range("\r\n\r\n") else { return nil }
        received.removeFirst(end)
        return String(decoding: Array(text.utf8.prefix(end)), as: UTF8.self)
    }
}

/// A backend that answers whatever has been asked when it is told to, on any number of connections.
final class Responder {
    let backend: Backend
    private var sides: [BackendSide] = []

    init() throws { backend = try Backend() }

    func answer(_ text: String) {
        while let side = backend.accept() { sides.append(side) }
        for side in sides where side.takeRequest() != nil { side.send(text) }
        sides.removeAll(where: \.isEnded)
    }
}

extension String {
    /// How many bytes stand before the end of the first occurrence of `part`; nil where there is none.
    fileprivate func range(_ part: String) -> Int? {
        let (text, part) = (Array(utf8), Array(part.utf8))
        guard text.count >= part.count else { return nil }
        for start in 0...(text.count - part.count) where Array(text[start..<(start + part.count)]) == part {
            return start + part.count
        }
        return nil
    }
}
