import Configuration
import Primitives
import Reactor

/// Where the admin listener of a daemon can be reached.
public enum AdminAddress: Equatable, Sendable {
    case tcp(IPAddress, port: UInt16)
    /// At most 107 bytes.
    case unix(path: String)

    /// `127.0.0.1:9901`, `[::1]:9901`, `localhost:9901` or `unix:/path`; nil for everything else. Names are not looked up.
    public init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            guard (1...107).contains(path.utf8.count), !path.utf8.contains(0) else { return nil }
            self = .unix(path: String(path))
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy(ASCII.isDigit), let port = UInt16(digits), port > 0
        else { return nil }
        var host = String(text[..<colon])
        if host == "localhost" { host = "127.0.0.1" }
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.utf8.count > 2
        if isBracketed { host = String(host.dropFirst().dropLast()) }
        guard let address = IPAddress(host), address.isV4 != isBracketed else { return nil }
        self = .tcp(address, port: port)
    }

    /// The address that a daemon listens on, as a client on the same machine names it: the wildcards are loopback. Nil for port 0,
    /// which the kernel chose.
    public init?(of listener: ListenAddress) {
        switch listener {
        case .unix(let path): self = .unix(path: path)
        case .tcp(let address, let port):
            guard port != 0 else { return nil }
            if address.isV4, address.low & 0xffff_ffff == 0 {
                self = .tcp(IPAddress(v4: 0x7f00_0001), port: port)
            } else if address.high == 0, address.low == 0 {
                self = .tcp(IPAddress(high: 0, low: 1), port: port)
            } else {
                self = .tcp(address, port: port)
            }
        }
    }

    public var text: String {
        switch self {
        case .tcp(let address, let port): address.isV4 ? "\(address.text):\(port)" : "[\(address.text)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Nil where the path is too long for one.
    var socket: SocketAddress? {
        switch self {
        case .tcp(let address, let port): SocketAddress(address, port: port)
        case .unix(let path): SocketAddress(unixPath: path)
        }
    }

    /// The name that its certificate must be for.
    var hostName: String {
        switch self {
        case .tcp(let address, _): address.text
        case .unix: "localhost"
        }
    }

    /// What `Host` says: over a Unix socket it does not matter.
    var hostField: String {
        switch self {
        case .tcp: text
        case .unix: "localhost"
        }
    }
}
