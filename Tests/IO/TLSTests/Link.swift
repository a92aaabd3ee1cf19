import Glibc
import Primitives
import Telemetry
import Testing

@testable import TLS

/// A server's and a client's session, and the bytes between them.
final class Link {
    let serverEngine = TLSEngine()
    let clientEngine = TLSEngine()
    let server: TLSSession
    let client: TLSSession
    /// Ciphertext on its way.
    var toServer: [UInt8] = []
    var toClient: [UInt8] = []
    /// What came of it.
    var serverText: [UInt8] = []
    var clientText: [UInt8] = []
    var serverFailure: HandshakeFault?
    var clientFailure: HandshakeFault?
    var serverIsClosed = false
    var clientIsClosed = false
    var completions = 0

    init(
        _ server: TLSServer, _ client: TLSClient, name: String? = "a.example", resumption: TLSResumption? = nil,
        offering only: TLSProtocol? = nil
    ) throws {
        self.server = try #require(serverEngine.accept(server))
        self.client = try #require(
            clientEngine.connect(client, to: name.flatMap { TLSServerName($0) }, resumption: resumption, offering: only))
    }

    deinit {
        server.free()
        client.free()
    }

    // Asked of the link and not of its sessions, these hold for one that nobody keeps.
    var isEstablished: Bool { withExtendedLifetime(self) { server.isEstablished && client.isEstablished } }
    var isResumed: Bool { withExtendedLifetime(self) { server.isResumed } }
    var clientsPeer: TLSPeerIdentity? { withExtendedLifetime(self) { client.peerIdentity } }
    var serverName: String? {
        withExtendedLifetime(self) { server.serverName.map { String(decoding: $0, as: UTF8.self) } }
    }

    /// Begins the handshake and carries bytes until both are silent.
    @discardableResult
    func open(step: Int = .max) -> Self {
        clientEngine.start(client)
        collect()
        carry(step: step)
        return self
    }

    /// Carries bytes, `step` at a time, until both are silent.
    func carry(step: Int = .max) {
        while !toServer.isEmpty || !toClient.isEmpty {
            if !toServer.isEmpty { deliverToServer(step) }
            if !toClient.isEmpty { deliverToClient(step) }
        }
    }

    func deliverToServer(_ step: Int) {
        let piece = Array(toServer.prefix(step))
        toServer.removeFirst(piece.count)
        let received = receive(serverEngine, server, piece, into: &serverText)
        serverFailure = serverFailure ?? received.failure
        serverIsClosed = serverIsClosed || received.isClosed
        if received.handshakeCompleted { completions += 1 }
        collect()
    }

    func deliverToClient(_ step: Int) {
        let piece = Array(toClient.prefix(step))
        toClient.removeFirst(piece.count)
        let received = receive(clientEngine, client, piece, into: &clientText)
        clientFailure = clientFailure ?? received.failure
        clientIsClosed = clientIsClosed || received.isClosed
        if received.handshakeCompleted { completions += 1 }
        collect()
    }

    func serverSends(_ bytes: [UInt8]) -> Bool {
        let sent = bytes.withUnsafeBytes { serverEngine.send(server, $0) }
        collect()
        return sent
    }

    func clientSends(_ bytes: [UInt8]) -> Bool {
        let sent = bytes.withUnsafeBytes { clientEngine.send(client, $0) }
        collect()
        return sent
    }

    /// Takes what the engines made.
    func collect() {
        toClient += serverEngine.output
        toServer += clientEngine.output
        serverEngine.clearOutput()
        clientEngine.clearOutput()
    }
}

/// Hands ciphertext to an engine with just the room that it asks for, and appends the plaintext.
func receive(_ engine: TLSEngine, _ session: TLSSession, _ bytes: [UInt8], into text: inout [UInt8]) -> TLSReceived {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + TLSLimits.recordBytes, alignment: 1)
    defer { room.deallocate() }
    let received = bytes.withUnsafeBytes { engine.receive(session, $0, into: room) }
    text += room[..<received.count]
    return received
}

/// Seconds since 1970.
var now: Int64 { Int64(time(nil)) }

/// Authorities and certificates that several tests use.
struct Fixture {
    static let shared = Fixture()

    let folder = Folder()
    let root = Authority("Root")
    let other = Authority("Other")
    let leaf: Leaf
    let certificateFile: String
    let keyFile: String
    let caFile: String
    let otherCAFile: String

    init() {
        leaf = root.issue("a.example", names: "DNS:a.example,DNS:*.wild.example,IP:192.0.2.1,IP:2001:db8::1")
        certificateFile = folder.write("a.pem", leaf.pem)
        keyFile = folder.write("a.key", leaf.keyPEM)
        caFile = folder.write("root.pem", root.pem)
        otherCAFile = folder.write("other.pem", other.pem)
    }

    func files(_ name: String, _ leaf: Leaf, in folder: Folder, clientAuth: TLSClientAuth? = nil) -> TLSServer.CertificateFiles {
        TLSServer.CertificateFiles(
            certificateFile: folder.write("\(name).pem", leaf.pem), keyFile: folder.write("\(name).key", leaf.keyPEM),
            clientAuth: clientAuth)
    }

    func server(_ change: (inout TLSServer.Options) throws -> Void = { _ in }) throws -> TLSServer {
        var options = TLSServer.Options(certificates: [.init(certificateFile: certificateFile, keyFile: keyFile)])
        try change(&options)
        return try TLSServer(options, at: now)
    }

    func client(_ change: (inout TLSClient.Options) throws -> Void = { _ in }) throws -> TLSClient {
        var options = TLSClient.Options()
        options.caFile = caFile
        options.protocols = [.h2, .http11]
        try change(&options)
        return try TLSClient(options, at: now)
    }
}
