import Primitives

/// Takes single instances of a service out for a while when they alone fail, whatever their checks say.
///
/// An instance is out for 30 s, then 60 s, and so on up to 300 s, each less up to 10 %; each 30 s in service without a further
/// ejection take one step back. At most half of a service is out, and never the last instance that takes traffic.
///
/// A passing check brings an instance back only if one has failed since the ejection: checks that
/// passed all along while requests failed have shown that they do not see the fault.
public struct OutlierDetector: Sendable, Hashable {
    public struct Policy: Sendable, Hashable {
        /// Server errors in a row.
        public var serverErrors = 5
        /// Connects, timeouts or broken connections in a row.
        public var unreachable = 3
        public var ejection = TimeAmount.seconds(30)
        public var ejectionMax = TimeAmount.seconds(300)
        public var ejectedMaxPercent = 50

        public init() {}
    }

    public enum Cause: Sendable, Hashable {
        case serverErrors, unreachable

        public var name: StaticString {
            switch self {
            case .serverErrors: "server_errors"
            case .unreachable: "unreachable"
            }
        }
    }

    public enum Change: Sendable, Hashable {
        case ejected(instance: Int, cause: Cause, until: Instant)
        case returned(instance: Int)
    }

    private enum Member: Sendable, Hashable {
        /// Takes traffic, as far as this goes. Becomes `ejected`.
        case inService(since: Instant?, serverErrors: Int, unreachable: Int, ejections: Int)
        /// Becomes `inService`, by time or by a check.
        case ejected(until: Instant, ejections: Int, checkFailed: Bool)
    }

    public var policy: Policy
    private var members: [Member]

    public init(policy: Policy, instances: Int) {
        self.policy = policy
        members = Array(repeating: Self.new, count: instances)
    }

    private static var new: Member { .inService(since: nil, serverErrors: 0, unreachable: 0, ejections: 0) }

    public var count: Int { members.count }

    /// Until when an instance is out; nil while it is not.
    public func ejectedUntil(_ instance: Int) -> Instant? {
        if case .ejected(let until, _, _) = members[instance] { until } else { nil }
    }

    public var ejectedCount: Int { members.count(where: { if case .ejected = $0 { true } else { false } }) }

    /// In service without a failure since the last success: a further success changes nothing.
    public func isClean(_ instance: Int) -> Bool {
        if case .inService(_, 0, 0, _) = members[instance] { true } else { false }
    }

    /// A try to an instance ended.
    /// - Parameters:
    ///   - duration: of the try; what began before the instance came back is no evidence.
    ///   - usable: instances of the service that take traffic now, this one among them.
    public mutating func record(
        _ outcome: CallOutcome, instance: Int, duration: TimeAmount, usable: Int, at now: Instant, random: inout RandomSource
    ) -> Change? {
        guard case .inService(let since, var serverErrors, var unreachable, let ejections) = members[instance] else { return nil }
        if let since, since + duration > now { return nil }
        switch outcome {
        case .stale, .clientGone, .givenUp: return nil
        case .answered: (serverErrors, unreachable) = (0, 0)
        case .serverError: (serverErrors, unreachable) = (serverErrors + 1, 0)
        case .connectFailed, .timedOut, .broken: (serverErrors, unreachable) = (0, unreachable + 1)
        }
        members[instance] = .inService(since: since, serverErrors: serverErrors, unreachable: unreachable, ejections: ejections)
        if unreachable >= policy.unreachable, mayEject(usable) {
            return eject(instance, .unreachable, since: since, ejections, at: now, &random)
        }
        if serverErrors >= policy.serverErrors, mayEject(usable) {
            return eject(instance, .serverErrors, since: since, ejections, at: now, &random)
        }
        return nil
    }

    /// Something else has taken the instance out: its failures in a row count no more.
    public mutating func forgive(_ instance: Int) {
        guard case .inService(let since, _, _, let ejections) = members[instance] else { return }
        members[instance] = .inService(since: since, serverErrors: 0, unreachable: 0, ejections: ejections)
    }

    /// A check of an instance passed as often as brings one back.
    public mutating func checksPassed(_ instance: Int, at now: Instant) -> Change? {
        guard case .ejected(_, let ejections, true) = members[instance] else { return nil }
        return comeBack(instance, ejections, at: now)
    }

    public mutating func checkFailed(_ instance: Int) {
        guard case .ejected(let until, let ejections, _) = members[instance] else { return }
        members[instance] = .ejected(until: until, ejections: ejections, checkFailed: true)
    }

    /// Time has passed: returns instances whose ejection is over.
    public mutating func tick(at now: Instant) -> [Change] {
        var changes: [Change] = []
        for instance in members.indices {
            guard case .ejected(let until, let ejections, _) = members[instance], now >= until else { continue }
            changes.append(comeBack(instance, ejections, at: now))
        }
        return changes
    }

    /// A reload changed the instances.
    /// - Parameter previous: for each instance its index until now, nil for a new one.
    public mutating func adopt(previous: [Int?]) {
        members = previous.map { $0.map { members[$0] } ?? Self.new }
    }

    private func mayEject(_ usable: Int) -> Bool {
        usable > 1 && (ejectedCount + 1) * 100 <= members.count * policy.ejectedMaxPercent
    }

    private mutating func eject(
        _ instance: Int, _ cause: Cause, since: Instant?, _ before: Int, at now: Instant, _ random: inout RandomSource
    ) -> Change {
        let base = max(1, policy.ejection.nanoseconds)
        let stepsBack = since.map { now.since($0).nanoseconds / base } ?? 0
        let ejections = max(0, before - Int(clamping: stepsBack)) + 1
        let span = min(
            TimeAmount.saturating(policy.ejection, times: UInt64(ejections)), max(policy.ejection, policy.ejectionMax)
        ).nanoseconds
        let until = now + TimeAmount(nanoseconds: span - random.below(span / 10 + 1))
        members[instance] = .ejected(until: until, ejections: ejections, checkFailed: false)
        return .ejected(instance: instance, cause: cause, until: until)
    }

    private mutating func comeBack(_ instance: Int, _ ejections: Int, at now: Instant) -> Change {
        members[instance] = .inService(since: now, serverErrors: 0, unreachable: 0, ejections: ejections)
        return .returned(instance: instance)
    }
}
