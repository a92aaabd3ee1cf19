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
        /// What is wrong where it is no error of the system.
        var reason = ""

        var description: String {
            if !reason.isEmpty { return "cannot listen on \(address) for \(name): \(reason)" }
            let hint =
                switch error {
                case 98: " (another process listens there)"
                case 13: " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
                case 99: " (no interface of this machine has it)"
                default: ""
                }
            return "cannot listen on \(address) for \(name): \(SystemError.text(error))\(hint)"
        }

        /// The same, at the listener's address in the file.
        func diagnostic(in places: LoadResult.Places) -> Diagnostic {
            let place =
                if let index, places.listeners.indices.contains(index) { places.listeners[index] } else { places.admin }
            return Diagnostic(.error, mark: place.mark, path: place.path, message: description)
        }
    }

    fileprivate struct Open {
        var name: String
        /// In use by the workers, who also close them.
        var sockets: [ListeningSocket]
    }

    private var open: [ListenAddress: Open] = [:]
    private var openAdmin: (address: ListenAddress, open: Open)?
    /// What came with the start of the process.
    private var inherited: InheritedSockets

    init(inherited: InheritedSockets) { self.inherited = inherited }

    /// All sockets that are in use, to be handed to a successor.
    var handedOver: [(label: String, descriptor: Int32)] {
        var all: [(label: String, descriptor: Int32)] = []
        for entry in open.values {
            all += entry.sockets.map { (InheritedSockets.label(entry.name), $0.descriptor) }
        }
        if let openAdmin { all += openAdmin.open.sockets.map { (InheritedSockets.adminLabel, $0.descriptor) } }
        return all
    }

    /// Sockets for a configuration that is not in force yet.
    struct Plan {
        /// For each data worker, and at last for the admin worker, the sockets that are new to it.
        fileprivate(set) var opened: [[OpenListener]]
        /// Addresses that nobody has listened at before.
        fileprivate var made: [ListenAddress] = []
        fileprivate var open: [ListenAddress: Open] = [:]
        fileprivate var openAdmin: (address: ListenAddress, open: Open)?
        /// What an administrator should know.
        fileprivate(set) var notes: [String] = []

        /// Closes what was opened for it.
        func abandon() {
            for listener in opened.flatMap({ $0 }) { listener.socket.close() }
            // Not those that another process has made: it may still serve them.
            for address in made { ListenerSet.removeFile(address) }
        }
    }

    /// Opens what is not open yet, all or nothing. What is open, and what is no longer named, stays as it is until `commit`.
    mutating func plan(_ configuration: GatewayConfiguration, workers: Int) throws(OpenError) -> Plan {
        var plan = Plan(opened: [[OpenListener]](repeating: [], count: workers + 1))
        do throws(OpenError) {
            for (index, listener) in configuration.listeners.enumerated() {
                if var known = open[listener.address] {
                    known.name = listener.name
                    plan.open[listener.address] = known
                    continue
                }
                let sockets = try sockets(listener.address, count: workers, name: listener.name, index: index, &plan)
                plan.open[listener.address] = Open(name: listener.name, sockets: sockets)
                for (i, socket) in sockets.enumerated() {
                    plan.opened[i % workers].append(OpenListener(address: listener.address, socket: socket))
                }
            }
            if configuration.admin.enabled { try planAdmin(configuration.admin, &plan, worker: workers) }
        } catch {
            plan.abandon()
            throw error
        }
        return plan
    }

    private mutating func planAdmin(_ admin: AdminConfiguration, _ plan: inout Plan, worker: Int) throws(OpenError) {
        let address = admin.address
        guard plan.open[address] == nil else {
            throw OpenError(name: "admin", index: nil, address: address.text, error: 98)
        }
        if let known = openAdmin, known.address == address {
            try refuseOpenDoor(known.open.sockets, admin)
            plan.openAdmin = known
            return
        }
        let sockets = try sockets(address, count: 1, name: "admin", index: nil, &plan)
        // Part of the plan from here on, so that they are closed with it.
        plan.openAdmin = (address, Open(name: "admin", sockets: sockets))
        for socket in sockets { plan.opened[worker].append(OpenListener(address: address, socket: socket)) }
        try refuseOpenDoor(sockets, admin)
    }

    /// A socket that was handed over may be at another address than the file says, and the file's was judged.
    private func refuseOpenDoor(_ sockets: [ListeningSocket], _ admin: AdminConfiguration) throws(OpenError) {
        guard admin.token.isEmpty, let open = sockets.first(where: { !$0.address.isLocal }) else { return }
        throw OpenError(
            name: "admin", index: nil, address: open.address.text, error: 0,
            reason: "the socket that was handed over can be reached by other machines and needs admin.token")
    }

    /// The plan is in force: what it does not name is closed by the workers, each its own, and its files go.
    mutating func commit(_ plan: Plan) {
        for address in open.keys where plan.open[address] == nil && plan.openAdmin?.address != address {
            Self.removeFile(address)
        }
        if let old = openAdmin, plan.openAdmin?.address != old.address, plan.open[old.address] == nil {
            Self.removeFile(old.address)
        }
        open = plan.open
        openAdmin = plan.openAdmin
    }

    /// Closes what came with the start of the process and no listener wanted.
    /// - Returns: a line for each.
    mutating func closeUnwanted() -> [String] {
        inherited.closeRest().map { "a socket that was handed over belongs to no listener and is closed: \($0)" }
    }

    /// Takes the socket files away; a new process could not tell them from those of a running one.
    func removeFiles() {
        for address in open.keys { Self.removeFile(address) }
        if let openAdmin { Self.removeFile(openAdmin.address) }
    }

    private static func removeFile(_ address: ListenAddress) {
        if case .unix(let path) = address { removeSocketFile(path) }
    }

    /// At least `count` sockets for an address, or for what takes its place.
    private mutating func sockets(
        _ address: ListenAddress, count: Int, name: String, index: Int?, _ plan: inout Plan
    ) throws(OpenError) -> [ListeningSocket] {
        var sockets = inherited.take(name: name, address: address, isAdmin: index == nil)
        do throws(PollerError) {
            if let first = sockets.first {
                if !Self.isAt(first, address) {
                    plan.notes.append("listener \(name) serves the socket that was handed over, at \(first.address.text)")
                }
                while sockets.count < count { sockets.append(try Self.another(like: first)) }
                return sockets
            }
            sockets = try Self.new(address, count: count, isAdmin: index == nil)
            plan.made.append(address)
            return sockets
        } catch {
            for socket in sockets { socket.close() }
            throw OpenError(
                name: index == nil ? "admin" : "listener \(name)", index: index, address: address.text, error: error.error)
        }
    }

    private static func isAt(_ socket: ListeningSocket, _ address: ListenAddress) -> Bool {
        switch (socket.address.kind, address) {
        case (.unix(let bound), .unix(let path)): bound == path
        case (.internet(let bound, let boundPort, _), .tcp(let ip, let port)): bound == ip && (port == 0 || boundPort == port)
        default: false
        }
    }

    /// A socket of its own beside one that shares its port, or else the same one again.
    private static func another(like first: ListeningSocket) throws(PollerError) -> ListeningSocket {
        if first.sharesPort, case .internet = first.address.kind {
            do throws(PollerError) {
                return try ListeningSocket.open(first.address, backlog: backlog, sharesPort: true)
            } catch {
                // Opened by another user: the kernel lets nobody else onto the port.
            }
        }
        return try first.duplicate()
    }

    private static func new(
        _ address: ListenAddress, count: Int, isAdmin: Bool
    ) throws(PollerError) -> [ListeningSocket] {
        var sockets: [ListeningSocket] = []
        do throws(PollerError) {
            switch address {
            case .unix(let path):
                guard let socketAddress = SocketAddress(unixPath: path) else { throw PollerError(error: 36) }
                // One socket file, one socket; the workers take turns at it. Whoever may write to the admin's is let in.
                let socket = try ListeningSocket.open(
                    socketAddress, backlog: backlog, sharesPort: false, fileMode: isAdmin ? 0o660 : 0o777)
                sockets = [socket]
                for _ in 1..<max(1, count) { sockets.append(try socket.duplicate()) }
            case .tcp(let ip, let port):
                // Without SO_REUSEPORT first: a stranger's socket on the port would go unnoticed with it.
                let first = try ListeningSocket.open(SocketAddress(ip, port: port), backlog: 1, sharesPort: false)
                let bound = first.address
                first.close()
                for _ in 0..<count { sockets.append(try ListeningSocket.open(bound, backlog: backlog, sharesPort: true)) }
            }
            return sockets
        } catch {
            for socket in sockets { socket.close() }
            throw error
        }
    }
}
