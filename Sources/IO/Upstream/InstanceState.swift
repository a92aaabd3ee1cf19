import Pooling
import Primitives
import Reactor
import Synchronization

/// What the process knows of one instance, whichever worker and whichever configuration asks: its addresses and how many
/// connections to it are open. Lives from the first configuration that names it to the last.
public final class InstanceState: Sendable {
    /// Service and address: an instance of two services is two.
    public struct Key: Hashable, Sendable {
        public var service: String
        public var address: String

        public init(service: String, address: String) {
            self.service = service
            self.address = address
        }
    }

    public let key: Key
    public let slots: ConnectionSlots
    private let addresses: Mutex<[SocketAddress]>
    /// Counts the changes of `addresses`, so that a worker looks only when there was one.
    public let addressVersion = Atomic<Int>(0)

    public init(key: Key, maxConnections: Int, addresses: [SocketAddress]) {
        self.key = key
        slots = ConnectionSlots(limit: maxConnections)
        self.addresses = Mutex(addresses)
    }

    public func currentAddresses() -> [SocketAddress] { addresses.withLock { $0 } }

    /// A look-up's answer; an empty one keeps the last good.
    /// - Returns: whether anything changed.
    @discardableResult
    public func setAddresses(_ found: [SocketAddress]) -> Bool {
        guard !found.isEmpty else { return false }
        let changed = addresses.withLock { held in
            guard Set(held) != Set(found) else { return false }
            held = found
            return true
        }
        if changed { addressVersion.add(1, ordering: .releasing) }
        return changed
    }
}

/// What the workers share of one service: whose turn it is, and how many requests wait.
public final class ServiceState: Sendable {
    public let name: String
    private let turn = Atomic<UInt64>(0)
    private let waiting = Atomic<Int>(0)

    public init(name: String) { self.name = name }

    /// The next step of the round robin over the whole process.
    public func nextTurn() -> UInt64 { turn.wrappingAdd(1, ordering: .relaxed).oldValue }

    public var waitingCount: Int { waiting.load(ordering: .relaxed) }

    /// Counts a request into the queue, unless it is full.
    public func enterQueue(limit: Int) -> Bool {
        if waiting.add(1, ordering: .relaxed).newValue > limit {
            waiting.subtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    public func leaveQueue() { waiting.subtract(1, ordering: .relaxed) }
}
