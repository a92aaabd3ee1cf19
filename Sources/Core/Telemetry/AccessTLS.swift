/// What the access log tells of the encryption of a client's connection, borrowed from where it is. A text that is empty was not
/// there, and its key is left out of the line.
public struct AccessTLS: ~Escapable {
    /// `TLSv1.2` or `TLSv1.3`; empty when the connection is not encrypted, and then nothing of the rest is written.
    public let version: StaticString
    /// OpenSSL's name of it, `TLS_AES_128_GCM_SHA256`.
    public let cipher: RawSpan
    /// As the client sent it.
    public let serverName: RawSpan
    /// Of the client's certificate.
    public let clientSubject: RawSpan
    /// SHA-256 of the client's certificate, hexadecimal digits.
    public let clientFingerprint: RawSpan

    /// Not encrypted.
    @_lifetime(immortal)
    public init() {
        version = ""
        cipher = RawSpan()
        serverName = RawSpan()
        clientSubject = RawSpan()
        clientFingerprint = RawSpan()
    }

    @_lifetime(copy cipher, copy serverName, copy clientSubject, copy clientFingerprint)
    public init(
        version: StaticString, cipher: RawSpan, serverName: RawSpan, clientSubject: RawSpan = RawSpan(),
        clientFingerprint: RawSpan = RawSpan()
    ) {
        self.version = version
        self.cipher = cipher
        self.serverName = serverName
        self.clientSubject = clientSubject
        self.clientFingerprint = clientFingerprint
    }

    @inline(__always)
    var isEncrypted: Bool { version.utf8CodeUnitCount > 0 }
}
