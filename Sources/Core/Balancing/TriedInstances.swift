/// The instances that a request was already tried on.
///
/// It holds the last eight: retries are at most two, and only a request that nobody read a byte of comes to more. Three words,
/// since it is handed on for every pick.
public struct TriedInstances: Sendable {
    /// How many are remembered.
    public static var room: Int { 8 }

    @usableFromInline var places = InlineArray<8, UInt16>(repeating: .max)
    @usableFromInline var added: UInt16 = 0

    public init() {}

    @inlinable
    public var isEmpty: Bool { added == 0 }

    public var count: Int { Int(added) }

    public mutating func add(_ instance: Int) {
        guard !contains(instance) else { return }
        places[Int(added) % Self.room] = UInt16(truncatingIfNeeded: instance)
        if added < .max { added += 1 }
    }

    @inlinable
    public func contains(_ instance: Int) -> Bool {
        guard added > 0 else { return false }
        for i in 0..<min(Int(added), Self.room) where places[i] == UInt16(truncatingIfNeeded: instance) { return true }
        return false
    }
}
