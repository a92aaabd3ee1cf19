import Glibc
import Primitives
import Proxy
import Reactor
import Telemetry

/// How far the process is on its way out.
enum Departure: Equatable {
    case none
    /// `/ready` says no, and all is served until balancers have noticed.
    case announced(drainAt: Instant)
    /// Running requests are finished.
    case draining(until: Instant)
    /// Whatever runs is broken off.
    case now

    var isUnderWay: Bool { self != .none }
}

/// Whether another process serves in our place.
enum Succession: Equatable {
    case none
    case unannounced
    /// And somebody who wanted to stop us has been told so.
    case announced
}

extension ControlThread {
    /// SIGTERM, SIGINT or SIGQUIT; the second one ends the process at once.
    func leave() {
        switch departure {
        case .none:
            giveUpUpgrade()
            hub.setReady(false)
            service.stopping("stopping")
            let delay = configuration.server.drainDelay
            if delay == .zero { return drain() }
            log.event(.info, "draining soon", ["delay_ms": .integer(Int64(clamping: delay.nanoseconds / 1_000_000))])
            departure = .announced(drainAt: Clock.monotonic + delay)
        case .draining where successor == .unannounced:
            // Whoever stops the service may not know that another process is the service by now; what runs here ends anyway.
            successor = .announced
            log.event(.info, "draining already; another process serves", [:])
        case .announced, .draining:
            log.event(.warn, "stopped at once", [:])
            departure = .now
        case .now: break
        }
    }

    /// Takes no new connections and finishes what runs.
    func drain() {
        hub.setReady(false)
        let timeout = configuration.server.drainTimeout
        let end = Clock.monotonic + timeout
        log.event(.info, "draining", ["timeout_ms": .integer(Int64(clamping: timeout.nanoseconds / 1_000_000))])
        // The admin listener stays, so that the end can be watched; unless a successor has it.
        for index in 0..<leavingWorkers { hub.post(.drain(until: end), to: index) }
        departure = .draining(until: end)
    }

    /// How many of the workers are to end before the process does.
    private var leavingWorkers: Int { successor == .none ? hub.workerCount - 1 : hub.workerCount }

    /// - Returns: whether it is time to go.
    func continueDeparture() -> Bool {
        switch departure {
        case .none: return false
        case .now: return true
        case .announced(let drainAt):
            if Clock.monotonic >= drainAt { drain() }
            return false
        case .draining(let until):
            return (0..<leavingWorkers).allSatisfy(drainedWorkers.contains) || Clock.monotonic >= until + .seconds(1)
        }
    }

    func stop() {
        // They are the successor's by now, where there is one.
        if successor == .none {
            listeners.removeFiles()
            removeProcessID()
        }
        giveUpUpgrade()
        checker.stop()
        service.finish()
        log.event(.info, "stopped", [:])
        accessLog?.finish(milliseconds: 1000)
        transitions?.finish()
        log.finish()
    }

    /// Writes the file that says which process to send signals to.
    func writeProcessID() {
        guard let path = configuration.server.pidFile else { return }
        if let problem = ProcessIDFile.write(path) {
            log.error("cannot write server.pid_file", ["path": .string(path), "error": .string(problem)])
        }
    }

    private func removeProcessID() {
        if let path = configuration.server.pidFile { ProcessIDFile.remove(path) }
    }
}
