import Glibc
import SluiceDaemon

/// An IPv4 address and a port.
struct ServiceAddress: Sendable {
    let address: UInt32
    let port: UInt16

    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = UInt16(parts[1]), port > 0, let address = IPAddress(String(parts[0])), address.isV4
        else { return nil }
        self.address = UInt32(truncatingIfNeeded: address.low)
        self.port = port
    }
}

/// The monotonic clock.
func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
}

/// Sends `GET path` on a connection of its own, and reads the status of the answer.
/// - Returns: nil when there is none before the deadline.
func status(of path: String, at service: ServiceAddress, deadline: Instant) -> Int? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var to = sockaddr_in()
    to.sin_family = sa_family_t(AF_INET)
    to.sin_port = service.port.bigEndian
    to.sin_addr.s_addr = service.address.bigEndian
    let connected = withUnsafeBytes(of: &to) { bytes in
        connect(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
    }
    // The rest of the connecting is waited for with the first byte that can be sent.
    guard connected == 0 || errno == EINPROGRESS else { return nil }

    let request = Array("GET \(path) HTTP/1.1\r\nHost: tenants\r\nConnection: close\r\n\r\n".utf8)
    guard wait(descriptor, POLLOUT, deadline), send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count
    else { return nil }

    // "HTTP/1.1 204": all that matters of the answer.
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1024)
    while answer.count < 12 {
        guard wait(descriptor, POLLIN, deadline) else { return nil }
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { return nil }
        answer += chunk[..<count]
    }
    guard answer.starts(with: Array("HTTP/1.".utf8)), answer[8] == UInt8(ascii: " ") else { return nil }
    return Int(String(decoding: answer[9..<12], as: UTF8.self))
}

private func wait(_ descriptor: Int32, _ events: Int32, _ deadline: Instant) -> Bool {
    while true {
        let left = deadline.since(now()).nanoseconds
        guard left > 0 else { return false }
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let count = poll(&entry, 1, Int32(clamping: (left + 999_999) / 1_000_000))
        if count > 0 { return true }
        if count < 0, errno != EINTR { return false }
    }
}
