import Primitives

/// How many retries a service may get, as a share of its requests, so that retries cannot multiply the load of a service that
/// fails.
///
/// A retry is allowed while the retries of the last 10 s stay within the share of the requests of the same time; or, for services
/// with few requests, while less than `floorConcurrent` run and less than `floorPerSecond` began in this second. The second
/// condition is what keeps the floor from being a budget of its own: retries that fail at once would make a floor of three at a
/// time thousands a second. A share of 0 allows none, not even the floor.
///
/// For one thread; `SharedRetryBudget` is the same for many.
public struct RetryBudget: Sendable, Hashable {
    public struct Policy: Sendable, Hashable {
        /// In 1/1000.
        public var sharePermille = 200
        public var floorConcurrent = 3
        public var floorPerSecond = 10
        public var window = TimeAmount.seconds(10)

        public init() {}
    }

    public private(set) var policy: Policy
    private var requests: WindowCounter
    private var retries: WindowCounter
    public private(set) var inFlight = 0

    public init(policy: Policy) {
        self.policy = policy
        requests = WindowCounter(window: policy.window)
        retries = requests
    }

    /// A request began, whatever becomes of it; its retries are not requests.
    public mutating func requestBegan(at now: Instant) { requests.add(at: now) }

    /// Takes one retry out of the budget, if there is one. Whoever got it calls `retryEnded` once.
    /// - Parameter requestsElsewhere: requests of the window that were counted outside.
    public mutating func withdraw(at now: Instant, requestsElsewhere: UInt64 = 0) -> Bool {
        guard policy.sharePermille > 0 else { return false }
        let used = retries.sum(at: now)
        let withinShare = (used + 1) * 1000 <= (requests.sum(at: now) + requestsElsewhere) * UInt64(policy.sharePermille)
        guard withinShare || floorAllows(at: now) else { return false }
        retries.add(at: now)
        inFlight += 1
        return true
    }

    /// The retry has an outcome, or was not sent after all.
    public mutating func retryEnded() { inFlight = max(0, inFlight - 1) }

    /// What is left of the share, in 1/1000 of it.
    public func remainingPermille(at now: Instant, requestsElsewhere: UInt64 = 0) -> Int {
        let share = (requests.sum(at: now) + requestsElsewhere) * UInt64(max(0, policy.sharePermille))
        guard share > 0 else { return policy.sharePermille > 0 && floorAllows(at: now) ? 1000 : 0 }
        let used = retries.sum(at: now) * 1000
        return used >= share ? 0 : Int((share - used) * 1000 / share)
    }

    /// A reload changed the numbers; a window of another length starts empty.
    public mutating func adopt(_ new: Policy) {
        if new.window != policy.window {
            requests = WindowCounter(window: new.window)
            retries = requests
        }
        policy = new
    }

    private func floorAllows(at now: Instant) -> Bool {
        guard inFlight < policy.floorConcurrent else { return false }
        // A bucket is a tenth of the window: the floor of a second, for as long as a bucket is.
        let perBucket = UInt64(max(1, policy.floorPerSecond)) * retries.bucket / 1_000_000_000
        return retries.current(at: now) < max(1, perBucket)
    }
}
