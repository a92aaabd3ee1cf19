import CNghttp2

/// Blocks of seven sizes, from 1 to 64 KiB, kept for the next user up to a limit for each size; larger ones come from the heap
/// and go back to it.
struct BlockPool {
    private static var sizes: Int { 7 }
    private static var smallest: Int { 1024 }
    /// Bytes of one size that are kept.
    private static var keptBytes: Int { 262_144 }

    /// The first free block of each size; the first word of a block is the next one.
    private var free = InlineArray<7, UnsafeMutableRawPointer?>(repeating: nil)
    private var count = InlineArray<7, Int>(repeating: 0)
    /// Room for the fields of a head on its way to nghttp2, which copies them within the call.
    private(set) var fields: UnsafeMutablePointer<nghttp2_nv> = .allocate(capacity: 128)
    private(set) var fieldCapacity = 128

    var idleBytes: Int {
        var sum = 0
        for size in 0..<Self.sizes { sum += count[size] * (Self.smallest << size) }
        return sum
    }

    /// Doubles the room for fields and keeps those that are there.
    mutating func growFields() {
        let larger = UnsafeMutablePointer<nghttp2_nv>.allocate(capacity: fieldCapacity * 2)
        larger.update(from: fields, count: fieldCapacity)
        fields.deallocate()
        fields = larger
        fieldCapacity *= 2
    }

    /// A block of at least `bytes` bytes.
    mutating func take(_ bytes: Int) -> Block {
        let size = Self.size(bytes)
        guard size < Self.sizes else {
            return Block(base: .allocate(byteCount: bytes, alignment: 16), capacity: bytes)
        }
        let capacity = Self.smallest << size
        if let head = free[size] {
            free[size] = head.load(as: UnsafeMutableRawPointer?.self)
            count[size] &-= 1
            return Block(base: head, capacity: capacity)
        }
        return Block(base: .allocate(byteCount: capacity, alignment: 16), capacity: capacity)
    }

    /// Takes a block back, and leaves an empty one.
    mutating func give(_ block: inout Block) {
        guard let base = block.base else { return }
        let size = Self.size(block.capacity)
        if size < Self.sizes, block.capacity == Self.smallest << size, count[size] < Self.keptBytes >> (10 + size) {
            base.storeBytes(of: free[size], as: UnsafeMutableRawPointer?.self)
            free[size] = base
            count[size] &+= 1
        } else {
            base.deallocate()
        }
        block = Block()
    }

    /// Gives all idle blocks back to the heap.
    mutating func release() {
        for size in 0..<Self.sizes {
            while let head = free[size] {
                free[size] = head.load(as: UnsafeMutableRawPointer?.self)
                head.deallocate()
            }
        }
        fields.deallocate()
    }

    /// The number of the smallest size that holds `bytes`.
    private static func size(_ bytes: Int) -> Int {
        max(0, Int.bitWidth - 10 - (max(bytes, 1) - 1).leadingZeroBitCount)
    }
}

/// A run of bytes in memory from a `BlockPool`: `count` of them, from `start` on. Whoever holds it gives it back; copies are the
/// same memory.
struct Block {
    private(set) var base: UnsafeMutableRawPointer?
    private(set) var capacity: Int
    private(set) var start: Int
    private(set) var count: Int

    init() {
        base = nil
        capacity = 0
        start = 0
        count = 0
    }

    init(base: UnsafeMutableRawPointer, capacity: Int) {
        self.base = base
        self.capacity = capacity
        start = 0
        count = 0
    }

    var isEmpty: Bool { count == 0 }

    /// Good until the block changes.
    var bytes: UnsafeRawBufferPointer {
        guard let base else { return .empty }
        return UnsafeRawBufferPointer(start: base + start, count: count)
    }

    /// Where `more` bytes may be written; `wrote` makes them part of the block.
    @inline(__always)
    mutating func reserve(_ more: Int, _ pool: UnsafeMutablePointer<BlockPool>) -> UnsafeMutablePointer<UInt8> {
        if let base, capacity &- start &- count >= more {
            return (base + start + count).assumingMemoryBound(to: UInt8.self)
        }
        return makeRoom(more, pool)
    }

    /// Moves the bytes to the front of the block, or into a larger one.
    @inline(never)
    private mutating func makeRoom(_ more: Int, _ pool: UnsafeMutablePointer<BlockPool>) -> UnsafeMutablePointer<UInt8> {
        if let base, count &+ more <= capacity, start >= count {
            base.copyMemory(from: base + start, byteCount: count)
            start = 0
            return (base + count).assumingMemoryBound(to: UInt8.self)
        }
        var larger = pool.pointee.take(max(count + more, capacity * 2))
        let bytes = self.bytes
        if let to = larger.base, let from = bytes.baseAddress { to.copyMemory(from: from, byteCount: count) }
        larger.count = count
        pool.pointee.give(&self)
        self = larger
        guard let base else { preconditionFailure("a block that was just taken has memory") }
        return (base + count).assumingMemoryBound(to: UInt8.self)
    }

    /// Makes room at once for what comes in several pieces.
    mutating func reserveAtLeast(_ more: Int, _ pool: UnsafeMutablePointer<BlockPool>) { _ = reserve(more, pool) }

    @inline(__always)
    mutating func wrote(_ bytes: Int) { count &+= bytes }

    @inline(__always)
    mutating func append(_ from: UnsafeRawBufferPointer, _ pool: UnsafeMutablePointer<BlockPool>) {
        guard let source = from.baseAddress, from.count > 0 else { return }
        UnsafeMutableRawPointer(reserve(from.count, pool)).copyMemory(from: source, byteCount: from.count)
        count &+= from.count
    }

    @inline(__always)
    mutating func append(_ text: StaticString, _ pool: UnsafeMutablePointer<BlockPool>) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount), pool)
    }

    /// Drops bytes from the front.
    @inline(__always)
    mutating func drop(_ bytes: Int) {
        precondition(bytes >= 0 && bytes <= count)
        start &+= bytes
        count &-= bytes
    }

    /// Drops bytes from the end.
    mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }

    /// Opens a gap of `size` bytes at `offset` and returns where it is.
    mutating func open(_ size: Int, at offset: Int, _ pool: UnsafeMutablePointer<BlockPool>) -> UnsafeMutablePointer<UInt8> {
        precondition(offset >= 0 && offset <= count)
        let end = reserve(size, pool)
        let gap = end - (count - offset)
        UnsafeMutableRawPointer(gap + size).copyMemory(from: gap, byteCount: count - offset)
        count &+= size
        return gap
    }
}
