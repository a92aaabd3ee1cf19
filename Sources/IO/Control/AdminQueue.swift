import Proxy

/// Requests to the admin API that wait for their turn. One is answered in each round of the control thread, so that signals, counters and the
/// watchdog come in between however many there are.
struct AdminQueue {
    /// A configuration that is posted to be checked may have megabytes.
    private static var countMax: Int { 64 }

    private var waiting: [(request: AdminRequest, caller: AdminCaller)] = []

    var isEmpty: Bool { waiting.isEmpty }

    mutating func add(_ request: AdminRequest, _ caller: AdminCaller) {
        guard waiting.count < Self.countMax else {
            return caller.refuse(
                503, "SERVICE_UNAVAILABLE", "too many requests to the admin API at once", "overload",
                fields: [("Retry-After", "1")])
        }
        waiting.append((request, caller))
    }

    mutating func next() -> (request: AdminRequest, caller: AdminCaller)? { waiting.isEmpty ? nil : waiting.removeFirst() }
}
