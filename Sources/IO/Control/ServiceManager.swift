import Glibc
import Primitives
import Reactor

/// What systemd, or whoever started us, wants to hear: sd_notify(3). Without `NOTIFY_SOCKET` in the environment nothing is sent.
struct ServiceManager {
    /// More than these are old news.
    private static var unsentMax: Int { 64 }
    private static var patience: TimeAmount { .seconds(5) }

    private let address: String?
    /// Nil once another process speaks.
    private var socket: String?
    private var unsent: [String] = []
    private var isStopping = false
    /// How long it waits for a sign of life before it kills us; nil when it does not watch.
    let watchdogTimeout: TimeAmount?

    /// - Parameter environment: of the process; `WATCHDOG_PID` must be our own id, or the watch is somebody else's.
    init(environment: [String: String], processID: Int32) {
        address = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        socket = address
        let isForUs = environment["WATCHDOG_PID"].map { $0 == "\(processID)" } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { UInt64($0) } ?? 0
        // A day is as good as never, and does not overflow.
        let isWatched = socket != nil && isForUs && (1...86_400_000_000).contains(microseconds)
        watchdogTimeout = isWatched ? TimeAmount(nanoseconds: microseconds * 1000) : nil
    }

    /// Also the end of a reload. Whoever is on its way out is not ready for anything.
    mutating func ready(_ status: String) {
        if !isStopping { send("READY=1\nSTATUS=\(status)") }
    }

    /// Before a reload; `ready` ends it, whatever came of it.
    mutating func reloading() {
        send("RELOADING=1\nMONOTONIC_USEC=\(Clock.monotonic.nanoseconds / 1000)\nSTATUS=reloading the configuration")
    }

    mutating func stopping(_ status: String) {
        isStopping = true
        send("STOPPING=1\nSTATUS=\(status)")
    }

    /// Not kept where there is no room: the next one says the same.
    func alive() {
        if let socket, unsent.isEmpty { _ = notifyServiceManager(socket: socket, "WATCHDOG=1") }
    }

    /// From now on that process is the service.
    /// Nothing more is said here: it would be taken for the other's word, or for a stranger's.
    mutating func handOver(to processID: Int32, _ status: String) {
        send("MAINPID=\(processID)\nREADY=1\nSTATUS=\(status)")
        socket = nil
    }

    /// Whether there is something that the manager had no room for.
    var hasUnsent: Bool { !unsent.isEmpty }

    /// Tries again to say what the manager had no room for.
    mutating func flush() {
        while let message = unsent.first, let address, notifyServiceManager(socket: address, message) != SystemError.again {
            unsent.removeFirst()
        }
    }

    /// The same at the end of the process, for a while: a manager that never hears of its new process takes the service for dead.
    mutating func finish() {
        let end = Clock.monotonic + Self.patience
        flush()
        while hasUnsent, Clock.monotonic < end {
            usleep(10_000)
            flush()
        }
    }

    /// A manager that is not there is its own misfortune: serving goes on. One that is behind hears it later, in the same order.
    private mutating func send(_ message: String) {
        guard socket != nil else { return }
        unsent.append(message)
        if unsent.count > Self.unsentMax { unsent.removeFirst() }
        flush()
    }
}
