import Configuration
import Health
import Primitives
import Reactor
import Upstream

/// One check from due to connected.
extension CheckLoop {
    /// Addresses of one name that a check tries until one takes the connection.
    private static var addressesMax: Int { 8 }
    /// EADDRNOTAVAIL: no local port is left.
    private static var noLocalPort: Int { 99 }

    /// Begins what is due, as far as checks may be in flight. No more in a turn than may be in flight at all, so that events are
    /// looked at in between where each check fails at once.
    func beginDue() {
        for _ in 0..<Self.checksMax {
            guard deadlines.count < Self.checksMax, let next = due.first, next.at <= now else { return }
            due.remove(next.item)
            if let instance = instances[next.item] { begin(instance) }
        }
    }

    private func begin(_ instance: WatchedInstance) {
        guard let plan = instance.checking?.plan else { return }
        // From here on the check sees what traffic saw before.
        instance.state.clearHurry()
        let health = instance.state.health
        guard let deadline = instance.checking?.schedule.began(pace: health.pace, usual: health.checkLatency, at: now) else {
            return
        }
        instance.checking?.began = now
        instance.checking?.triedAddresses = 0
        deadlines.set(instance.index, at: deadline)
        switch plan.question {
        case .connect: break
        case .ask, .call: if askAgain(instance, plan) { return }
        case .unwritable: return ended(instance, .failed(.malformed))
        }
        connect(instance)
    }

    /// Sends the request on the connection of the last check, where there is one that stands.
    /// - Returns: whether it did.
    private func askAgain(_ instance: WatchedInstance, _ plan: CheckPlan) -> Bool {
        let index = instance.connection
        guard index >= 0 else { return false }
        guard case .idle = connections.pointer(index).pointee.phase, instance.addressVersion == addressVersion(instance) else {
            close(index)
            return false
        }
        // It may have said something that nobody has looked at yet.
        readIdle(index)
        guard instance.connection == index else { return false }
        guard ask(index, instance, plan) else {
            close(index)
            return false
        }
        return true
    }

    /// Opens a connection to the first address that has not refused one.
    func connect(_ instance: WatchedInstance) {
        let addresses = instance.state.currentAddresses()
        while let tried = instance.checking?.triedAddresses, tried < min(addresses.count, Self.addressesMax) {
            instance.checking?.triedAddresses = tried + 1
            let address = addresses[instance.address % addresses.count]
            var raw = address.raw
            let descriptor = calls.connect(&raw)
            if descriptor >= 0 { return opened(descriptor, instance) }
            if Self.isOurs(-Int(descriptor), address) { return abandon(instance) }
            instance.address = (instance.address + 1) % addresses.count
        }
        ended(instance, .failed(.notConnected))
    }

    private func opened(_ descriptor: Int32, _ instance: WatchedInstance) {
        let (index, generation) = connections.allocate()
        let connection = connections.pointer(index)
        connection.pointee.descriptor = descriptor
        connection.pointee.instance = instance.index
        instance.connection = index
        instance.addressVersion = addressVersion(instance)
        guard poller.addConnection(descriptor, Token(.backend, index: index, generation: generation)) >= 0 else {
            close(index)
            return abandon(instance)
        }
    }

    /// What ran out here says nothing about the instance: without this, a gateway that is short of descriptors would take all its
    /// instances for dead.
    private static func isOurs(_ error: Int, _ address: SocketAddress) -> Bool {
        if SystemError.isShortage(error) { return true }
        switch error {
        case noLocalPort: return true
        // For a Unix socket it says that its listener does not accept.
        case SystemError.again:
            if case .internet = address.kind { return true }
            return false
        default:
            return false
        }
    }

    func abandon(_ instance: WatchedInstance) {
        instance.checking?.began = nil
        deadlines.remove(instance.index)
        instance.checking?.schedule.abandoned(at: now)
        due.set(instance.index, at: instance.checking?.schedule.due)
    }

    /// The check has taken too long.
    func timedOut(_ index: Int) {
        deadlines.remove(index)
        guard let instance = instances[index] else { return }
        if instance.connection >= 0 { close(instance.connection) }
        ended(instance, .failed(.timedOut))
    }

    private func addressVersion(_ instance: WatchedInstance) -> Int { instance.state.addressVersion.load(ordering: .acquiring) }
}
