import Upstream

/// A worker's side of a configuration: its pools in the order of the snapshot's instances, and how many requests
/// still run under it.
final class Generation {
    let snapshot: GatewaySnapshot
    /// In the order of `NameTable.instances`.
    let pools: [PoolPointer]
    /// Requests that began under it and have not ended. The newest generation lives on without any.
    var inFlight = 0

    init(snapshot: GatewaySnapshot, pools: [PoolPointer]) {
        self.snapshot = snapshot
        self.pools = pools
    }
}
