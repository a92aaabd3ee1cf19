/// What a peer may make a session hold.
public enum TLSLimits {
    /// Ciphertext that a peer may send before its handshake is done: twice what a chain of client certificates takes that OpenSSL
    /// accepts (100 KiB would be the longest).
    public static var handshakeBytes: UInt64 { 128 << 10 }

    /// Room for plaintext beyond the length of the ciphertext: a record that was begun earlier and is completed now (RFC 8446 §5.2).
    public static var recordBytes: Int { 17 << 10 }

    /// Output memory that is kept when it has been sent; more is given back.
    public static var outputKeptBytes: Int { 256 << 10 }

    /// Steps that a peer may make OpenSSL take on messages of handshakes (tickets, new keys, wishes for another handshake) when its own
    /// is done, and as many more per MiB that it sent. A wish for new keys takes five. Each costs more to read than to send, and may be
    /// answered.
    public static var stepsAfterHandshake: UInt64 { 160 }
    public static var stepsPerMiB: UInt64 { 5 }

    /// The longest file with certificates, keys or revocations.
    public static var fileBytes: Int { 16 << 20 }

    /// How long a session may be resumed. The keys of tickets last longer (`TLSTicketKeys`).
    public static var sessionSeconds: Int { 3600 }
}
