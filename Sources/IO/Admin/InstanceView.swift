import Configuration
import Health
import Primitives
import Proxy
import Upstream

/// The words for the state of a service or an instance (behaviour of health checks).
enum HealthState: String {
    case healthy = "HEALTHY"
    case degraded = "DEGRADED"
    case failed = "FAILED"
    case unknown = "UNKNOWN"
}

/// An instance at one moment, in the words of the reports.
struct InstanceView {
    /// How it is named everywhere.
    let id: String
    let url: String
    let weight: Int
    let version: String
    let state: HealthState
    /// An administrator has taken it out.
    let isDraining: Bool
    /// It is out for a while since its answers were bad.
    let isEjected: Bool
    /// Its own state lets requests go to it, whatever its weight.
    let isUsable: Bool
    let inFlight: Int
    let connections: Int
    private let check: (result: String, time: Timestamp)?
    private let change: (change: HealthChange, time: Timestamp)?

    init(_ configuration: InstanceConfiguration, _ instance: InstanceState, at moment: ReportMoment) {
        id = configuration.id
        url = configuration.url
        weight = configuration.weight
        version = configuration.version
        let status = instance.load.status
        let health = instance.health
        let hasAddress = !instance.currentAddresses().isEmpty
        switch health.phase {
        case .failed: state = .failed
        case .unknown: state = .unknown
        // Nobody has been asked: its name was not found so far.
        case .healthy, .degraded: state = !hasAddress ? .unknown : health.phase == .healthy ? .healthy : .degraded
        }
        isDraining = status.isDraining
        isEjected = status.isEjected
        isUsable = status.takesRequests && hasAddress
        inFlight = max(0, instance.load.inFlight)
        connections = instance.slots.openCount
        check = moment.history.check(of: instance.key).map { check in
            let result =
                switch check.verdict {
                case .passed: "passed"
                case .failed(let fault): "\(fault.name)"
                }
            return (result, moment.time(of: check.at))
        }
        change = moment.history.change(of: instance.key).map { ($0, moment.time(of: $0.at)) }
    }

    var checkedAt: Timestamp? { check?.time }

    /// New requests go to it.
    var takesRequests: Bool { isUsable && weight > 0 }

    /// For people: `HEALTHY, draining`.
    var word: String { state.rawValue + (isDraining ? ", draining" : "") + (isEjected ? ", ejected" : "") }

    /// For people: `passed`, or what was wrong.
    var checkWord: String { check?.result ?? "-" }

    var json: JSONValue {
        .object([
            ("id", .string(id)), ("url", .string(url)), ("weight", .number(weight)),
            ("version", version.isEmpty ? .null : .string(version)), ("status", .string(state.rawValue)),
            ("draining", .bool(isDraining)), ("ejected", .bool(isEjected)), ("takes_requests", .bool(takesRequests)),
            ("in_flight", .number(inFlight)), ("connections", .number(connections)),
            ("last_health_check", checkedAt.map { .string($0.text) } ?? .null),
            ("last_health_check_result", check.map { .string($0.result) } ?? .null),
            (
                "last_change",
                change.map {
                    .object([
                        ("at", .string($0.time.text)), ("from", .string("\($0.change.from.name)".uppercased())),
                        ("to", .string("\($0.change.to.name)".uppercased())), ("reason", .string("\($0.change.reason.name)")),
                    ])
                } ?? .null
            ),
        ])
    }
}

extension InstanceConfiguration {
    /// As the file writes it.
    var url: String {
        switch address {
        case .ip, .name: isSecure ? id : "http://\(id)"
        case .unix: id
        }
    }
}
