import Telemetry

/// What came of ciphertext.
public struct TLSReceived: Sendable, Equatable {
    /// Bytes of plaintext.
    public var count = 0
    /// Whether the handshake was done in this call.
    public var handshakeCompleted = false
    /// The peer said that nothing more will come. An end of the connection without it is a truncation (RFC 9112 §9.8).
    public var isClosed = false
    /// The session is over; the output may hold an alert that tells the peer why.
    public var failure: HandshakeFault?
}
