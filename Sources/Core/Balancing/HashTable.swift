/// Which instance each of many slots belongs to, so that a hash finds its instance in one step (Maglev, NSDI 2016 §3.4).
///
/// Every instance fills slots in an order of its own, in turn, more often the heavier it is. So all get their share to within a slot,
/// and one instance more or less moves little beside its own share. A failure does not change the table at all: the keys of the
/// failed one look elsewhere for as long as it lasts.
struct HashTable: Sendable {
    /// Primes; about 30 slots for each instance at the least, for shares that are right to some percent.
    static let slots = 65_537
    static let slotsOfMany = 655_373
    static let few = 2_048

    let owners: [UInt16]

    /// - Parameters:
    ///   - identities: hashes of what the instances are called; all different.
    ///   - weights: one for each; those of 0 own nothing.
    init(identities: [UInt64], weights: [UInt64]) {
        precondition(identities.count == weights.count && identities.count <= Int(UInt16.max))
        let total = weights.reduce(0, +)
        guard total > 0 else {
            owners = []
            return
        }
        // One slot for each of mean weight in a round, so that the rounds are few however uneven the weights are.
        let mean = max(1, total / UInt64(weights.count))
        let size = identities.count <= Self.few ? Self.slots : Self.slotsOfMany
        var owners = [UInt16](repeating: .max, count: size)
        var places = identities.map { Int(HashKey.mix($0) % UInt64(size)) }
        let steps = identities.map { Int(HashKey.mix($0 ^ .max) % UInt64(size - 1)) + 1 }
        var dues = [UInt64](repeating: 0, count: identities.count)
        var filled = 0
        while filled < size {
            for i in identities.indices where weights[i] > 0 {
                dues[i] += weights[i]
                while dues[i] >= mean, filled < size {
                    dues[i] -= mean
                    while owners[places[i]] != .max { places[i] = (places[i] + steps[i]) % size }
                    owners[places[i]] = UInt16(i)
                    filled += 1
                }
            }
        }
        self.owners = owners
    }

    /// The owner for these bits; nil when nobody owns anything.
    func owner(_ bits: UInt64) -> Int? {
        guard !owners.isEmpty else { return nil }
        return Int(owners[Int(truncatingIfNeeded: HashKey.scaled(bits, to: UInt64(owners.count)))])
    }
}
