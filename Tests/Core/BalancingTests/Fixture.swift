import Balancing
import Primitives

/// A service with some instances, and a balancer for each of some workers.
struct Fixture {
    let service: ServiceLoad
    let loads: [InstanceLoad]
    var workers: [Balancer]
    var random = RandomSource(seed: 42)

    init(_ policy: Balancer.Policy, weights: [Int], workers count: Int = 1, names: [String]? = nil) {
        let service = ServiceLoad()
        self.service = service
        let loads = weights.map { _ in InstanceLoad(service: service, status: InstanceStatus(.healthy)) }
        self.loads = loads
        let names = names ?? weights.indices.map { "10.0.\($0 / 250).\($0 % 250):8080" }
        let instances = weights.indices.map { Balancer.Instance(name: names[$0], weight: weights[$0], load: loads[$0]) }
        workers = [Balancer](repeating: Balancer(policy, instances: instances, service: service), count: count)
    }

    init(_ algorithm: Balancer.Algorithm, weights: [Int], workers count: Int = 1) {
        self.init(Balancer.Policy(algorithm), weights: weights, workers: count)
    }

    mutating func pick(
        _ request: Balancer.Request = Balancer.Request(), worker: Int = 0, excluding tried: [Int] = [],
        at now: Instant = Instant(nanoseconds: 1_000_000_000_000)
    ) -> Int? {
        workers[worker].pick(request, excluding: TriedInstances(tried), random: &random, at: now)
    }

    mutating func pick(key: UInt64) -> Int? { pick(Balancer.Request(key: HashKey(bits: key))) }

    /// How many of `picks` each instance gets, the workers taking turns at random.
    mutating func counts(_ picks: Int, at now: Instant = Instant(nanoseconds: 1_000_000_000_000)) -> [Int] {
        var counts = [Int](repeating: 0, count: loads.count)
        for _ in 0..<picks {
            let worker = Int.random(in: workers.indices, using: &random)
            guard let instance = pick(worker: worker, at: now) else { continue }
            counts[instance] += 1
        }
        return counts
    }

    /// Where each of `keys` goes; -1 for nowhere.
    mutating func owners(_ keys: Int) -> [Int] { (0..<UInt64(keys)).map { pick(key: $0) ?? -1 } }
}

extension TriedInstances {
    init(_ instances: [Int]) {
        self.init()
        for instance in instances { add(instance) }
    }
}

extension Instant {
    static func seconds(_ n: Double) -> Instant { Instant(nanoseconds: UInt64(n * 1e9)) }
}

/// The largest distance of a count from its share, as a part of the share.
func distance(_ counts: [Int], from weights: [Double]) -> Double {
    let all = Double(counts.reduce(0, +))
    let total = weights.reduce(0, +)
    var most = 0.0
    for (count, weight) in zip(counts, weights) {
        if weight == 0 {
            if count > 0 { return .infinity }
            continue
        }
        let share = all * weight / total
        most = max(most, abs(Double(count) - share) / share)
    }
    return most
}
