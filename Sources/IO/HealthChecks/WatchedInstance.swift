import Health
import Primitives
import Upstream

/// What the checker knows of one instance. Lives while configurations in a row name its state.
final class WatchedInstance {
    /// Of an instance whose service has checks.
    struct Checking {
        var plan: CheckPlan
        var schedule: CheckSchedule
        /// When the check that runs began; nil while none does.
        var began: Instant?
        /// Addresses that this check has tried.
        var triedAddresses = 0
    }

    let state: InstanceState
    /// Its place in the loop's list.
    let index: Int
    /// The breakers of its service and of the routes that lead there.
    var breakers: [NamedBreaker]
    var service: ServiceState
    var checking: Checking?
    /// Its connection, -1 for none.
    var connection = -1
    /// Checks that passed in a row.
    var passes = 0
    /// Which address the next connection goes to. It stays with one that works, and moves on when a check fails: an instance is
    /// well while one address of its name is.
    var address = 0
    /// The version of the addresses that the connection was opened for.
    var addressVersion = 0
    /// The last configuration that named it.
    var adoption = 0
    /// It stands in the list of those that are in a hurry.
    var isListed = false

    init(state: InstanceState, index: Int, service: WatchedService) {
        self.state = state
        self.index = index
        self.service = service.state
        breakers = service.allBreakers
    }

    var isRunning: Bool { checking?.began != nil }
}
