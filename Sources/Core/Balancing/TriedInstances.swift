/// The instances that a request was already tried on.
///
/// It holds the last eight: retries are at most two, and only a request that nobody read a byte of comes to more.
public struct TriedInstances: Sendable {
    /// How many are remembered.
    public static var room: Int { 8 }

    @usableFromInline var places = InlineArray<8, Int32>(repeating: -1)
    public private(set) var count = 0

    public init() {}

    @inlinable
    public var isEmpty: Bool { count == 0 }

    public mutating func add(_ instance: Int) {
        guard !contains(instance) else { return }
        places[count % Self.room] = Int32(truncatingIfNeeded: instance)
        count += 1
    }

    @inlinable
    public func contains(_ instance: Int) -> Bool {
        guard count > 0 else { return false }
        for i in 0..<min(count, Self.room) where places[i] == Int32(truncatingIfNeeded: instance) { return true }
        return false
    }
}
