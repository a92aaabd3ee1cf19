import Primitives

/// A worker's own list of the instances that take requests, with their weights as of now.
///
/// It is made again, in the memory it has, when a status changed or a slow start ended: one look at each instance. Between
/// changes a pick reads only this, and then the status word of the one that it picked.
struct EligibleInstances: Sendable {
    /// An effective weight is in 256ths of a configured one.
    static let unit: UInt64 = 256

    /// Ascending.
    private(set) var indices: [UInt16] = []
    /// The sum of the effective weights up to and with each of `indices`.
    private(set) var sums: [UInt64] = []
    /// For every instance; 0 for one that takes no requests.
    private(set) var weights: [UInt64]
    /// When the slow start of each instance began, in nanoseconds; 0 for those in none.
    private(set) var slowStarts: [UInt64]
    private(set) var total: UInt64 = 0
    private(set) var lightest: UInt64 = 0
    /// All effective weights are equal.
    private(set) var isUniform = true
    /// Every instance with a weight takes its full share.
    private(set) var isWhole = false
    private(set) var hasSlowStarts = false
    private var version: UInt64 = 0
    private var slowStartEnds = Instant.never

    init(count: Int) {
        weights = [UInt64](repeating: 0, count: count)
        slowStarts = weights
        indices.reserveCapacity(count)
        sums.reserveCapacity(count)
    }

    @inline(__always)
    func isCurrent(_ current: UInt64, at now: Instant) -> Bool { version == current && now < slowStartEnds }

    /// A status was seen to differ from the list.
    mutating func expire() { version = 0 }

    /// - Parameters:
    ///   - version: read before the statuses are, so that a change in between makes the list old again.
    ///   - configured: the weights as written; those of 0 take no new requests.
    mutating func refresh(
        version: UInt64, configured: [UInt64], degraded: UInt64, slowStart: SlowStart?, at now: Instant,
        status: (Int) -> InstanceStatus
    ) {
        self.version = version
        indices.removeAll(keepingCapacity: true)
        sums.removeAll(keepingCapacity: true)
        slowStartEnds = .never
        var healthy = 0
        var slow = 0
        for i in configured.indices {
            weights[i] = 0
            slowStarts[i] = 0
            let status = status(i)
            guard configured[i] > 0, status.takesRequests else { continue }
            indices.append(UInt16(truncatingIfNeeded: i))
            let isHealthy = status.health == .healthy
            if isHealthy { healthy += 1 }
            weights[i] = configured[i] * (isHealthy ? Self.unit : degraded)
            if let slowStart, let start = status.slowStartSince, now < start + slowStart.window {
                slow += 1
                slowStarts[i] = start.nanoseconds
                slowStartEnds = min(slowStartEnds, start + slowStart.window)
            }
        }
        // Where all are degraded, or new, none is worse than the others.
        let allDegraded = healthy == 0
        hasSlowStarts = slow > 0 && slow < indices.count
        total = 0
        lightest = .max
        var heaviest: UInt64 = 0
        for index in indices {
            let i = Int(index)
            if allDegraded { weights[i] = configured[i] * Self.unit }
            total += weights[i]
            sums.append(total)
            lightest = min(lightest, weights[i])
            heaviest = max(heaviest, weights[i])
        }
        isUniform = lightest >= heaviest
        isWhole =
            !hasSlowStarts && (allDegraded || healthy == indices.count)
            && configured.indices.allSatisfy {
                configured[$0] == 0 || weights[$0] > 0
            }
    }

    /// The instance at this part of all weights, where `bits` is the part in 2⁶⁴ths. Not for an empty list.
    @inline(__always)
    func instance(at bits: UInt64) -> Int {
        if isUniform { return Int(indices[Int(truncatingIfNeeded: HashKey.scaled(bits, to: UInt64(indices.count)))]) }
        let target = HashKey.scaled(bits, to: total)
        var low = 0
        var count = sums.count
        while count > 1 {
            let half = count / 2
            if sums[low + half - 1] <= target { low += half }
            count -= half
        }
        return Int(indices[low])
    }

    /// The place in `indices` of the first one from `instance` on; 0 behind the last.
    func place(from instance: Int) -> Int {
        var low = 0
        var high = indices.count
        while low < high {
            let middle = (low + high) / 2
            if Int(indices[middle]) < instance { low = middle + 1 } else { high = middle }
        }
        return low == indices.count ? 0 : low
    }
}
