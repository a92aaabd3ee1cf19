import Glibc
import Primitives
import Reactor
import TLS

/// The way to the admin listener and back, encrypted or not; every call ends by the socket's deadline.
struct AdminStream: ~Copyable {
    private static var cipherBytes: Int { 32_768 }
    /// Room that `receive` needs.
    static var bufferBytes: Int { cipherBytes + TLSLimits.recordBytes }

    private let socket: ClientSocket
    private let engine: TLSEngine?
    private let session: TLSSession?
    /// The other end has said that nothing more will come (close_notify).
    private var isClosed = false
    /// Plain bytes that came with the end of the handshake.
    private var early: [UInt8] = []
    private var cipher: [UInt8] = []

    /// - Parameter tls: nil for no encryption.
    init(_ socket: consuming ClientSocket, _ tls: (client: TLSClient, name: TLSServerName?)?) throws(ClientSocket.Failure) {
        self.socket = socket
        guard let tls else {
            (engine, session) = (nil, nil)
            return
        }
        let engine = TLSEngine()
        self.engine = engine
        session = engine.connect(tls.client, to: tls.name, resumption: nil)
        cipher = [UInt8](repeating: 0, count: Self.cipherBytes)
        try shakeHands()
    }

    deinit { session?.free() }

    private mutating func shakeHands() throws(ClientSocket.Failure) {
        guard let engine, let session else { throw .system(Int(ENOMEM)) }
        engine.start(session)
        try flush()
        var room = [UInt8](repeating: 0, count: Self.bufferBytes)
        while !session.isEstablished {
            let count = try decrypt(into: &room)
            early += room[..<count]
            if isClosed { throw .system(Int(ECONNRESET)) }
        }
    }

    func send(_ bytes: [UInt8]) throws(ClientSocket.Failure) {
        guard let engine, let session else { return try socket.send(bytes) }
        guard bytes.withUnsafeBytes({ engine.send(session, $0) }) else { throw .encryption(.internal, engine.failureText) }
        try flush()
    }

    /// - Parameter buffer: `bufferBytes` long.
    /// - Returns: how many bytes came; 0 at the end. An encrypted connection that ends without saying so is an error: somebody in
    ///   between may have cut it (RFC 8446 §6.1).
    mutating func receive(into buffer: inout [UInt8]) throws(ClientSocket.Failure) -> Int {
        guard engine != nil else { return try socket.receive(into: &buffer) }
        if !early.isEmpty {
            let count = min(early.count, buffer.count)
            buffer.replaceSubrange(..<count, with: early[..<count])
            early.removeFirst(count)
            return count
        }
        while !isClosed {
            let count = try decrypt(into: &buffer)
            if count > 0 { return count }
        }
        return 0
    }

    /// One read of the socket, and what is to be said to it.
    /// - Returns: how many plain bytes that made.
    private mutating func decrypt(into buffer: inout [UInt8]) throws(ClientSocket.Failure) -> Int {
        guard let engine, let session else { return 0 }
        let count = try socket.receive(into: &cipher)
        guard count > 0 else { throw .system(Int(ECONNRESET)) }
        let received = cipher.withUnsafeBytes { cipher in
            buffer.withUnsafeMutableBytes {
                engine.receive(session, UnsafeRawBufferPointer(rebasing: cipher[..<count]), into: $0)
            }
        }
        if let failure = received.failure {
            let text = engine.failureText
            // The alert that says why; that it arrives is not needed.
            do throws(ClientSocket.Failure) { try flush() } catch { throw .encryption(failure, text) }
            throw .encryption(failure, text)
        }
        try flush()
        isClosed = received.isClosed
        return received.count
    }

    private func flush() throws(ClientSocket.Failure) {
        guard let engine, !engine.output.isEmpty else { return }
        let bytes = Array(engine.output)
        engine.clearOutput()
        try socket.send(bytes)
    }
}
