/// Where the lines of a log go.
public enum LogOutput: Sendable, Equatable {
    case off
    case standardOutput
    case standardError
    /// An absolute path.
    case file(String)
    /// systemd's journal, through its socket.
    case journald
    /// RFC 5424.
    case syslog(SyslogTarget)

    /// As the file writes it.
    public var text: String {
        switch self {
        case .off: "none"
        case .standardOutput: "stdout"
        case .standardError: "stderr"
        case .file(let path): path
        case .journald: "journald"
        case .syslog(let target): target.text
        }
    }
}

/// Where a collector of syslog messages listens.
public enum SyslogTarget: Sendable, Equatable {
    /// RFC 5426. The host is a name in lower case or an address without brackets.
    case udp(host: String, port: UInt16)
    /// RFC 6587.
    case tcp(host: String, port: UInt16)
    /// An absolute path of at most 107 bytes.
    case unix(path: String)

    /// RFC 5426 §3.3.
    static var udpPort: UInt16 { 514 }
    /// What collectors take for syslog over TCP; 514 is that of the remote shell there (RFC 6587 §3.2).
    static var tcpPort: UInt16 { 601 }

    /// As the file writes it, always with its port.
    public var text: String {
        switch self {
        case .udp(let host, let port): "syslog+udp://\(SyslogTarget.bracketed(host)):\(port)"
        case .tcp(let host, let port): "syslog+tcp://\(SyslogTarget.bracketed(host)):\(port)"
        case .unix(let path): "syslog+unix:\(path)"
        }
    }

    private static func bracketed(_ host: String) -> String { host.utf8.contains(0x3a) ? "[\(host)]" : host }
}
