import Balancing
import Upstream

/// A worker's side of a configuration: its pools in the order of the snapshot's instances, its balancers in the order of the
/// services, and how many requests still run under it.
final class Generation {
    let snapshot: GatewaySnapshot
    /// In the order of `NameTable.instances`.
    let pools: [PoolPointer]
    /// In the order of the services; in memory of their own, since each pick changes one.
    let balancers: UnsafeMutablePointer<Balancer>
    /// Requests that began under it and have not ended. The newest generation lives on without any.
    var inFlight = 0

    init(snapshot: GatewaySnapshot, pools: [PoolPointer]) {
        self.snapshot = snapshot
        self.pools = pools
        balancers = .allocate(capacity: max(1, snapshot.services.count))
        for (i, service) in snapshot.services.enumerated() { (balancers + i).initialize(to: service.balancer) }
    }

    deinit {
        balancers.deinitialize(count: snapshot.services.count)
        balancers.deallocate()
    }
}
