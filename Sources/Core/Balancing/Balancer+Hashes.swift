import Primitives

/// The algorithms that send a key to the same instance again.
///
/// Neither the list of who is well nor the order of the instances enters into where a key belongs. When one fails, its keys are
/// spread over the others and no other key moves; when it is back, they return.
extension Balancer {
    func hashed(_ key: HashKey, _ tried: TriedInstances, _ now: Instant) -> Int? {
        table.owners.isEmpty ? highestHash(key, tried, now) : tableOwner(key, tried, now)
    }

    /// Rendezvous: the instance whose hash with the key is highest for its weight (Thaler, Ravishankar 1998).
    private func highestHash(_ key: HashKey, _ tried: TriedInstances, _ now: Instant) -> Int? {
        let bound = LoadBound(self)
        var best = -1
        var bestScore = -Double.infinity
        var spare = -1
        var spareScore = -Double.infinity
        for index in eligible.indices {
            let instance = Int(index)
            let bits = key.mixed(with: identities[instance])
            // −weight ÷ log u: with u even between 0 and 1, the highest one falls to each by weight. Equal weights need no logarithm.
            let score = isEvenlyWeighted ? Double(bits) : -Double(weights[instance]) / Exponential.log2(Self.openPart(bits))
            guard score > spareScore || score > bestScore, !tried.contains(instance) else { continue }
            if score > bestScore, keeps(bits, instance, now), bound.admits(instance, self) {
                best = instance
                bestScore = score
            }
            if score > spareScore {
                spare = instance
                spareScore = score
            }
        }
        let found = best >= 0 ? best : spare
        return found >= 0 ? found : nil
    }

    /// The slot's owner; where that one cannot take it, the owner of the slot that the key's next hash leads to.
    private func tableOwner(_ key: HashKey, _ tried: TriedInstances, _ now: Instant) -> Int? {
        let bound = LoadBound(self)
        var spare = -1
        for attempt in 0..<UInt64(Self.few) {
            let bits = key.mixed(with: attempt &* 0x9e37_79b9_7f4a_7c15)
            guard let instance = table.owner(bits), eligible.weights[instance] > 0, !tried.contains(instance) else { continue }
            if keeps(key.mixed(with: identities[instance]), instance, now), bound.admits(instance, self) { return instance }
            if spare < 0 { spare = instance }
        }
        // Most have failed, or are full: the instances themselves are the ring.
        let instances = eligible.indices
        let start = eligible.place(from: Int(truncatingIfNeeded: HashKey.scaled(key.mixed(with: .max), to: UInt64(count))))
        for step in instances.indices {
            let instance = Int(instances[(start + step) % instances.count])
            guard !tried.contains(instance) else { continue }
            if bound.admits(instance, self) { return instance }
            if spare < 0 { spare = instance }
        }
        return spare >= 0 ? spare : untried(from: start, tried)
    }

    /// Whether the instance takes this key with what is left of its share. Always the same keys, and more as the share grows.
    private func keeps(_ bits: UInt64, _ instance: Int, _ now: Instant) -> Bool {
        if eligible.isWhole { return true }
        let factor = shareFactor(instance, now)
        return factor >= 1 || Self.part(HashKey.mix(bits)) < factor
    }

    /// Above 0 and below 1, so that its logarithm is a number and not 0.
    private static func openPart(_ bits: UInt64) -> Double { (Double(bits >> 12) + 0.5) * 0x1p-52 }

    /// Bounded load: nobody takes a key who has c times its share of all requests in flight (Mirrokni, Thorup, Zadimoghaddam 2018).
    private struct LoadBound {
        /// Requests for each unit of effective weight; infinite where there is no bound.
        let requests: Double

        init(_ balancer: Balancer) {
            switch balancer.policy.algorithm {
            case .consistentHash:
                let all = balancer.service._withUnsafeGuaranteedRef { max(0, $0.inFlight) } + 1
                requests = max(1, balancer.policy.loadBound) * Double(all) / Double(max(1, balancer.eligible.total))
            case .roundRobin, .leastConnections, .addressHash, .peakEWMA, .random:
                requests = .infinity
            }
        }

        func admits(_ instance: Int, _ balancer: Balancer) -> Bool {
            guard requests.isFinite else { return true }
            return Double(balancer.inFlight(instance)) < (requests * Double(balancer.eligible.weights[instance])).rounded(.up)
        }
    }
}
