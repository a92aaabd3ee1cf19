import Admin
import Health
import Primitives
import Resilience
import Telemetry
import Upstream

/// A line of the log about a service: `warn` when something got worse, `info` when it got better.
///
/// The lines of an instance that goes back and forth are alike word for word, but for the length of an ejection: so
/// `RepeatedLines` collapses them.
struct ServiceEventLine {
    let level: LogLevel
    let message: String
    let values: KeyValuePairs<String, LogValue>

    /// - Parameter history: what was heard before.
    static func lines(for event: ServiceEvent, _ history: ServiceHistory) -> [ServiceEventLine] {
        switch event {
        case .breaker(let service, let route, let transition): [breaker(service, route, transition)]
        case .health(let key, let change):
            change.isFlapping ? [health(key, change, history), flapping(key)] : [health(key, change, history)]
        case .ejected(let key, let cause, let until, let at): [ejected(key, cause, until.since(at))]
        case .returned(let key):
            [ServiceEventLine(level: .info, message: "instance back after its ejection", values: names(key))]
        case .checked(let key, .failed(let fault), _): [checkFailed(key, fault)]
        case .checked: []
        }
    }

    private static func names(_ key: InstanceState.Key) -> KeyValuePairs<String, LogValue> {
        ["service": .string(key.service), "instance": .string(key.address)]
    }

    private static func breaker(
        _ service: String, _ route: String?, _ transition: CircuitBreaker.Transition
    ) -> ServiceEventLine {
        let (level, message): (LogLevel, String) =
            switch transition.to {
            case .closed: (.info, "circuit breaker closed")
            case .halfOpen: (.info, "circuit breaker half open")
            case .open: (.warn, "circuit breaker opened")
            }
        let from = LogValue.string("\(transition.from.name)")
        let to = LogValue.string("\(transition.to.name)")
        let reason = LogValue.string("\(transition.reason.name)")
        guard let route else {
            return ServiceEventLine(
                level: level, message: message, values: ["service": .string(service), "from": from, "to": to, "reason": reason])
        }
        return ServiceEventLine(
            level: level, message: message,
            values: ["service": .string(service), "route": .string(route), "from": from, "to": to, "reason": reason])
    }

    private static func health(
        _ key: InstanceState.Key, _ change: HealthChange, _ history: ServiceHistory
    ) -> ServiceEventLine {
        let level: LogLevel = burden(change.to) > burden(change.from) ? .warn : .info
        let message =
            switch change.to {
            case .unknown: "instance on trial"
            case .healthy: "instance healthy"
            case .degraded: "instance degraded"
            case .failed: "instance failed"
            }
        let from = LogValue.string("\(change.from.name)")
        let to = LogValue.string("\(change.to.name)")
        let reason = LogValue.string("\(change.reason.name)")
        if change.reason == .checksFailed, case .failed(let fault)? = history.check(of: key)?.verdict {
            return ServiceEventLine(
                level: level, message: message,
                values: [
                    "service": .string(key.service), "instance": .string(key.address), "from": from, "to": to, "reason": reason,
                    "check": .string("\(fault.name)"),
                ])
        }
        return ServiceEventLine(
            level: level, message: message,
            values: [
                "service": .string(key.service), "instance": .string(key.address), "from": from, "to": to, "reason": reason,
            ])
    }

    /// The greater, the less traffic it gets.
    private static func burden(_ phase: InstanceHealth.Phase) -> Int {
        switch phase {
        case .healthy: 0
        case .degraded: 1
        case .unknown: 2
        case .failed: 3
        }
    }

    private static func flapping(_ key: InstanceState.Key) -> ServiceEventLine {
        ServiceEventLine(
            level: .warn, message: "instance flaps: it takes more passing checks to come back, or longer until its trial",
            values: names(key))
    }

    private static func ejected(
        _ key: InstanceState.Key, _ cause: OutlierDetector.Cause, _ span: TimeAmount
    ) -> ServiceEventLine {
        ServiceEventLine(
            level: .warn, message: "instance ejected",
            values: [
                "service": .string(key.service), "instance": .string(key.address), "reason": .string("\(cause.name)"),
                "seconds": .integer(Int64(clamping: span.nanoseconds / 1_000_000_000)),
            ])
    }

    private static func checkFailed(_ key: InstanceState.Key, _ fault: CheckJudge.Fault) -> ServiceEventLine {
        ServiceEventLine(
            level: .debug, message: "check failed",
            values: [
                "service": .string(key.service), "instance": .string(key.address), "reason": .string("\(fault.name)"),
            ])
    }
}
