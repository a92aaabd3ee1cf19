import Glibc
import Primitives
import Reactor

/// What systemd, or whoever started us, wants to hear: sd_notify(3). Without `NOTIFY_SOCKET` in the environment nothing is sent.
struct ServiceManager {
    private var socket: String?
    private var isStopping = false
    /// How long it waits for a sign of life before it kills us; nil when it does not watch.
    let watchdogTimeout: TimeAmount?

    /// - Parameter environment: of the process; `WATCHDOG_PID` must be our own id, or the watch is somebody else's.
    init(environment: [String: String], processID: Int32) {
        socket = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        let isForUs = environment["WATCHDOG_PID"].map { $0 == "\(processID)" } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { UInt64($0) } ?? 0
        // A day is as good as never, and does not overflow.
        let isWatched = socket != nil && isForUs && (1...86_400_000_000).contains(microseconds)
        watchdogTimeout = isWatched ? TimeAmount(nanoseconds: microseconds * 1000) : nil
    }

    /// Also the end of a reload. Whoever is on its way out is not ready for anything.
    func ready(_ status: String) {
        if !isStopping { send("READY=1\nSTATUS=\(status)") }
    }

    /// Before a reload; `ready` ends it, whatever came of it.
    func reloading() {
        send("RELOADING=1\nMONOTONIC_USEC=\(Clock.monotonic.nanoseconds / 1000)\nSTATUS=reloading the configuration")
    }

    mutating func stopping(_ status: String) {
        isStopping = true
        send("STOPPING=1\nSTATUS=\(status)")
    }

    func alive() { send("WATCHDOG=1") }

    /// From now on that process is the service.
    /// Nothing more is said here: it would be taken for the other's word, or for a stranger's.
    mutating func handOver(to processID: Int32, _ status: String) {
        send("MAINPID=\(processID)\nREADY=1\nSTATUS=\(status)")
        socket = nil
    }

    /// A manager that does not listen is its own misfortune: serving goes on.
    private func send(_ message: String) {
        guard let socket else { return }
        _ = notifyServiceManager(socket: socket, message)
    }
}
