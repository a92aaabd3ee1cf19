import Primitives
import Synchronization

/// How many client connections there are, in all and for each client address; shared by the workers.
///
/// An address's count is behind one of sixteen locks that are held for one look-up, when a connection comes and when it goes.
public final class ConnectionLimits: Sendable {
    public enum Admission: Equatable, Sendable {
        case admitted
        /// The process holds as many as it may.
        case full
        /// This client holds as many as one may.
        case clientFull
    }

    private final class Shard: Sendable {
        let counts = Mutex<[IPAddress: Int]>([:])
    }

    private let total = Atomic<Int>(0)
    private let limit: Atomic<Int>
    private let shards: [Shard]

    public init(limit: Int) {
        self.limit = Atomic(limit)
        shards = (0..<16).map { _ in Shard() }
    }

    public var count: Int { total.load(ordering: .relaxed) }
    public var isFull: Bool { count >= limit.load(ordering: .relaxed) }

    public func setLimit(_ newLimit: Int) { limit.store(newLimit, ordering: .relaxed) }

    /// Counts a connection in, unless a limit says no.
    public func admit(_ peer: IPAddress, perClient: Int) -> Admission {
        if total.add(1, ordering: .relaxed).newValue > limit.load(ordering: .relaxed) {
            total.subtract(1, ordering: .relaxed)
            return .full
        }
        let key = peer.countingKey
        let admitted = shard(key).counts.withLock { counts in
            let held = counts[key, default: 0]
            guard held < perClient else { return false }
            counts[key] = held + 1
            return true
        }
        if !admitted {
            total.subtract(1, ordering: .relaxed)
            return .clientFull
        }
        return .admitted
    }

    /// Counts a connection that is there already for another client than it seemed to be.
    /// - Returns: whether that client may have it; it is counted either way, until it is released.
    public func move(from old: IPAddress, to new: IPAddress, perClient: Int) -> Bool {
        let oldKey = old.countingKey
        shard(oldKey).counts.withLock { counts in
            if let held = counts[oldKey] { counts[oldKey] = held > 1 ? held - 1 : nil }
        }
        let key = new.countingKey
        return shard(key).counts.withLock { counts in
            let held = counts[key, default: 0]
            counts[key] = held + 1
            return held < perClient
        }
    }

    public func release(_ peer: IPAddress) {
        let key = peer.countingKey
        shard(key).counts.withLock { counts in
            if let held = counts[key] { counts[key] = held > 1 ? held - 1 : nil }
        }
        total.subtract(1, ordering: .relaxed)
    }

    private func shard(_ key: IPAddress) -> Shard {
        shards[Int(truncatingIfNeeded: (key.low ^ key.low >> 17 ^ key.high) & 15)]
    }
}
