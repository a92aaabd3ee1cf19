import Configuration
import Glibc
import Primitives
import Reactor

/// Listening sockets that were open when the process began: from systemd (sd_listen_fds(3)), or from the process that this one succeeds.
struct InheritedSockets {
    struct Entry {
        var name: String
        var socket: ListeningSocket
    }

    /// The first descriptor that is handed over.
    static var first: Int32 { 3 }
    /// More than this many sockets of one process are a mistake.
    private static var most: Int { 100_000 }

    private(set) var entries: [Entry] = []
    /// They come from a running Sluice that waits to hear that all is well.
    let isUpgrade: Bool

    /// Takes over what the environment announces, if it is meant for this process.
    init(environment: [String: String], processID: Int32) {
        isUpgrade = environment[Upgrade.readyVariable] != nil
        guard environment["LISTEN_PID"] == "\(processID)", let count = environment["LISTEN_FDS"].flatMap({ Int($0) }),
            (1...Self.most).contains(count)
        else { return }
        let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        for index in 0..<count {
            let descriptor = Self.first + Int32(index)
            setCloseOnExec(descriptor)
            guard let socket = ListeningSocket.adopting(descriptor) else { continue }
            entries.append(Entry(name: index < names.count ? names[index] : "", socket: socket))
        }
    }

    /// Takes those that belong to a listener: at its address, or, from systemd, of its name.
    mutating func take(name: String, address: ListenAddress, isAdmin: Bool) -> [ListeningSocket] {
        var found: [ListeningSocket] = []
        var rest: [Entry] = []
        for entry in entries {
            if matches(entry, isAdmin ? Self.admin : Self.label(name), address) {
                found.append(entry.socket)
            } else {
                rest.append(entry)
            }
        }
        entries = rest
        return found
    }

    /// What the admin listener's sockets are called; a listener that bears the name is called otherwise.
    private static var admin: String { "admin" }

    private func matches(_ entry: Entry, _ label: String, _ address: ListenAddress) -> Bool {
        switch (entry.socket.address.kind, address) {
        case (.unix(let bound), .unix(let path)) where bound == path: return true
        case (.internet(let bound, let boundPort, _), .tcp(let ip, let port)) where bound == ip:
            if boundPort == port { return true }
            // The kernel chose the port; the name says which listener it was for.
            if port == 0, entry.name == label { return true }
        case (.unix, .unix), (.internet, .tcp): break
        case (.unix, .tcp), (.internet, .unix): return false
        }
        return !isUpgrade && entry.name == label
    }

    /// A name as `LISTEN_FDNAMES` can hold it: colons separate there.
    static func label(_ name: String) -> String {
        name == admin ? "admin_" : String(name.map { $0 == ":" ? "_" : $0 })
    }

    /// The same for the admin listener.
    static var adminLabel: String { admin }

    /// Closes what no listener wanted.
    /// - Returns: what it was.
    mutating func closeRest() -> [String] {
        let left = entries.map { "\($0.name) at \($0.socket.address.text)" }
        for entry in entries { entry.socket.close() }
        entries = []
        return left
    }
}
