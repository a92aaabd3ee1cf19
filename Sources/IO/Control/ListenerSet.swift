import Configuration
import Primitives
import Proxy
import Reactor

/// The process's listening sockets, by address: one for each worker, kept over reloads for as long as the address is named.
struct ListenerSet {
    /// Linux cuts it to net.core.somaxconn.
    private static var backlog: Int32 { 4096 }

    struct OpenError: Error, CustomStringConvertible {
        let name: String
        let index: Int?
        let address: String
        let error: Int

        var description: String {
            let hint =
                switch error {
                case 98: " (another process listens there)"
                case 13: " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
                case 99: " (no interface of this machine has it)"
                default: ""
                }
            return "cannot listen on \(address) for \(name): \(SystemError.text(error))\(hint)"
        }

        /// `file:line:column: ` of the listener's address.
        func place(in places: LoadResult.Places) -> String {
            guard let index, places.listeners.indices.contains(index) else { return "\(places.admin.mark): error: " }
            return "\(places.listeners[index].mark): error: "
        }
    }

    private var open: Set<ListenAddress> = []
    private var openAdmin: ListenAddress?

    /// Opens what is not open yet, all or nothing. What is not named any more is closed by the workers, each its own.
    /// - Returns: for each data worker, and at last for the admin worker, the sockets that are new to it.
    mutating func open(_ configuration: GatewayConfiguration, workers: Int) throws(OpenError) -> [[OpenListener]] {
        var result = [[OpenListener]](repeating: [], count: workers + 1)
        var named: Set<ListenAddress> = []
        do throws(OpenError) {
            for (index, listener) in configuration.listeners.enumerated() {
                named.insert(listener.address)
                guard !open.contains(listener.address) else { continue }
                let sockets = try Self.sockets(listener.address, count: workers, name: "listener \(listener.name)", index: index)
                for (worker, socket) in sockets.enumerated() {
                    result[worker].append(OpenListener(address: listener.address, socket: socket))
                }
            }
            if configuration.admin.enabled {
                let address = configuration.admin.address
                guard named.insert(address).inserted else {
                    throw OpenError(name: "admin", index: nil, address: address.text, error: 98)
                }
                if openAdmin != address {
                    let sockets = try Self.sockets(address, count: 1, name: "admin", index: nil)
                    result[workers].append(OpenListener(address: address, socket: sockets[0]))
                }
            }
        } catch {
            for listeners in result { for listener in listeners { listener.socket.close() } }
            throw error
        }
        let admin = configuration.admin.enabled ? configuration.admin.address : nil
        for address in open.subtracting(named) { Self.removeFile(address) }
        if let old = openAdmin, !named.contains(old) { Self.removeFile(old) }
        open = named
        if let admin { open.remove(admin) }
        openAdmin = admin
        return result
    }

    /// Takes the socket files away; a new process could not tell them from those of a running one.
    func removeFiles() {
        for address in open { Self.removeFile(address) }
        if let openAdmin { Self.removeFile(openAdmin) }
    }

    private static func removeFile(_ address: ListenAddress) {
        if case .unix(let path) = address { removeSocketFile(path) }
    }

    private static func sockets(
        _ address: ListenAddress, count: Int, name: String, index: Int?
    ) throws(OpenError) -> [ListeningSocket] {
        var sockets: [ListeningSocket] = []
        do throws(PollerError) {
            switch address {
            case .unix(let path):
                guard let socketAddress = SocketAddress(unixPath: path) else { throw PollerError(error: 36) }
                // One socket file, one socket; the workers take turns at it.
                let socket = try ListeningSocket.open(socketAddress, backlog: backlog, sharesPort: false)
                sockets = [socket]
                for _ in 1..<max(1, count) { sockets.append(try socket.duplicate()) }
            case .tcp(let ip, let port):
                // Without SO_REUSEPORT first: a stranger's socket on the port would go unnoticed with it.
                let first = try ListeningSocket.open(SocketAddress(ip, port: port), backlog: 1, sharesPort: false)
                let bound = first.address
                first.close()
                for _ in 0..<count { sockets.append(try ListeningSocket.open(bound, backlog: backlog, sharesPort: true)) }
            }
        } catch {
            for socket in sockets { socket.close() }
            throw OpenError(name: name, index: index, address: address.text, error: error.error)
        }
        return sockets
    }
}
