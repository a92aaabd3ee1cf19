import Primitives

/// A change of an instance's health, for a log line and a counter.
public struct HealthChange: Sendable, Hashable {
    public enum Reason: UInt8, Sendable, Hashable, CaseIterable {
        case checksPassed, checksFailed, trafficFailed
        case slowTraffic, slowChecks, serverErrors, recovered
        case trialBegan, trialSucceeded, trialFailed

        public var name: StaticString {
            switch self {
            case .checksPassed: "checks_passed"
            case .checksFailed: "checks_failed"
            case .trafficFailed: "traffic_failed"
            case .slowTraffic: "slow_traffic"
            case .slowChecks: "slow_checks"
            case .serverErrors: "server_errors"
            case .recovered: "recovered"
            case .trialBegan: "trial_began"
            case .trialSucceeded: "trial_succeeded"
            case .trialFailed: "trial_failed"
            }
        }
    }

    public let from: InstanceHealth.Phase
    public let to: InstanceHealth.Phase
    public let reason: Reason
    /// This change made it harder to come back: the instance is flapping.
    public let isFlapping: Bool
    public let at: Instant
}
