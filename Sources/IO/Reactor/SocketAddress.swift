import CLinux
import Primitives

/// Where to listen or to connect.
public struct SocketAddress: Hashable, Sendable {
    /// The form that CLinux takes and gives.
    public typealias Raw = clinux_address

    public enum Kind: Hashable, Sendable {
        case internet(IPAddress, port: UInt16, scope: UInt32)
        case unix(String)
    }

    public var kind: Kind

    public init(_ ip: IPAddress, port: UInt16, scope: UInt32 = 0) { kind = .internet(ip, port: port, scope: scope) }

    /// - Returns: nil when the path does not fit into a socket address (107 bytes).
    public init?(unixPath: String) {
        guard !unixPath.isEmpty, unixPath.utf8.count <= 107 else { return nil }
        kind = .unix(unixPath)
    }

    init(_ raw: clinux_address) {
        if raw.family == 1 {
            var raw = raw
            kind = .unix(withUnsafeBytes(of: &raw.path) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        } else {
            kind = .internet(IPAddress(high: raw.high, low: raw.low), port: raw.port, scope: raw.scope)
        }
    }

    /// The form that CLinux takes.
    public var raw: clinux_address {
        var raw = clinux_address()
        switch kind {
        case .internet(let ip, let port, let scope):
            raw.family = ip.isV4 ? 4 : 6
            raw.port = port
            raw.high = ip.high
            raw.low = ip.low
            raw.scope = scope
        case .unix(let path):
            raw.family = 1
            withUnsafeMutableBytes(of: &raw.path) { to in
                for (i, byte) in path.utf8.prefix(107).enumerated() { to[i] = byte }
            }
        }
        return raw
    }

    /// Whether only this machine can reach it: 127.0.0.0/8, ::1 or a Unix socket.
    public var isLocal: Bool {
        switch kind {
        case .unix: true
        case .internet(let ip, _, _): ip.isV4 ? ip.low >> 24 & 0xff == 127 : ip.high == 0 && ip.low == 1
        }
    }

    public var text: String {
        switch kind {
        case .internet(let ip, let port, _): ip.isV4 ? "\(ip.text):\(port)" : "[\(ip.text)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

/// A listening socket that one worker accepts from.
public struct ListeningSocket: Sendable {
    public let descriptor: Int32
    public let address: SocketAddress

    /// - Throws: the error number: in use (98), no permission (13), no such address (99), …
    /// - Parameter fileMode: of a Unix socket's file, less the process's umask.
    public static func open(
        _ address: SocketAddress, backlog: Int32, sharesPort: Bool, fileMode: UInt32 = 0o777
    ) throws(PollerError) -> ListeningSocket {
        var raw = address.raw
        let fd = clinux_listen(&raw, backlog, sharesPort ? 1 : 0, fileMode)
        guard fd >= 0 else { throw PollerError(error: Int(-fd)) }
        var bound = clinux_address()
        let known = clinux_local_address(fd, &bound) == 0 && bound.family != 1
        return ListeningSocket(descriptor: fd, address: known ? SocketAddress(bound) : address)
    }

    /// A socket that another process has opened and handed over; nil where the descriptor is no listening socket.
    public static func adopting(_ descriptor: Int32) -> ListeningSocket? {
        var bound = clinux_address()
        guard clinux_is_listening(descriptor) == 1, clinux_local_address(descriptor, &bound) == 0,
            clinux_adopt_listener(descriptor) == 0
        else { return nil }
        return ListeningSocket(descriptor: descriptor, address: SocketAddress(bound))
    }

    /// Whether others may listen on the same port.
    public var sharesPort: Bool { clinux_shares_port(descriptor) == 1 }

    /// Another descriptor for the same socket.
    public func duplicate() throws(PollerError) -> ListeningSocket {
        let fd = clinux_duplicate(descriptor)
        guard fd >= 0 else { throw PollerError(error: Int(-fd)) }
        return ListeningSocket(descriptor: fd, address: address)
    }

    public func close() { clinux_close(descriptor, 0) }

    /// In the place of a socket that has been closed.
    public static var closed: ListeningSocket {
        ListeningSocket(descriptor: -1, address: SocketAddress(IPAddress(v4: 0), port: 0))
    }
}

/// Removes the file of a Unix socket that nobody listens on any more; one that is gone already is fine.
public func removeSocketFile(_ path: String) { clinux_unlink(path) }

/// Looks a name up in the system's resolver; blocks, so never on a worker.
public func resolveAddresses(host: String, port: UInt16, capacity: Int = 64) -> Result<[SocketAddress], ResolveError> {
    var found = [clinux_address](repeating: clinux_address(), count: capacity)
    let n = clinux_resolve(host, port, &found, Int32(capacity))
    guard n >= 0 else { return .failure(ResolveError(text: String(cString: clinux_resolve_error(n)))) }
    guard n > 0 else { return .failure(ResolveError(text: "no address")) }
    return .success(found.prefix(Int(n)).map { SocketAddress($0) })
}

public struct ResolveError: Error, Sendable {
    public let text: String
}
