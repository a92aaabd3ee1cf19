import Primitives

/// Received bytes that could not be used at once; owns memory only while there are some.
///
/// Its holder frees it with `discard()` before the record that holds it is reused.
public struct Incoming {
    private var base: UnsafeMutablePointer<UInt8>?
    private var start: Int32 = 0
    private var end: Int32 = 0
    private var capacity: Int32 = 0

    public init() {}

    @inline(__always)
    public var isEmpty: Bool { base == nil }
    public var count: Int { Int(end - start) }

    /// The bytes, until the next change.
    public var bytes: UnsafeRawBufferPointer {
        guard let base else { return .empty }
        return UnsafeRawBufferPointer(start: base + Int(start), count: count)
    }

    public mutating func append(_ more: UnsafeRawBufferPointer) {
        guard let from = more.baseAddress, more.count > 0 else { return }
        if Int(end) + more.count > Int(capacity) { makeRoom(more.count) }
        guard let base else { return }
        UnsafeMutableRawPointer(base + Int(end)).copyMemory(from: from, byteCount: more.count)
        end += Int32(more.count)
    }

    public mutating func removeFirst(_ n: Int) {
        precondition(n <= count)
        start += Int32(n)
        if start == end { discard() }
    }

    /// Frees a copy that nobody holds on to any more.
    public func free() { base?.deallocate() }

    public mutating func discard() {
        base?.deallocate()
        base = nil
        start = 0
        end = 0
        capacity = 0
    }

    private mutating func makeRoom(_ more: Int) {
        let held = count
        let larger = max(1024, (held + more) * 3 / 2)
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        if let base {
            moved.update(from: base + Int(start), count: held)
            base.deallocate()
        }
        base = moved
        start = 0
        end = Int32(held)
        capacity = Int32(larger)
    }
}
