import Primitives

/// One worker's connections to one instance: which are idle, and whether one may go back after use.
///
/// Pure: the driver opens and closes the connections and says what became of them. The number that may be open in all
/// is the process's business (`ConnectionSlots`).
public struct ConnectionPool: Sendable {
    /// A connection's index in the driver's slab.
    public typealias ConnectionIndex = Int32

    public struct Policy: Sendable, Equatable {
        /// An idle connection older than this is closed; shorter than the backend's own, or requests race its close.
        public var idleTimeout: TimeAmount
        public var requestsPerConnection: Int

        public init(idleTimeout: TimeAmount, requestsPerConnection: Int) {
            self.idleTimeout = idleTimeout
            self.requestsPerConnection = requestsPerConnection
        }
    }

    public var policy: Policy
    /// Idle connections; the last one was used last and is taken first, so that the rest may age and go.
    private var idle: [ConnectionIndex] = []
    /// Connections that are lent, connecting ones among them.
    public private(set) var lentCount = 0
    /// Its instance is gone from the configuration: nothing is parked any more.
    public private(set) var isRetired = false

    public init(policy: Policy) {
        self.policy = policy
        idle.reserveCapacity(16)
    }

    public var idleCount: Int { idle.count }
    public var openCount: Int { idle.count + lentCount }

    /// Takes the idle connection that was used last; nil when there is none and one has to be opened (`opened`).
    public mutating func lease() -> ConnectionIndex? {
        guard let taken = idle.popLast() else { return nil }
        lentCount += 1
        return taken
    }

    /// A new connection is being opened and is lent from the start.
    public mutating func opened() { lentCount += 1 }

    /// Why a connection cannot serve another request; RFC 9112 §9.3 and §9.6.
    public struct Usage: Sendable {
        /// The response's end was marked by its framing, and has been read; nothing came behind it.
        public var responseEnded: Bool
        public var requestSent: Bool
        /// Neither side said `close`, and the backend speaks HTTP/1.1.
        public var allowsReuse: Bool
        /// How many requests it has served.
        public var requests: Int

        public init(responseEnded: Bool, requestSent: Bool, allowsReuse: Bool, requests: Int) {
            self.responseEnded = responseEnded
            self.requestSent = requestSent
            self.allowsReuse = allowsReuse
            self.requests = requests
        }
    }

    public enum Return: Equatable, Sendable {
        /// It waits for the next request.
        case park
        case close
    }

    /// A lent connection comes back. After `.close` it is no longer counted.
    public mutating func checkIn(_ connection: ConnectionIndex, after usage: Usage) -> Return {
        precondition(lentCount > 0, "more connections came back than were lent")
        lentCount -= 1
        guard usage.responseEnded, usage.requestSent, usage.allowsReuse, !isRetired,
            usage.requests < policy.requestsPerConnection
        else { return .close }
        idle.append(connection)
        return .park
    }

    /// A lent connection failed or was given up.
    public mutating func lentClosed() {
        precondition(lentCount > 0, "more connections were closed than were lent")
        lentCount -= 1
    }

    /// An idle connection was closed by the backend, sent something unasked, or has idled too long.
    /// - Returns: false when it was not idle here.
    public mutating func idleClosed(_ connection: ConnectionIndex) -> Bool {
        guard let at = idle.lastIndex(of: connection) else { return false }
        idle.remove(at: at)
        return true
    }

    /// The instance is gone: hands out the idle connections, to be closed; lent ones close when they come back.
    public mutating func retire() -> [ConnectionIndex] {
        isRetired = true
        return takeIdle()
    }

    /// The instance is back before its last connection was.
    public mutating func revive(policy: Policy) {
        isRetired = false
        self.policy = policy
    }

    /// Hands out all idle connections, to be closed.
    public mutating func takeIdle() -> [ConnectionIndex] {
        let taken = idle
        idle.removeAll(keepingCapacity: true)
        return taken
    }

    /// The idle connection that has waited longest, to be closed in favour of another worker.
    public mutating func takeOldestIdle() -> ConnectionIndex? { idle.isEmpty ? nil : idle.removeFirst() }
}
