import Upstream

/// A worker's side of a configuration: its pools in the order of the snapshot's instances, and how many requests
/// still run under it.
final class Generation {
    let snapshot: GatewaySnapshot
    /// Indices into the worker's pools, in the order of `NameTable.instances`.
    let pools: [Int32]
    /// Requests that began under it and have not ended. The newest generation lives on without any.
    var inFlight = 0

    init(snapshot: GatewaySnapshot, pools: [Int32]) {
        self.snapshot = snapshot
        self.pools = pools
    }
}
