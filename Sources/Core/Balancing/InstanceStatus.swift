import Primitives

/// Whether an instance takes requests, in one word, so that it is read and changed at once.
///
/// Bits 0 and 1 are the health, bit 2 an ejection, bit 3 a drain, bit 4 a trial. From bit 8 on stands when its slow start began,
/// in units of 256 ns; 0 is no slow start.
public struct InstanceStatus: Hashable, Sendable {
    public enum Health: UInt8, Sendable {
        /// No evidence yet: it takes no requests.
        case unknown = 0
        case healthy = 1
        /// It takes a reduced share.
        case degraded = 2
        case failed = 3
    }

    public private(set) var word: UInt64

    public init(word: UInt64) { self.word = word }

    public init(_ health: Health, slowStartSince start: Instant? = nil) {
        word = UInt64(health.rawValue)
        slowStartSince = start
    }

    public var health: Health {
        get {
            switch word & 3 {
            case 0: .unknown
            case 1: .healthy
            case 2: .degraded
            default: .failed
            }
        }
        set { word = word & ~3 | UInt64(newValue.rawValue) }
    }

    /// Taken out for a while because its answers were bad.
    public var isEjected: Bool {
        get { word & 4 != 0 }
        set { word = newValue ? word | 4 : word & ~4 }
    }

    /// Taken out by an operator.
    public var isDraining: Bool {
        get { word & 8 != 0 }
        set { word = newValue ? word | 8 : word & ~8 }
    }

    /// It has failed, and one request at a time finds out whether it still does.
    public var isOnTrial: Bool {
        get { word & 16 != 0 }
        set { word = newValue ? word | 16 : word & ~16 }
    }

    public var slowStartSince: Instant? {
        get { word >> 8 == 0 ? nil : Instant(nanoseconds: word & ~255) }
        set { word = word & 255 | (newValue.map { max($0.nanoseconds, 256) & ~255 } ?? 0) }
    }

    /// Healthy or degraded, and neither ejected nor draining.
    @inlinable
    public var takesRequests: Bool { (word & 15) &- 1 < 2 }
}
