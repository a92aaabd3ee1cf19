import Glibc
import Primitives
import Reactor
import Telemetry

/// SIGUSR2: the program is started anew, gets the listening sockets, and takes this process's place once it serves.
extension ControlThread {
    func beginUpgrade() {
        guard upgrade == nil, departure == .none else {
            return log.event(.warn, "an upgrade is under way already, or the process is on its way out", [:])
        }
        do {
            let started = try Upgrade.start(
                path: program, isWatched: environment["WATCHDOG_USEC"] != nil, sockets: listeners.handedOver)
            upgrade = started
            log.event(
                .info, "upgrade begun", ["program": .string(program), "new_pid": .integer(Int64(started.successor.processID))])
        } catch {
            upgradeFailed("it cannot be started: \(SystemError.text(error.error))")
        }
    }

    func continueUpgrade() {
        guard var current = upgrade else { return }
        let progress = current.progress(at: Clock.monotonic)
        upgrade = current
        switch progress {
        case .waiting: break
        case .serving:
            current.close()
            upgrade = nil
            let processID = current.successor.processID
            log.event(.info, "upgrade done; the new process serves", ["new_pid": .integer(Int64(processID))])
            service.handOver(to: processID, "upgraded; the old process drains")
            successor = .unannounced
            drain()
        case .failed(let reason):
            current.close()
            upgrade = nil
            upgradeFailed(reason)
        }
    }

    /// Whoever stops the service does not want another one in its place.
    func giveUpUpgrade() {
        guard let current = upgrade else { return }
        current.successor.kill()
        current.close()
        upgrade = nil
    }

    private func upgradeFailed(_ reason: String) {
        // It may have written its own.
        if departure == .none { writeProcessID() }
        log.event(.error, "upgrade failed; this process goes on serving", ["reason": .string(reason)])
        service.ready("upgrade failed: \(reason); \(statusLine)")
    }
}

/// Where the program is that this process runs, or its newer version by now.
enum ProgramPath {
    /// As it was called, so that a symbolic link to another version is followed anew. To be asked at the start: folders and links change.
    static var current: String {
        let called = CommandLine.arguments.first ?? ""
        guard called.contains("/") else { return link }
        return called.hasPrefix("/") ? called : "\(folder)/\(called)"
    }

    private static var folder: String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }

    private static var link: String {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        return count > 0 ? String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : "/proc/self/exe"
    }
}
