import CLinux
import Glibc
import HTTP2
import HTTPMessages
import Primitives
import Reactor
import TLS
import Telemetry
import Testing

/// A backend's end of a connection that speaks TLS, HTTP/2, or both.
final class SpeakingSide {
    /// What was asked: over HTTP/1.1 without a stream.
    struct Request {
        let stream: HTTP2StreamID?
        let head: String
        let body: [UInt8]
    }

    private let side: BackendSide
    private let engine = TLSEngine()
    private let memory: HTTP2Memory
    private(set) var session: TLSSession?
    private var http2: HTTP2Connection?
    private var plain: [UInt8] = []
    private var heads: [HTTP2StreamID: String] = [:]
    private var bodies: [HTTP2StreamID: [UInt8]] = [:]
    private var requests: [Request] = []
    private(set) var failure: HandshakeFault?
    private(set) var isEnded = false
    private(set) var resets = 0
    private(set) var goAways = 0
    private(set) var pongs = 0

    /// Sessions cannot be copied, so that a class holds one.
    private final class HTTP2Connection {
        var session: HTTP2Session
        init(_ session: consuming HTTP2Session) { self.session = session }
    }

    /// - Parameters:
    ///   - server: nil for no encryption.
    ///   - http2: what is spoken where the handshake does not say.
    init(_ side: BackendSide, _ server: TLSServer? = nil, http2: Bool = false) throws {
        self.side = side
        memory = try #require(HTTP2Memory())
        if let server {
            session = engine.accept(server)
        } else if http2 {
            begin(.http)
        }
    }

    deinit { session?.free() }

    private func begin(_ scheme: Scheme) {
        let policy = HTTP2ServerPolicy(scheme: scheme)
        guard let session = HTTP2Session(.server(policy), memory: memory, at: Clock.monotonic, seed: 3) else { return }
        http2 = HTTP2Connection(session)
        flush()
    }

    func close() { side.close() }

    /// Reads what has come, and answers what TLS and HTTP/2 answer by themselves.
    func look() {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while !isEnded {
            let n = clinux_recv(side.descriptor, &buffer, buffer.count)
            if n == -SystemError.again { return }
            guard n > 0 else {
                isEnded = true
                return
            }
            if session == nil { received(Array(buffer[..<n])) } else { decrypt(Array(buffer[..<n])) }
        }
    }

    private func decrypt(_ bytes: [UInt8]) {
        guard let session else { return }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + TLSLimits.recordBytes, alignment: 1)
        defer { room.deallocate() }
        let result = bytes.withUnsafeBytes { engine.receive(session, $0, into: room) }
        sendOutput()
        failure = failure ?? result.failure
        if result.handshakeCompleted, session.alpn == .h2 { begin(.https) }
        if result.count > 0 { received(Array(room[..<result.count])) }
    }

    private func received(_ bytes: [UInt8]) {
        guard let http2 else {
            plain += bytes
            return
        }
        bytes.withUnsafeBytes { bytes in
            _ = http2.session.receive(bytes, at: Clock.monotonic)
            while let event = http2.session.nextEvent() { take(event, http2) }
        }
        flush()
    }

    private func take(_ event: HTTP2Event, _ http2: HTTP2Connection) {
        switch event {
        case .head(let stream, let endsStream):
            heads[stream] = String(decoding: http2.session.headText(stream), as: UTF8.self)
            http2.session.takeHead(stream)
            if endsStream { complete(stream) }
        case .data(let stream, let bytes):
            bodies[stream, default: []] += bytes
            http2.session.consume(stream, bytes.count)
        case .end(let stream), .trailers(let stream): complete(stream)
        case .reset: resets += 1
        case .closed(let stream): http2.session.released(stream, at: Clock.monotonic)
        case .goAway: goAways += 1
        case .pingAcknowledged: pongs += 1
        case .refusedHead, .settings: break
        }
    }

    private func complete(_ stream: HTTP2StreamID) {
        requests.append(Request(stream: stream, head: heads[stream] ?? "", body: bodies[stream] ?? []))
    }

    /// The next whole request.
    func takeRequest() -> Request? {
        look()
        if !requests.isEmpty { return requests.removeFirst() }
        let text = String(decoding: plain, as: UTF8.self)
        guard http2 == nil, text.hasSuffix("\r\n\r\n") else { return nil }
        plain = []
        return Request(stream: nil, head: text, body: [])
    }

    /// Sends bytes as they are, inside TLS where there is some.
    func send(_ bytes: [UInt8]) {
        if let session {
            _ = bytes.withUnsafeBytes { engine.send(session, $0) }
            return sendOutput()
        }
        hand(bytes)
    }

    /// Answers over HTTP/2.
    func respond(_ request: Request, _ head: String, body: [UInt8]? = nil, trailers: String? = nil, ends: Bool = true) {
        guard let http2, let stream = request.stream else { return send(Array((head + "\r\n").utf8) + (body ?? [])) }
        let hasMore = body != nil || trailers != nil || !ends
        _ = Array((head + "\r\n").utf8).withUnsafeBytes { http2.session.submitResponse(stream, $0, endsStream: !hasMore) }
        if let body { _ = body.withUnsafeBytes { http2.session.send(stream, $0) } }
        if hasMore, ends {
            if let trailers {
                _ = Array((trailers + "\r\n").utf8).withUnsafeBytes { http2.session.end(stream, trailers: $0) }
            } else {
                _ = http2.session.end(stream)
            }
        }
        flush()
    }

    func sendMore(_ request: Request, _ body: [UInt8]) {
        guard let http2, let stream = request.stream else { return }
        _ = body.withUnsafeBytes { http2.session.send(stream, $0) }
        flush()
    }

    func interim(_ request: Request) {
        guard let http2, let stream = request.stream else { return }
        _ = Array("HTTP/1.1 103 Early Hints\r\n\r\n".utf8).withUnsafeBytes { http2.session.submitInterim(stream, $0) }
        flush()
    }

    func reset(_ request: Request, _ code: HTTP2ErrorCode) {
        guard let http2, let stream = request.stream else { return }
        http2.session.reset(stream, code)
        flush()
    }

    func drain() {
        http2?.session.drain()
        flush()
    }

    func ping() {
        http2?.session.ping(at: Clock.monotonic)
        flush()
    }

    private func flush() {
        guard let http2 else { return }
        var out = ByteBuffer(capacity: 4096)
        while http2.session.write(into: &out, limit: 1 << 20) {}
        while let event = http2.session.nextEvent() { take(event, http2) }
        if out.count > 0 { send(Array(out.unsafeBytes)) }
    }

    private func sendOutput() {
        let bytes = Array(engine.output)
        engine.clearOutput()
        if !bytes.isEmpty { hand(bytes) }
    }

    private func hand(_ bytes: [UInt8]) { _ = bytes.withUnsafeBytes { clinux_send(side.descriptor, $0.baseAddress, $0.count) } }
}

/// Certificates that the openssl command has made, each its own authority; one set for all tests.
struct Certificates: Sendable {
    static let shared = Certificates()

    private let folder: String

    private init() {
        var template = Array("/tmp/sluice-checks-XXXXXX".utf8CString)
        _ = mkdtemp(&template)
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for (name, names) in [
            ("backend", "DNS:backend.example,IP:127.0.0.1"), ("other", "DNS:other.example"), ("gateway", "DNS:g"),
        ] {
            _ = system(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=\(name) "
                    + "-addext subjectAltName=\(names) -keyout \(folder)/\(name).key -out \(folder)/\(name).pem 2>/dev/null")
        }
        // The files are read when servers and clients are made, all of them while the tests run.
        let folder = folder
        cleanUp(folder)
    }

    func file(_ name: String) -> String { "\(folder)/\(name).pem" }
    func key(_ name: String) -> String { "\(folder)/\(name).key" }

    func server(
        _ name: String = "backend", protocols: [TLSProtocol] = [.h2, .http11], clientsOf ca: String? = nil,
        keys: TLSTicketKeys? = nil
    ) throws -> TLSServer {
        var options = TLSServer.Options(certificates: [.init(certificateFile: file(name), keyFile: key(name))])
        options.protocols = protocols
        options.clientAuth = ca.map { TLSClientAuth(mode: .require, caFile: file($0)) }
        options.ticketKeys = keys
        return try TLSServer(options, at: Int64(time(nil)))
    }

    func client(_ protocols: [TLSProtocol], trusting name: String = "backend", showing own: String? = nil) throws -> TLSClient {
        var options = TLSClient.Options()
        options.caFile = file(name)
        options.protocols = protocols
        options.certificateFile = own.map(file)
        options.keyFile = own.map(key)
        return try TLSClient(options, at: Int64(time(nil)))
    }
}

nonisolated(unsafe) private var foldersToRemove: [String] = []

private func cleanUp(_ folder: String) {
    foldersToRemove.append(folder)
    atexit { for folder in foldersToRemove { _ = system("rm -rf \(folder)") } }
}
