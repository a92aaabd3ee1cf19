import Primitives

/// Decides which requests are turned away while one event loop has more to do than it can.
///
/// A turn of the loop that takes long is time that every request waited. Less important requests go first: `bulk` after two turns in
/// a row of more than 50 ms, the ordinary ones after three of more than 200 ms, `critical` ones never. One long turn says little: the
/// thread may have been held up by another one. A loop with too much to do finds as much again when it comes round. What was
/// noticed holds for a second, so that it is not the luck of the turn who is served. Scarce descriptors and memory are told from
/// outside.
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

    /// Turns in a row that were too long, for either.
    @usableFromInline var slowTurns = 0
    private var verySlowTurns = 0
    private var bulkUntil = Instant(nanoseconds: 0)
    private var standardUntil = Instant(nanoseconds: 0)

    public init() {}

    /// A turn of the event loop has taken this long.
    @inlinable
    public mutating func turned(_ duration: TimeAmount, at now: Instant) {
        if duration > Self.bulkLag { wasSlow(duration, now) } else if slowTurns > 0 { slowTurns = 0 }
    }

    @usableFromInline
    mutating func wasSlow(_ duration: TimeAmount, _ now: Instant) {
        if slowTurns == 0 { verySlowTurns = 0 }
        slowTurns += 1
        verySlowTurns = duration > Self.standardLag ? verySlowTurns + 1 : 0
        if slowTurns >= 2 { bulkUntil = now + Self.memory }
        if verySlowTurns >= 3 { standardUntil = now + Self.memory }
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
