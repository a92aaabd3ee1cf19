import AdminClient
import Glibc
import Primitives
import Reactor
import Synchronization
import TLS
import Telemetry

/// An admin listener on loopback that speaks TLS, reads one request on each connection, and answers `HTTP/1.1 200 OK` with "yes".
final class EncryptedPeer: Sendable {
    /// How a connection ends.
    enum Ending: Sendable {
        /// With the words of TLS for it.
        case farewell
        /// Without them.
        case cut
    }

    struct Seen: Sendable {
        var request = ""
        var serverName: String?
        var subject: String?
        var failure: HandshakeFault?
    }

    private let listener: Int32
    private let port: UInt16
    private let seen = Mutex(Seen())
    private let wake: WakeDescriptor

    var address: AdminAddress { .tcp(IPAddress(v4: 0x7f00_0001), port: port) }

    /// What came of the connection, once it is over.
    var outcome: Seen {
        var event = pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&event, 1, 20_000)
        return seen.withLock { $0 }
    }

    /// - Parameter answer: nil: nothing is ever said, not even in the handshake.
    init(_ server: TLSServer, answer: String? = "HTTP/1.1 200 OK\r\n\r\nyes", ending: Ending = .farewell) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(listener, $0, length)
                _ = listen(listener, 4)
                _ = getsockname(listener, $0, &length)
            }
        }
        port = UInt16(bigEndian: name.sin_port)
        wake = try WakeDescriptor()
        startThread(name: "peer") { self.serve(server, answer, ending) }
    }

    deinit {
        close(listener)
        wake.close()
    }

    private func serve(_ server: TLSServer, _ answer: String?, _ ending: Ending) {
        let connection = accept(listener, nil, nil)
        defer {
            close(connection)
            wake.signal()
        }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        guard let answer else {
            while read(connection, &buffer, buffer.count) > 0 {}
            return
        }
        let engine = TLSEngine()
        guard let session = engine.accept(server) else { return }
        defer { session.free() }
        func flush() {
            _ = send(connection, engine.output.baseAddress, engine.output.count, Int32(MSG_NOSIGNAL))
            engine.clearOutput()
        }
        var request: [UInt8] = []
        var room = [UInt8](repeating: 0, count: buffer.count + TLSLimits.recordBytes)
        while !String(decoding: request, as: UTF8.self).hasSuffix("\r\n\r\n") {
            let count = read(connection, &buffer, buffer.count)
            guard count > 0 else { return }
            let received = buffer.withUnsafeBytes { bytes in
                room.withUnsafeMutableBytes {
                    engine.receive(session, UnsafeRawBufferPointer(rebasing: bytes[..<count]), into: $0)
                }
            }
            flush()
            request += room[..<received.count]
            let text = String(decoding: request, as: UTF8.self)
            seen.withLock {
                $0.request = text
                $0.failure = received.failure
                $0.serverName = session.serverName.map { String(decoding: $0, as: UTF8.self) }
                $0.subject = session.peerIdentity?.subject
            }
            guard received.failure == nil else { return }
        }
        _ = Array(answer.utf8).withUnsafeBytes { engine.send(session, $0) }
        switch ending {
        case .farewell: engine.shutdown(session)
        case .cut: break
        }
        flush()
    }
}

/// Certificates that the openssl command has made, in a folder of their own.
final class CertificateFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/sluice-admin-XXXXXX".utf8CString)
        _ = mkdtemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = system("rm -rf \(path)") }

    func file(_ name: String) -> String { "\(path)/\(name).pem" }
    func key(_ name: String) -> String { "\(path)/\(name).key" }

    /// Makes a certificate with its key.
    /// - Parameters:
    ///   - issuer: nil: itself.
    ///   - chain: whether the file has the issuer's certificate behind it.
    func make(_ name: String, names: String? = nil, issuer: String? = nil, isAuthority: Bool = false, chain: Bool = false) {
        var command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=\(name) "
            + "-keyout \(key(name)) -out \(file(name)) -addext basicConstraints=critical,CA:\(isAuthority ? "TRUE" : "FALSE")"
        if let names { command += " -addext subjectAltName=\(names)" }
        if let issuer { command += " -CA \(file(issuer)) -CAkey \(key(issuer))" }
        command += " 2>/dev/null"
        if chain, let issuer { command += " && cat \(file(issuer)) >>\(file(name))" }
        _ = system(command)
    }

    func server(_ name: String, clientsOf authority: String? = nil, strict: Bool = false) throws -> TLSServer {
        var options = TLSServer.Options(certificates: [.init(certificateFile: file(name), keyFile: key(name))])
        options.protocols = [.h2, .http11]
        options.strictSNI = strict
        options.clientAuth = authority.map { TLSClientAuth(mode: .require, caFile: file($0)) }
        return try TLSServer(options, at: Int64(time(nil)))
    }
}
