import Primitives

/// Decides which requests are turned away while one event loop has more to do than it can.
///
/// A turn of the loop that takes long is time that every request waited. Less important requests go first: `bulk` from 50 ms on,
/// the ordinary ones from 200 ms on, `critical` ones never. What was noticed holds for a second, so that it is not the luck of
/// the turn who is served. Scarce descriptors and memory are told from outside.
public struct LoadShedder: Sendable {
    /// What runs short in the process as a whole.
    public enum Pressure: UInt8, Sendable, Comparable {
        case none
        /// More than nine tenths are in use.
        case high
        /// More than 97 % are.
        case extreme

        /// - Parameter usedPermille: of whatever there is a fixed amount of.
        public init(usedPermille: Int) {
            self = usedPermille > 970 ? .extreme : usedPermille > 900 ? .high : .none
        }

        public static func < (a: Pressure, b: Pressure) -> Bool { a.rawValue < b.rawValue }
    }

    public static var bulkLag: TimeAmount { .milliseconds(50) }
    public static var standardLag: TimeAmount { .milliseconds(200) }
    public static var memory: TimeAmount { .seconds(1) }

    private var bulkUntil = Instant(nanoseconds: 0)
    private var standardUntil = Instant(nanoseconds: 0)

    public init() {}

    /// A turn of the event loop has taken this long.
    @inlinable
    public mutating func turned(_ duration: TimeAmount, at now: Instant) {
        if duration > Self.bulkLag { wasSlow(duration, now) }
    }

    @usableFromInline
    mutating func wasSlow(_ duration: TimeAmount, _ now: Instant) {
        bulkUntil = now + Self.memory
        if duration > Self.standardLag { standardUntil = now + Self.memory }
    }

    /// Whether a request is to be turned away.
    public func sheds(_ priority: RequestPriority, under pressure: Pressure, at now: Instant) -> Bool {
        switch priority {
        case .critical: false
        case .standard: pressure == .extreme || now < standardUntil
        case .bulk: pressure != .none || now < bulkUntil
        }
    }
}
