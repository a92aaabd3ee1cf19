import Primitives

/// Whether, when and where a request is tried again after a try that failed.
///
/// The order of the questions: may it be repeated at all; is there a try left; does `retry_on` want it; is there time. The
/// budget is asked last, by the caller, since only a retry that will happen may cost.
public struct RetryPolicy: Sendable, Hashable {
    /// Tries after the first.
    public var retriesMax = 2
    public var conditions = RetryConditions.usual
    /// Statuses that `retry_on` names by number.
    public var statuses: [UInt16] = []
    /// The most that the first wait can be; it doubles with every retry.
    public var backoffBase = TimeAmount.milliseconds(25)
    public var backoffMax = TimeAmount.milliseconds(250)
    /// A backend that asks for a longer wait gets none: its response is passed on.
    public var retryAfterMax = TimeAmount.seconds(10)
    /// How long one try may take; `forever` leaves it to the service's timeouts.
    public var perTryTimeout = TimeAmount.forever

    public init() {}

    public enum Verdict: Sendable, Hashable {
        case retry(Retry)
        case giveUp(Reason)
    }

    public struct Retry: Sendable, Hashable {
        /// The wait before it; zero for at once.
        public let after: TimeAmount
        public let connection: Connection
        /// Whether `RetryBudget.withdraw` is to be asked, and the retry counts in `retriesDone`.
        public let costsBudget: Bool
    }

    public enum Connection: Sendable, Hashable {
        /// To an instance that has not been tried, while there is one.
        case otherInstance
        /// To any instance, on a connection that is opened for it: kept ones may all have gone the same way.
        case fresh
    }

    public enum Reason: Sendable, Hashable {
        /// The client has part of a response.
        case responseBegan
        /// It may have been processed, and twice would be once too often; or its body is gone.
        case notSafe
        /// `retry_on` does not name this failure.
        case notWanted
        case attemptsSpent
        /// The wait, or what the backend asked for, is longer than the time that is left.
        case noTimeLeft
    }

    public func verdict(on failed: FailedTry, random: inout RandomSource) -> Verdict {
        guard !failed.responseBegan else { return .giveUp(.responseBegan) }
        guard failed.isSafe else { return .giveUp(.notSafe) }
        if failed.isStaleConnection, !failed.staleRetryDone, conditions.contains(.staleConnection) {
            guard failed.remaining > .zero else { return .giveUp(.noTimeLeft) }
            return .retry(Retry(after: .zero, connection: .fresh, costsBudget: false))
        }
        guard wants(failed) else { return .giveUp(.notWanted) }
        // The backend has said that it did nothing: as often as not it closes the connection in order, under many requests at once.
        if failed.failure == .streamRefused, !failed.staleRetryDone, retriesMax > 0, failed.remaining > .zero {
            return .retry(Retry(after: .zero, connection: .fresh, costsBudget: false))
        }
        // No backend has worked on it, and each instance is tried once: that is a search, and no load that a budget must bound.
        if failed.sent == .nothing, failed.failure != .timedOut, failed.hasOtherInstance, retriesMax > 0,
            !failed.isRetriedElsewhere, failed.remaining > .zero
        {
            return .retry(Retry(after: .zero, connection: .otherInstance, costsBudget: false))
        }
        guard failed.retriesDone < retriesMax, !failed.isRetriedElsewhere else { return .giveUp(.attemptsSpent) }
        var wait = backoff(after: failed, random: &random)
        if let asked = failed.retryAfter {
            guard asked <= retryAfterMax else { return .giveUp(.noTimeLeft) }
            wait = max(wait, asked)
        }
        guard wait < failed.remaining else { return .giveUp(.noTimeLeft) }
        return .retry(Retry(after: wait, connection: .otherInstance, costsBudget: true))
    }

    private func wants(_ failed: FailedTry) -> Bool {
        if case .status(let status) = failed.failure, statuses.contains(status) { return true }
        // Where it was, nothing was written: like a connection that could not be made.
        if failed.sent == .nothing, failed.failure != .timedOut, conditions.contains(.connectFailure) { return true }
        return !conditions.isDisjoint(with: failed.conditions)
    }

    /// Full jitter: anything from zero to a bound that doubles.
    private func backoff(after failed: FailedTry, random: inout RandomSource) -> TimeAmount {
        let factor = UInt64(1) << UInt64(min(max(0, failed.retriesDone), 20))
        let bound = min(TimeAmount.saturating(backoffBase, times: factor), backoffMax)
        return TimeAmount(nanoseconds: random.below(bound.nanoseconds == .max ? .max : bound.nanoseconds + 1))
    }
}
