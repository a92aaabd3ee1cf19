import Primitives

/// Chooses the instance of a service that a request goes to.
///
/// Each worker holds its own copy, which is cheap to make: the list of who takes requests is its own, all counts are in the
/// shared loads. A pick allocates nothing and takes no lock. What it returns took requests at that moment, by the status word
/// that any thread may write; where time passes until the request is sent, ask `takesRequests` again.
public struct Balancer: Sendable {
    public enum Algorithm: Sendable, Equatable {
        /// Smooth and weighted.
        case roundRobin
        /// The fewest requests in flight for its weight.
        case leastConnections
        /// By the client's address.
        case addressHash
        /// By a part of the request, with no instance much above the average load.
        case consistentHash
        /// The cheaper of two by requests in flight and recent latency.
        case peakEWMA
        case random
    }

    public struct Policy: Sendable, Equatable {
        public var algorithm = Algorithm.roundRobin
        /// What a degraded instance keeps of its weight, from 0 (taken as 1/256) to 1.
        public var degradedWeight = 0.5
        /// Nil is off.
        public var slowStart: SlowStart?
        /// How many times the average load an instance may have before `consistentHash` passes it over; at least 1.
        public var loadBound = 1.25
        /// The time in which an old latency loses its weight, to 1/e.
        public var latencyDecay = TimeAmount.seconds(10)

        public init() {}

        public init(_ algorithm: Algorithm) { self.algorithm = algorithm }
    }

    public struct Instance: Sendable {
        /// What it is called by the hashes, as its address: the same after a restart and on other gateways.
        public var name: String
        /// 0 takes no new requests, and sessions that it has go on.
        public var weight: Int
        public var load: InstanceLoad

        public init(name: String, weight: Int, load: InstanceLoad) {
            self.name = name
            self.weight = weight
            self.load = load
        }
    }

    /// What a request is placed by. An algorithm that misses its part falls back to round robin.
    public struct Request: Sendable {
        /// For `addressHash`: `HashKey(clientAddress)`; for `consistentHash`: of the bytes that it looks at.
        public var key: HashKey?
        /// The instance of the session that the request belongs to, or -1.
        public var session: Int

        @inlinable
        public init(key: HashKey? = nil, session: Int = -1) {
            self.key = key
            self.session = session
        }
    }

    /// As many are hashed one by one, or compared in full; more are looked up in a table, or compared by two.
    static let few = 32
    /// Tries to find one that was not tried before and is not held back; then the list is walked.
    static let tries = 16
    /// A longer order of turns, or one that takes more steps to lay out, is not laid out: an even sequence stands in for it.
    static let wheelSteps = 65_536
    static let wheelWork = 4_194_304

    public let policy: Policy
    public let count: Int
    // Plain references, since taking one out of an array or a class would count it for every pick. The owners keep them alive.
    let service: Unmanaged<ServiceLoad>
    let loads: [Unmanaged<InstanceLoad>]
    private let serviceOwner: ServiceLoad
    private let owners: [InstanceLoad]
    let weights: [UInt64]
    let degradedUnits: UInt64
    let isEvenlyWeighted: Bool
    let identities: [UInt64]
    /// Empty where it is not needed, or would be too long.
    let wheel: RoundRobinWheel
    /// Only for the hashes over many instances.
    let table: HashTable
    var eligible: EligibleInstances

    /// - Parameter instances: at most 65,534; their loads belong to `service`.
    public init(_ policy: Policy, instances: [Instance], service: ServiceLoad) {
        precondition(instances.count < Int(UInt16.max), "more instances than a service may have")
        self.policy = policy
        count = instances.count
        serviceOwner = service
        self.service = Unmanaged.passUnretained(service)
        owners = instances.map(\.load)
        loads = owners.map { Unmanaged.passUnretained($0) }
        let weights = instances.map { UInt64(min(max($0.weight, 0), 1_000_000)) }
        self.weights = weights
        let part = policy.degradedWeight.isFinite ? min(max(policy.degradedWeight, 0), 1) : 1
        degradedUnits = max(1, UInt64((part * Double(EligibleInstances.unit)).rounded()))
        let positive = weights.filter { $0 > 0 }
        isEvenlyWeighted = positive.allSatisfy { $0 == positive[0] }
        identities = Self.identities(instances)
        wheel = Self.wheel(policy.algorithm, weights)
        switch policy.algorithm {
        case .addressHash, .consistentHash:
            table = HashTable(identities: count > Self.few ? identities : [], weights: count > Self.few ? weights : [])
        case .roundRobin, .leastConnections, .peakEWMA, .random:
            table = HashTable(identities: [], weights: [])
        }
        eligible = EligibleInstances(count: count)
    }

    /// Chooses an instance. Nil when none takes requests but those that the request was tried on.
    public mutating func pick(
        _ request: Request, excluding tried: TriedInstances, random: inout RandomSource, at now: Instant
    ) -> Int? {
        let session = request.session
        if session >= 0, session < count, !tried.contains(session), takesRequests(session) { return session }
        for _ in 0..<3 {
            refresh(at: now)
            guard !eligible.indices.isEmpty, let found = choose(request, tried, &random, now) else { return nil }
            if takesRequests(found) { return found }
            eligible.expire()
        }
        // Statuses change faster than they are read.
        return untried(from: 0, tried)
    }

    /// Whether the instance takes requests at this moment.
    @inline(__always)
    public func takesRequests(_ instance: Int) -> Bool {
        loads[instance]._withUnsafeGuaranteedRef { $0.takesRequests }
    }

    /// The next instance behind `instance`, round and round, that takes requests and was not tried; itself comes last.
    /// For a request whose pick has no connection to give: all the others can be gone through.
    public mutating func next(after instance: Int, excluding tried: TriedInstances, at now: Instant) -> Int? {
        refresh(at: now)
        guard !eligible.indices.isEmpty else { return nil }
        return untried(from: eligible.place(from: instance + 1), tried)
    }

    /// As written; 0 takes no new requests.
    public func weight(of instance: Int) -> Int { Int(weights[instance]) }

    /// How many instances take new requests; for reports.
    public mutating func eligibleCount(at now: Instant) -> Int {
        refresh(at: now)
        return eligible.indices.count
    }

    @inline(__always)
    private mutating func refresh(at now: Instant) {
        let version = service._withUnsafeGuaranteedRef { $0.statusVersion }
        if !eligible.isCurrent(version, at: now) { renew(version, now) }
    }

    @inline(never)
    private mutating func renew(_ version: UInt64, _ now: Instant) {
        let loads = loads
        eligible.refresh(
            version: version, configured: weights, degraded: degradedUnits, slowStart: policy.slowStart, at: now,
            status: { loads[$0]._withUnsafeGuaranteedRef { $0.status } })
    }

    private func choose(
        _ request: Request, _ tried: TriedInstances, _ random: inout RandomSource, _ now: Instant
    ) -> Int? {
        switch policy.algorithm {
        case .roundRobin:
            return turn(tried, &random, now)?.instance
        case .leastConnections:
            return leastLoaded(tried, &random, now)
        case .addressHash, .consistentHash:
            guard let key = request.key else { return turn(tried, &random, now)?.instance }
            return hashed(key, tried, now)
        case .peakEWMA:
            return cheaperOfTwo(tried, &random, now)
        case .random:
            return drawn(tried, &random, now)
        }
    }

    /// The first in the list from this place on, round and round, that takes requests and was not tried.
    func untried(from place: Int, _ tried: TriedInstances) -> Int? {
        let instances = eligible.indices
        for step in 0..<instances.count {
            let instance = Int(instances[(place + step) % instances.count])
            if !tried.contains(instance), takesRequests(instance) { return instance }
        }
        return nil
    }

    func inFlight(_ instance: Int) -> Int {
        loads[instance]._withUnsafeGuaranteedRef { max(0, $0.inFlight) }
    }

    /// What is left of the instance's share in its slow start; 1 behind it.
    func slowFactor(_ instance: Int, _ now: Instant) -> Double {
        guard eligible.hasSlowStarts, let slowStart = policy.slowStart, eligible.slowStarts[instance] > 0 else { return 1 }
        return slowStart.factor(since: Instant(nanoseconds: eligible.slowStarts[instance]), at: now)
    }

    /// What is left of its share for whatever reason, where its effective weight is not looked at.
    func shareFactor(_ instance: Int, _ now: Instant) -> Double {
        if eligible.isWhole { return 1 }
        let full = weights[instance] * EligibleInstances.unit
        let kept = eligible.weights[instance] >= full ? 1 : Double(eligible.weights[instance]) / Double(full)
        return kept * slowFactor(instance, now)
    }

    /// From 0 up to but not including 1.
    static func part(_ bits: UInt64) -> Double { Double(bits >> 11) * 0x1p-53 }

    private static func wheel(_ algorithm: Algorithm, _ weights: [UInt64]) -> RoundRobinWheel {
        let none = RoundRobinWheel(weights: [])
        switch algorithm {
        case .random, .peakEWMA: return none
        case .roundRobin, .leastConnections, .addressHash, .consistentHash: break
        }
        guard let steps = RoundRobinWheel.steps(weights), steps <= wheelSteps, steps * weights.count <= wheelWork else {
            return none
        }
        return RoundRobinWheel(weights: weights.map { Int($0) })
    }

    /// Hashes of the names, all different although a name may stand there twice.
    private static func identities(_ instances: [Instance]) -> [UInt64] {
        var seen: [String: UInt64] = [:]
        return instances.map { instance in
            let times = seen[instance.name, default: 0]
            seen[instance.name] = times + 1
            let name = Array(instance.name.utf8)
            return HashKey(name.span.bytes).bits &+ times &* 0x9e37_79b9_7f4a_7c15
        }
    }
}
