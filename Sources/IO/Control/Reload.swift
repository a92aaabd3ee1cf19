import Admin
import Configuration
import Logs
import Primitives
import Proxy
import Reactor

/// Where a reload of the configuration is. One runs at a time; requests that come meanwhile are answered by one more after it, which reads
/// the file as it is then, so that the last one always wins.
struct Reload {
    /// How long the first look-ups of names may hold up the start or a reload.
    static var resolveWait: TimeAmount { .seconds(2) }
    /// A worker takes a configuration over between two events; one that takes longer has other troubles.
    static var adoptWait: TimeAmount { .seconds(5) }

    /// A configuration that is good, on its way to the workers.
    struct Candidate {
        var configuration: GatewayConfiguration
        /// With what is new in it.
        var registry: InstanceRegistry
        var origin: ConfigurationOrigin?
        var snapshot: GatewaySnapshot
        var admin: GatewaySnapshot
        var sockets: ListenerSet.Plan
        /// Where the access log goes from now on, where that changes.
        var movedLog: MovedLog?
        /// Likewise for the daemon's own log.
        var movedOwnLog: LogWriter?
        var verdict: ReloadVerdict
        var callers: [AdminCaller]

        /// Gives back what was opened for it.
        func abandon() {
            sockets.abandon()
            movedLog?.writer?.stop()
            movedOwnLog?.stop()
        }
    }

    struct MovedLog {
        var writer: LogWriter?
    }

    enum State {
        case idle
        /// New names are looked up first, or the first requests would find no address.
        case resolving(Candidate, until: Instant)
        /// The workers take it over.
        case adopting(number: Int, missing: Set<Int>, ReloadVerdict, [AdminCaller], until: Instant)
    }

    var state = State.idle
    /// Somebody has asked since the last one began.
    var isWanted = false
    /// Who waits for the verdict of the next one.
    var callers: [AdminCaller] = []

    var isRunning: Bool {
        if case .idle = state { return false }
        return true
    }

    var isResolving: Bool {
        if case .resolving = state { return true }
        return false
    }

    mutating func adopted(_ number: Int, worker: Int) {
        guard case .adopting(number, var missing, let verdict, let callers, let until) = state else { return }
        missing.remove(worker)
        state = .adopting(number: number, missing: missing, verdict, callers, until: until)
    }
}
