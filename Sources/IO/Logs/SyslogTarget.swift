/// Where a syslog receiver is.
public enum SyslogTarget: Sendable, Equatable {
    /// One datagram a line (RFC 5426). What the network loses is lost, and not counted unless the receiver's host says so.
    case udp(host: String, port: UInt16)
    /// A connection with octet counting (RFC 6587 §3.4.1).
    case tcp(host: String, port: UInt16)
    /// A socket file: datagrams, or a stream of lines where the socket is one.
    case unix(path: String)
}
