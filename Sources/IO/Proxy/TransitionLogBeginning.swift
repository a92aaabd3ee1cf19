import Configuration
import Primitives
import Resilience

/// With what a log of transitions begins: one line for each service, with its instances, their health and the numbers that the
/// specification needs.
///
/// A service is left out when one of its routes has a breaker of its own: the specification has one breaker for a service.
public struct TransitionLogBeginning {
    public let lines: [UInt8]
    public let services: Set<String>

    /// - Parameter snapshot: the configuration that the workers begin with. The log is right for as long as it is in force.
    public init(_ snapshot: GatewaySnapshot) {
        var text = ByteBuffer(capacity: 4096)
        var names: Set<String> = []
        let divided = Set(
            (0..<snapshot.routeCount).compactMap { snapshot.route($0).breaker }.filter { $0.route != nil }.map(\.service))
        for (configured, service) in zip(snapshot.configuration.services, snapshot.services) where !divided.contains(service.name)
        {
            names.insert(service.name)
            text.append(
                "{\"event\":\"begin\",\"service\":\(TransitionLog.quoted(service.name)),\"instances\":{\(Self.instances(service))},"
                    + "\"policy\":{\(Self.policy(configured))}}\n")
        }
        lines = Array(text.unsafeBytes)
        services = names
    }

    private static func instances(_ service: ServiceRuntime) -> String {
        service.instances.map {
            "\(TransitionLog.quoted($0.key.address)):\"\(TransitionLog.word($0.health.phase))\""
        }.joined(separator: ",")
    }

    private static func policy(_ service: ServiceConfiguration) -> String {
        var numbers: [(String, UInt64)] = [
            ("rise", UInt64(clamping: service.health.rise)), ("fall", UInt64(clamping: service.health.fall)),
            ("in_flight_max", UInt64(clamping: service.pool.maxConnections)),
            ("queue_max", UInt64(clamping: service.queue.maxPending)), ("tries", Self.triesMax),
            ("retry_floor", UInt64(clamping: service.retry.budget.floorConcurrent)),
            ("retry_percent", UInt64(clamping: service.retry.budget.sharePermille / 10)),
            ("retry_window_us", service.retry.budget.window.nanoseconds / 1000),
        ]
        if let breaker = service.breaker {
            numbers += [
                ("failures_least", UInt64(clamping: failuresLeast(breaker))),
                ("success_threshold", UInt64(clamping: breaker.successThreshold)),
                ("half_open_max", UInt64(clamping: breaker.halfOpenMax)),
                ("open_timeout_us", breaker.openTimeout.nanoseconds / 1000),
                ("open_timeout_max_us", max(breaker.openTimeoutMax, breaker.openTimeout).nanoseconds / 1000),
            ]
        }
        return numbers.map { "\"\($0)\":\($1)" }.joined(separator: ",")
            + ",\"probe_early\":\(service.breaker?.probeEarly ?? false),\"checks\":\(service.health.hasChecks)"
    }

    /// Leases of one request: nothing but the deadline bounds how often an instance is taken out while the connection is made.
    private static var triesMax: UInt64 { 1000 }

    /// With fewer failures since it closed, the breaker cannot open.
    private static func failuresLeast(_ policy: BreakerPolicy) -> Int {
        if policy.slowCallDuration != nil { return 0 }
        let byRate = (max(0, policy.errorRatePermille) * max(0, policy.minimumRequests) + 999) / 1000
        return max(1, min(policy.failureThreshold, byRate))
    }
}
