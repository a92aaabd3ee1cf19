/// Series by packed key, each with a row of cells: a counter, the buckets of a histogram, gauges.
///
/// Open addressing, at most half full. At most `seriesMax` keys get a row of their own; later ones share row 0, which is
/// written out as `__overflow__`. A key that was folded into row 0 stays there, so that neither its counter nor the shared one
/// ever goes back, and a gauge goes down where it went up.
///
/// The memory belongs to the table alone and lives as long as it does. Plain pointers, since arrays would check for other
/// owners on each of the fifteen additions that a request makes. Recording allocates only when a key is seen for the first
/// time.
struct SeriesTable: ~Copyable {
    private struct Slot {
        var key: UInt64 = 0
        /// Where the cells of the row begin; 0 for a folded key.
        var start: UInt32 = 0
        var isUsed = false
    }

    let width: Int
    let seriesMax: Int
    /// Of row 1, row 2 and so on.
    private(set) var keys: [UInt64] = []
    /// How often row 0 was asked for.
    private(set) var overflowed: UInt64 = 0
    private var slots: UnsafeMutablePointer<Slot>
    private var slotBits: UInt64
    private var slotsUsed = 0
    private var cells: UnsafeMutablePointer<UInt64>
    private var rowCapacity: Int

    /// Series of one metric (behaviour: 2000), `__overflow__` not counted.
    static var seriesMax: Int { 2000 }
    /// Folded keys that are remembered, as a multiple of `seriesMax`; those beyond are folded all the same.
    private static var foldedFactor: Int { 8 }
    private static var slotBitsAtStart: UInt64 { 5 }
    private static var rowsAtStart: Int { 8 }

    init(width: Int, seriesMax: Int = SeriesTable.seriesMax) {
        self.width = width
        self.seriesMax = seriesMax
        slotBits = SeriesTable.slotBitsAtStart
        slots = .allocate(capacity: 1 << Int(slotBits))
        slots.initialize(repeating: Slot(), count: 1 << Int(slotBits))
        rowCapacity = SeriesTable.rowsAtStart
        cells = .allocate(capacity: rowCapacity * width)
        cells.initialize(repeating: 0, count: rowCapacity * width)
    }

    deinit {
        slots.deallocate()
        cells.deallocate()
    }

    /// Where the cells of this key begin. Good until the next call.
    @inline(__always)
    mutating func cell(of key: UInt64) -> Int {
        var place = SeriesTable.place(key, slotBits)
        while true {
            let slot = slots + place
            guard slot.pointee.isUsed else { return insert(key, at: place) }
            if slot.pointee.key == key {
                if slot.pointee.start == 0 { overflowed &+= 1 }
                return Int(slot.pointee.start)
            }
            place = (place &+ 1) & (1 &<< Int(slotBits) &- 1)
        }
    }

    /// Adds to one cell; wraps, which no counter lives to see, and which is how a gauge goes down.
    @inline(__always)
    mutating func add(_ amount: UInt64, to cell: Int) {
        assert(cell >= 0 && cell < (keys.count + 1) * width)
        cells[cell] &+= amount
    }

    /// Counts a value in the histogram whose cells begin at `start`.
    @inline(__always)
    mutating func observe(_ value: UInt64, bucket: Int, width: Int, at start: Int) {
        add(1, to: start &+ bucket)
        add(value, to: start &+ width &- 1)
    }

    @inline(__always)
    private static func place(_ key: UInt64, _ bits: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> (64 &- bits))
    }

    @inline(never)
    private mutating func insert(_ key: UInt64, at place: Int) -> Int {
        let folds = keys.count >= seriesMax
        if folds {
            overflowed &+= 1
            if slotsUsed >= seriesMax * SeriesTable.foldedFactor { return 0 }
        }
        let start = folds ? 0 : appendRow(key)
        slots[place] = Slot(key: key, start: UInt32(start), isUsed: true)
        slotsUsed += 1
        if slotsUsed * 2 >= 1 << Int(slotBits) { growSlots() }
        return start
    }

    private mutating func appendRow(_ key: UInt64) -> Int {
        keys.append(key)
        let start = keys.count * width
        if keys.count == rowCapacity {
            let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: rowCapacity * 2 * width)
            larger.initialize(from: cells, count: rowCapacity * width)
            cells.deallocate()
            cells = larger
            rowCapacity *= 2
        }
        (cells + start).initialize(repeating: 0, count: width)
        return start
    }

    private mutating func growSlots() {
        let old = slots
        let oldCount = 1 << Int(slotBits)
        slotBits += 1
        slots = .allocate(capacity: oldCount * 2)
        slots.initialize(repeating: Slot(), count: oldCount * 2)
        for i in 0..<oldCount where old[i].isUsed {
            var place = SeriesTable.place(old[i].key, slotBits)
            while slots[place].isUsed { place = (place + 1) & (oldCount * 2 - 1) }
            slots[place] = old[i]
        }
        old.deallocate()
    }

    /// Drops series whose labels are gone. Their room is given to new keys, never to folded ones.
    mutating func retain(where isKept: (UInt64) -> Bool) {
        var isWhole = true
        for i in 0..<(1 << Int(slotBits)) where slots[i].isUsed && !isKept(slots[i].key) { isWhole = false }
        if isWhole { return }
        var smaller = SeriesTable(width: width, seriesMax: seriesMax)
        for k in 0..<width { smaller.cells[k] = cells[k] }
        for (i, key) in keys.enumerated() where isKept(key) {
            let to = smaller.cell(of: key)
            for k in 0..<width { smaller.cells[to + k] = cells[(i + 1) * width + k] }
        }
        for i in 0..<(1 << Int(slotBits)) where slots[i].isUsed && slots[i].start == 0 && isKept(slots[i].key) {
            smaller.fold(slots[i].key)
        }
        smaller.overflowed = overflowed
        self = smaller
    }

    /// Remembers that a key which is not there yet goes to row 0.
    private mutating func fold(_ key: UInt64) {
        var place = SeriesTable.place(key, slotBits)
        while slots[place].isUsed { place = (place + 1) & (1 << Int(slotBits) - 1) }
        slots[place] = Slot(key: key, start: 0, isUsed: true)
        slotsUsed += 1
        if slotsUsed * 2 >= 1 << Int(slotBits) { growSlots() }
    }

    /// Sets all cells to zero and keeps the keys.
    mutating func zero() {
        cells.update(repeating: 0, count: (keys.count + 1) * width)
        overflowed = 0
    }

    /// Adds the rows of another table of the same width, but for those whose labels are gone.
    mutating func add(_ rows: SeriesRows, where isKept: (UInt64) -> Bool) {
        precondition(width == rows.width, "tables of different kinds")
        // Folding here is no event of its own: how often requests hit the limit is told by the workers.
        let told = overflowed &+ rows.overflowed
        for k in 0..<width { cells[k] &+= rows.cells[k] }
        for (i, key) in rows.keys.enumerated() where isKept(key) {
            let to = cell(of: key)
            for k in 0..<width { cells[to + k] &+= rows.cells[(i + 1) * width + k] }
        }
        overflowed = told
    }

    /// A copy that can go to another thread.
    func rows() -> SeriesRows {
        let cells = Array(UnsafeBufferPointer(start: cells, count: (keys.count + 1) * width))
        return SeriesRows(width: width, keys: keys, cells: cells, overflowed: overflowed)
    }
}

/// The rows of a `SeriesTable` at one moment.
struct SeriesRows: Sendable {
    let width: Int
    /// Of row 1, row 2 and so on.
    let keys: [UInt64]
    /// Row by row; row 0 is what was folded.
    let cells: [UInt64]
    let overflowed: UInt64

    /// Whether anything was counted in row 0.
    var hasOverflow: Bool { cells[0..<width].contains { $0 != 0 } }
}
