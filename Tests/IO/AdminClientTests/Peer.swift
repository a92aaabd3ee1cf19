import AdminClient
import Configuration
import Glibc
import Primitives
import Reactor
import Synchronization

/// An admin listener that reads one request and then says what it was told, byte for byte.
final class Peer: Sendable {
    /// What comes behind the bytes.
    enum Ending: Sendable {
        case close
        /// Nothing; the connection stays open.
        case silence
        /// The same again and again, for as long as somebody reads it.
        case endless(String)
    }

    let path: String
    private let listener: Int32
    private let received = Mutex<[UInt8]>([])

    /// The request, once it has been answered.
    var request: String { received.withLock { String(decoding: $0, as: UTF8.self) } }
    var place: AdminPlace { AdminPlace(address: .unix(path: path)) }

    /// - Parameter isEager: answers whatever comes first, whole or not.
    init(_ answer: String, chunk: Int = .max, ending: Ending = .close, isEager: Bool = false) {
        var template = Array("/tmp/sluice-peer-XXXXXX".utf8CString)
        _ = mkdtemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/s"
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let text = path
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: text.utf8) }
        withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        listen(listener, 4)
        self.listener = listener
        startThread(name: "peer") { self.serve(Array(answer.utf8), chunk, ending, isEager) }
    }

    deinit {
        close(listener)
        unlink(path)
        rmdir(String(path.dropLast(2)))
    }

    private func serve(_ answer: [UInt8], _ chunk: Int, _ ending: Ending, _ isEager: Bool) {
        let connection = accept(listener, nil, nil)
        var bytes = [UInt8]()
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !isComplete(bytes) {
            let count = read(connection, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer[..<count]
            if isEager { break }
        }
        received.withLock { $0 = bytes }
        var rest = answer[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(chunk))
            guard send(connection, part, part.count, Int32(MSG_NOSIGNAL)) == part.count else { break }
            rest = rest.dropFirst(part.count)
        }
        switch ending {
        case .close: break
        case .silence: while read(connection, &buffer, buffer.count) > 0 {}
        case .endless(let text):
            let bytes = Array(text.utf8)
            while send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) > 0 {}
        }
        close(connection)
    }

    private func isComplete(_ bytes: [UInt8]) -> Bool {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
        guard let empty = lines.firstIndex(of: "") else { return false }
        let length = lines[..<empty].first { $0.hasPrefix("Content-Length: ") }.flatMap { Int($0.dropFirst(16)) } ?? 0
        return empty + 1 < lines.count && lines[(empty + 1)...].joined(separator: "\r\n").utf8.count >= length
    }
}

func ask(
    _ peer: Peer, _ call: AdminCall = AdminCall(.get, "/status", format: .text), milliseconds: UInt64 = 5000,
    bodyBytesMax: Int = 1000
) throws(AdminError) -> AdminReply {
    try AdminConnection(peer.place, timeout: .milliseconds(milliseconds), bodyBytesMax: bodyBytesMax).send(call)
}

/// What `body` throws, in words; empty when it throws nothing.
func failure<T>(_ body: () throws -> T) -> String {
    do {
        _ = try body()
        return ""
    } catch {
        return "\(error)"
    }
}

/// A file of this content, gone again after `body`.
func withFile(_ content: String, _ body: (String) throws -> Void) throws {
    var template = Array("/tmp/sluice-test-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var text = content
    text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
    close(descriptor)
    defer { unlink(path) }
    try body(path)
}
