import Primitives

/// The algorithms that look at turns, dice and loads.
extension Balancer {
    struct Turn {
        var number: UInt64
        var instance: Int
    }

    /// Round robin: the next one whose turn it is, over the whole process.
    func turn(_ tried: TriedInstances, _ random: inout RandomSource, _ now: Instant) -> Turn? {
        var number: UInt64 = 0
        for _ in 0..<Self.tries {
            number = service._withUnsafeGuaranteedRef { $0.nextTurn() }
            let instance = owner(ofTurn: number)
            if mayTake(instance, tried, &random, now) { return Turn(number: number, instance: instance) }
        }
        let place = Int(truncatingIfNeeded: number % UInt64(eligible.indices.count))
        return untried(from: place, tried).map { Turn(number: number, instance: $0) }
    }

    /// Turn by turn where all weigh the same; by the wheel where all are well; else by the golden ratio's sequence over the
    /// weights as they are: of n turns each gets its share to within a few, and they are spread (Weyl; Steinhaus' three gaps).
    private func owner(ofTurn number: UInt64) -> Int {
        if eligible.isUniform {
            return Int(eligible.indices[Int(truncatingIfNeeded: number % UInt64(eligible.indices.count))])
        }
        if eligible.isWhole, let instance = wheel.pick(number) { return instance }
        return eligible.instance(at: number &* 0x9e37_79b9_7f4a_7c15)
    }

    /// By weight, at random.
    func drawn(_ tried: TriedInstances, _ random: inout RandomSource, _ now: Instant) -> Int? {
        for _ in 0..<Self.tries {
            let instance = eligible.instance(at: random.next())
            if mayTake(instance, tried, &random, now) { return instance }
        }
        return untried(from: draw(UInt64(eligible.indices.count), &random), tried)
    }

    /// The fewest requests in flight for the weight; the one whose turn it is where that leaves a choice.
    ///
    /// Loads are counted in requests of the lightest instance, and less than one of them is no difference: of weights 3 and 1 the
    /// heavier one with two in flight is no more loaded than the lighter one with none. So instances equally fast share by
    /// weight even when few requests are in flight. Of many instances two are compared (Mitzenmacher 2001).
    func leastLoaded(_ tried: TriedInstances, _ random: inout RandomSource, _ now: Instant) -> Int? {
        guard let turn = turn(tried, &random, now) else { return nil }
        let load = relativeLoad(turn.instance)
        guard load >= 1 else { return turn.instance }
        if eligible.indices.count > Self.few {
            let other = eligible.instance(at: turn.number &* 0x6a09_e667_f3bc_c909)
            return relativeLoad(other) + 1 <= load && mayTake(other, tried, &random, now) ? other : turn.instance
        }
        var best = turn.instance
        var bestLoad = load
        var bestDistance = 0
        for index in eligible.indices {
            let instance = Int(index)
            let load = relativeLoad(instance)
            let distance = instance >= turn.instance ? instance - turn.instance : instance - turn.instance + count
            guard load < bestLoad || (load == bestLoad && distance < bestDistance) else { continue }
            guard mayTake(instance, tried, &random, now) else { continue }
            (best, bestLoad, bestDistance) = (instance, load, distance)
        }
        return bestLoad + 1 <= load ? best : turn.instance
    }

    private func relativeLoad(_ instance: Int) -> Double {
        let requests = Double(inFlight(instance))
        if eligible.isUniform { return requests }
        return requests * Double(eligible.lightest) / Double(max(1, eligible.weights[instance]))
    }

    /// The one of two that a request will probably wait less for: (in flight + 1) × latency ÷ weight.
    func cheaperOfTwo(_ tried: TriedInstances, _ random: inout RandomSource, _ now: Instant) -> Int? {
        let instances = eligible.indices
        let candidates = UInt64(instances.count)
        guard candidates > 1 else { return untried(from: 0, tried) }
        for _ in 0..<Self.tries {
            let place = draw(candidates, &random)
            let otherPlace = draw(candidates - 1, &random)
            let first = Int(instances[place])
            let second = Int(instances[otherPlace < place ? otherPlace : otherPlace + 1])
            switch (mayTakeReduced(first, tried, &random, now), mayTakeReduced(second, tried, &random, now)) {
            case (true, true): return isCheaper(second, than: first, now) ? second : first
            case (true, false): return first
            case (false, true): return second
            case (false, false): continue
            }
        }
        return untried(from: draw(candidates, &random), tried)
    }

    /// An instance without a sample counts as fast as the other, which is the group's median in the mean.
    private func isCheaper(_ a: Int, than b: Int, _ now: Instant) -> Bool {
        let latencyOfA = latency(a, now)
        let latencyOfB = latency(b, now)
        let costOfA = Double(inFlight(a) + 1) * (latencyOfA ?? latencyOfB ?? 1) * Double(weights[b])
        let costOfB = Double(inFlight(b) + 1) * (latencyOfB ?? latencyOfA ?? 1) * Double(weights[a])
        return costOfA < costOfB
    }

    private func latency(_ instance: Int, _ now: Instant) -> Double? {
        loads[instance]._withUnsafeGuaranteedRef { $0.latency }.nanoseconds(decay: policy.latencyDecay, at: now)
    }

    /// Whether it was not tried, and its slow start does not hold it back this time.
    @inline(__always)
    private func mayTake(_ instance: Int, _ tried: TriedInstances, _ random: inout RandomSource, _ now: Instant) -> Bool {
        guard !tried.contains(instance) else { return false }
        guard eligible.hasSlowStarts, eligible.slowStarts[instance] > 0 else { return true }
        return Self.part(random.next()) < slowFactor(instance, now)
    }

    /// The same, where the choice does not look at the effective weight.
    @inline(__always)
    private func mayTakeReduced(
        _ instance: Int, _ tried: TriedInstances, _ random: inout RandomSource, _ now: Instant
    ) -> Bool {
        guard !tried.contains(instance) else { return false }
        if eligible.isWhole { return true }
        let factor = shareFactor(instance, now)
        return factor >= 1 || Self.part(random.next()) < factor
    }

    private func draw(_ bound: UInt64, _ random: inout RandomSource) -> Int {
        Int(truncatingIfNeeded: HashKey.scaled(random.next(), to: bound))
    }
}
