import Balancing
import Primitives
import Resilience
import Synchronization

/// What the workers share of one service: whose turn it is, how many requests wait, and what became of the last ones. Lives from
/// the first configuration that names it to the last.
public final class ServiceState: Sendable {
    public let name: String
    public let load: ServiceLoad
    public let breaker: NamedBreaker
    public let budget: SharedRetryBudget
    public let outliers: SharedOutlierDetector
    public let concurrency: SharedConcurrencyLimit
    private let waiting = Atomic<Int>(0)

    /// - Parameters:
    ///   - firstTurn: where its round robin begins.
    ///   - workers: how many threads serve requests.
    public init(name: String, firstTurn: UInt64 = 0, workers: Int, at now: Instant) {
        self.name = name
        load = ServiceLoad(firstTurn: firstTurn)
        breaker = NamedBreaker(service: name, route: nil, policy: BreakerPolicy(), workers: workers)
        budget = SharedRetryBudget(policy: RetryBudget.Policy(), workers: workers)
        outliers = SharedOutlierDetector()
        concurrency = SharedConcurrencyLimit(policy: ConcurrencyLimit.Policy(), at: now)
    }

    public var waitingCount: Int { waiting.load(ordering: .relaxed) }

    /// Counts a request into the queue, unless it is full.
    public func enterQueue(limit: Int) -> Bool {
        if waiting.add(1, ordering: .relaxed).newValue > limit {
            waiting.subtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    public func leaveQueue() { waiting.subtract(1, ordering: .relaxed) }
}

/// A circuit breaker with what it is called: that of a service, or of one route that asked for its own.
public final class NamedBreaker: Sendable {
    public let service: String
    public let route: String?
    public let shared: SharedCircuitBreaker

    public init(service: String, route: String?, policy: BreakerPolicy, workers: Int) {
        self.service = service
        self.route = route
        shared = SharedCircuitBreaker(policy: policy, workers: workers)
    }
}
