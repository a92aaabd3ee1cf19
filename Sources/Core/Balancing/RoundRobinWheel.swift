/// Smooth weighted round robin, laid out once as the order of picks.
///
/// Each step adds every instance's weight to its own account, picks the largest account and charges it the total (nginx's
/// algorithm: heavy instances are spread, not sent in bursts). The order repeats after the sum of the weights divided by their
/// greatest common divisor, so that a shared counter makes picks fair over all workers at the cost of one addition.
public struct RoundRobinWheel: Sendable {
    /// Longer orders are cut to this many steps: weights are then rounded to 1/65,536 of the total.
    static let stepsMax = 65_536

    /// Instance indices in the order of their turns; empty when every weight is 0.
    public let order: [UInt16]

    /// - Parameter weights: one for each instance, 0 for none of the traffic; at most 65,535 instances.
    public init(weights: [Int]) {
        precondition(weights.count <= Int(UInt16.max))
        var divisor = 0
        for weight in weights { divisor = Self.greatestCommonDivisor(divisor, max(0, weight)) }
        guard divisor > 0 else {
            order = []
            return
        }
        var reduced = weights.map { max(0, $0) / divisor }
        var total = reduced.reduce(0, +)
        if total > Self.stepsMax {
            reduced = reduced.map { $0 == 0 ? 0 : max(1, $0 * Self.stepsMax / total) }
            total = reduced.reduce(0, +)
        }
        if reduced.filter({ $0 > 0 }).allSatisfy({ $0 == 1 }) {
            order = reduced.indices.filter { reduced[$0] > 0 }.map { UInt16($0) }
            return
        }
        var accounts = [Int](repeating: 0, count: reduced.count)
        var picks: [UInt16] = []
        picks.reserveCapacity(total)
        for _ in 0..<total {
            var best = 0
            for i in accounts.indices {
                accounts[i] += reduced[i]
                if accounts[i] > accounts[best] { best = i }
            }
            accounts[best] -= total
            picks.append(UInt16(best))
        }
        order = picks
    }

    /// How long the order for these weights is before it is cut; nil when every weight is 0.
    static func steps(_ weights: [UInt64]) -> Int? {
        var divisor = 0
        var total = 0
        for weight in weights {
            divisor = greatestCommonDivisor(divisor, Int(weight))
            total += Int(weight)
        }
        return divisor == 0 ? nil : total / divisor
    }

    /// The instance whose turn it is at step `count`; nil when no instance takes traffic.
    @inlinable
    public func pick(_ count: UInt64) -> Int? {
        guard !order.isEmpty else { return nil }
        return Int(order[Int(count % UInt64(order.count))])
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        var (a, b) = (a, b)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}
