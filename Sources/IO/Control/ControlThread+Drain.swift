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
    /// Running requests are finished. `isSucceeded`: another process serves in our place.
    case draining(until: Instant, isSucceeded: Bool)
    /// Whatever runs is broken off.
    case now

    var isUnderWay: Bool { self != .none }
}

extension ControlThread {
    /// SIGTERM, SIGINT or SIGQUIT; the second one ends the process at once.
    func leave() {
        switch departure {
        case .none:
            hub.setReady(false)
            service.stopping("stopping")
            let delay = configuration.server.drainDelay
            if delay == .zero { return drain(isSucceeded: false) }
            log.event(.info, "draining soon", ["delay_ms": .integer(Int64(clamping: delay.nanoseconds / 1_000_000))])
            departure = .announced(drainAt: Clock.monotonic + delay)
        case .announced, .draining:
            log.event(.warn, "stopped at once", [:])
            departure = .now
        case .now: break
        }
    }

    /// Takes no new connections and finishes what runs.
    func drain(isSucceeded: Bool) {
        hub.setReady(false)
        let timeout = configuration.server.drainTimeout
        let end = Clock.monotonic + timeout
        log.event(.info, "draining", ["timeout_ms": .integer(Int64(clamping: timeout.nanoseconds / 1_000_000))])
        // The admin listener stays, so that the end can be watched; unless a successor has it.
        let count = isSucceeded ? hub.workerCount : hub.workerCount - 1
        for index in 0..<count { hub.post(.drain(until: end), to: index) }
        departure = .draining(until: end, isSucceeded: isSucceeded)
    }

    /// - Returns: whether it is time to go.
    func continueDeparture() -> Bool {
        switch departure {
        case .none: return false
        case .now: return true
        case .announced(let drainAt):
            if Clock.monotonic >= drainAt { drain(isSucceeded: false) }
            return false
        case .draining(let until, let isSucceeded):
            let leaving = isSucceeded ? hub.workerCount : hub.workerCount - 1
            return (0..<leaving).allSatisfy(drainedWorkers.contains) || Clock.monotonic >= until + .seconds(1)
        }
    }

    func stop() {
        if case .draining(_, isSucceeded: true) = departure {
            // The successor's by now.
        } else {
            listeners.removeFiles()
            removeProcessID()
        }
        upgrade?.successor.kill()
        log.event(.info, "stopped", [:])
        accessLog?.finish(milliseconds: 1000)
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
