import HTTPMessages
import Health
import Resilience

/// The labels of one series, packed into 64 bits, and taken apart again when they are written out.
enum SeriesKey {
    // listener 8 | route 20 | service 16 | method 4 | status 10 | reason 6
    @inline(__always)
    static func request(
        _ listener: Label, _ route: Label, _ service: Label, _ method: Method, _ status: UInt16, _ reason: Reason
    ) -> UInt64 {
        let names = UInt64(listener.id & 0xff) << 56 | UInt64(route.id & 0xf_ffff) << 36 | UInt64(service.id & 0xffff) << 20
        return names | UInt64(method.rawValue & 15) << 16 | UInt64(status & 0x3ff) << 6 | UInt64(reason.rawValue & 63)
    }

    // route 20 | service 16 | method 4 | class 3
    @inline(__always)
    static func duration(_ route: Label, _ service: Label, _ method: Method, _ status: UInt16) -> UInt64 {
        UInt64(route.id & 0xf_ffff) << 36 | UInt64(service.id & 0xffff) << 20 | UInt64(method.rawValue & 15) << 16
            | statusClass(status)
    }

    // service 16 | instance 20 | class 3 | outcome 6
    @inline(__always)
    static func upstream(_ service: Label, _ instance: Label, _ status: UInt16, _ outcome: Reason) -> UInt64 {
        UInt64(service.id & 0xffff) << 40 | UInt64(instance.id & 0xf_ffff) << 20 | statusClass(status) << 6
            | UInt64(outcome.rawValue & 63)
    }

    // service 16 | reason 6 | result 2
    @inline(__always)
    static func retry(_ service: Label, _ reason: Reason, _ result: RetryResult) -> UInt64 {
        UInt64(service.id & 0xffff) << 40 | UInt64(reason.rawValue & 63) << 2 | UInt64(result.rawValue)
    }

    // service 16 | passed 1
    static func check(_ service: UInt32, passed: Bool) -> UInt64 { UInt64(service) << 40 | (passed ? 1 : 0) }

    // route 20 | service 16 | from 2 | to 2
    static func breaker(
        _ route: UInt32, _ service: UInt32, from: CircuitBreaker.Phase, to: CircuitBreaker.Phase
    ) -> UInt64 {
        UInt64(route) << 36 | UInt64(service) << 20 | UInt64(from.rawValue & 3) << 2 | UInt64(to.rawValue & 3)
    }

    // service 16 | instance 20 | to 2 | reason 6
    static func health(
        _ service: UInt32, _ instance: UInt32, to: InstanceHealth.Phase, _ reason: HealthChange.Reason
    ) -> UInt64 {
        UInt64(service) << 40 | UInt64(instance) << 20 | UInt64(to.rawValue & 3) << 6 | UInt64(reason.rawValue & 63)
    }

    // service 16 | cause 1
    static func ejection(_ service: UInt32, _ cause: OutlierDetector.Cause) -> UInt64 {
        let bit: UInt64 =
            switch cause {
            case .serverErrors: 0
            case .unreachable: 1
            }
        return UInt64(service) << 40 | bit
    }

    // listener or service 16 | fault 8
    @inline(__always)
    static func fault(_ owner: Label, _ fault: UInt8) -> UInt64 { UInt64(owner.id & 0xffff) << 40 | UInt64(fault) }

    /// 1 to 5; 0 for no status, and for one outside of them.
    @inline(__always)
    private static func statusClass(_ status: UInt16) -> UInt64 {
        status >= 100 && status < 600 ? UInt64(status / 100) : 0
    }

    // For each key, where a label stands in it.
    static func requestListener(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 56) }
    static func route(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 36 & 0xf_ffff) }
    static func service(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 20 & 0xffff) }
    static func method(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key >> 16 & 15) }
    static func status(_ key: UInt64) -> UInt64 { key >> 6 & 0x3ff }
    static func reason(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key & 63) }
    static func durationClass(_ key: UInt64) -> Int { Int(key & 7) }
    static func upstreamService(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 40 & 0xffff) }
    static func upstreamInstance(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 20 & 0xf_ffff) }
    static func upstreamClass(_ key: UInt64) -> Int { Int(key >> 6 & 7) }
    static func retryReason(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key >> 2 & 63) }
    static func retryResult(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key & 3) }

    static func faultOwner(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 40 & 0xffff) }
    static func fault(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key & 0xff) }
    static func checkPassed(_ key: UInt64) -> Bool { key & 1 == 1 }
    static func breakerFrom(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key >> 2 & 3) }
    static func breakerTo(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key & 3) }
    static func healthTo(_ key: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: key >> 6 & 3) }
    static func ejectionCause(_ key: UInt64) -> OutlierDetector.Cause { key & 1 == 0 ? .serverErrors : .unreachable }

    // Whether all names in a key are still in use.
    static func isKnownRequest(_ key: UInt64, _ known: KnownLabels) -> Bool {
        known.contains(requestListener(key), .listener) && isKnownDuration(key, known)
    }

    static func isKnownDuration(_ key: UInt64, _ known: KnownLabels) -> Bool {
        known.contains(route(key), .route) && known.contains(service(key), .service)
    }

    static func isKnownUpstream(_ key: UInt64, _ known: KnownLabels) -> Bool {
        known.contains(upstreamService(key), .service) && known.contains(upstreamInstance(key), .instance)
    }
}
