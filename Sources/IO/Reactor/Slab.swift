/// Records in fixed places, found by index, with a generation each.
///
/// Memory comes in chunks that never move and never go back, so that a pointer to a record is good until the record is freed,
/// and a record is reused with its buffers. Belongs to one thread.
public struct Slab<Record: ~Copyable>: ~Copyable {
    private static var chunkBits: Int { 6 }
    private static var chunkSize: Int { 1 << chunkBits }

    @usableFromInline
    struct Slot: ~Copyable {
        @usableFromInline var record: Record
        @usableFromInline var generation: UInt32
        /// The next free slot + 1, 0 at the end of the list; `inUse` while taken.
        @usableFromInline var next: UInt32

        @usableFromInline
        init(record: consuming Record) {
            self.record = record
            generation = 0
            next = 0
        }
    }

    private static var inUse: UInt32 { .max }

    private var chunks: [UnsafeMutablePointer<Slot>] = []
    private var firstFree: UInt32 = 0
    public private(set) var liveCount = 0
    private let make: () -> Record

    /// `make` gives the record of a new slot; a reused slot keeps its old record, which the user has cleared.
    public init(make: @escaping () -> Record) { self.make = make }

    deinit {
        for chunk in chunks {
            chunk.deinitialize(count: Self.chunkSize)
            chunk.deallocate()
        }
    }

    /// How many slots there are, taken or free.
    public var capacity: Int { chunks.count << Self.chunkBits }

    @inline(__always)
    private func slot(_ index: Int) -> UnsafeMutablePointer<Slot> {
        chunks[index >> Self.chunkBits] + (index & (Self.chunkSize - 1))
    }

    /// Takes a slot; its generation is new.
    public mutating func allocate() -> (index: Int, generation: UInt32) {
        if firstFree == 0 { addChunk() }
        let index = Int(firstFree) - 1
        let slot = slot(index)
        firstFree = slot.pointee.next
        slot.pointee.next = Self.inUse
        liveCount += 1
        return (index, slot.pointee.generation)
    }

    /// Gives a slot back; tokens of its generation no longer find it.
    public mutating func free(_ index: Int) {
        let slot = slot(index)
        precondition(slot.pointee.next == Self.inUse, "freed twice")
        slot.pointee.generation &+= 1
        slot.pointee.next = firstFree
        firstFree = UInt32(index) + 1
        liveCount -= 1
    }

    /// The record, for as long as its slot is taken.
    @inline(__always)
    public func pointer(_ index: Int) -> UnsafeMutablePointer<Record> {
        UnsafeMutableRawPointer(slot(index)).assumingMemoryBound(to: Record.self)
    }

    public func generation(_ index: Int) -> UInt32 { slot(index).pointee.generation }

    /// Whether the token's slot is taken and still of the token's generation.
    @inline(__always)
    public func isLive(_ token: Token) -> Bool {
        let index = token.index
        guard index < capacity else { return false }
        let slot = slot(index)
        return slot.pointee.next == Self.inUse && slot.pointee.generation & 0xff_ffff == token.generation
    }

    public func isTaken(_ index: Int) -> Bool { index < capacity && slot(index).pointee.next == Self.inUse }

    private mutating func addChunk() {
        let base = chunks.count << Self.chunkBits
        let chunk = UnsafeMutablePointer<Slot>.allocate(capacity: Self.chunkSize)
        for i in 0..<Self.chunkSize { (chunk + i).initialize(to: Slot(record: make())) }
        for i in stride(from: Self.chunkSize - 1, through: 0, by: -1) {
            chunk[i].next = firstFree
            firstFree = UInt32(base + i) + 1
        }
        chunks.append(chunk)
    }
}
