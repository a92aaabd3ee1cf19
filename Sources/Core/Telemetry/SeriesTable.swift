/// Series by packed key, each with a row of cells: a counter, the buckets of a histogram, gauges.
///
/// Open addressing over an index of half-full size. At most `seriesMax` keys get a row of their own; later ones share row 0, which is
/// written out as `__overflow__`. A key that was folded into row 0 stays there, so that neither its counter nor the shared one
/// ever goes back, and a gauge goes down where it went up.
///
/// Recording allocates only when a key is seen for the first time.
struct SeriesTable: Sendable {
    struct Entry: Sendable {
        var key: UInt64
        /// 0 for a folded key.
        var row: UInt32
    }

    let width: Int
    let seriesMax: Int
    private(set) var entries: [Entry] = []
    private(set) var cells: [UInt64]
    private(set) var rows: UInt32 = 1
    /// How often row 0 was asked for.
    private(set) var overflowed: UInt64 = 0
    /// Place in `entries` plus one; 0 is free.
    private var index: [UInt32]
    private var shift: UInt64

    /// Series of one metric (behaviour: 2000), `__overflow__` not counted.
    static var seriesMax: Int { 2000 }
    /// Folded keys that are remembered, as a multiple of `seriesMax`; those beyond are folded all the same.
    private static var foldedFactor: Int { 8 }
    private static var indexBitsAtStart: UInt64 { 5 }

    init(width: Int, seriesMax: Int = SeriesTable.seriesMax) {
        self.width = width
        self.seriesMax = seriesMax
        cells = Array(repeating: 0, count: width)
        index = Array(repeating: 0, count: 1 << Int(SeriesTable.indexBitsAtStart))
        shift = 64 - SeriesTable.indexBitsAtStart
    }

    /// Where the cells of this key begin.
    @inline(__always)
    mutating func cell(of key: UInt64) -> Int {
        let mask = index.count &- 1
        var place = SeriesTable.place(key, shift)
        while true {
            let found = index[place]
            if found == 0 { return insert(key, at: place) }
            let entry = entries[Int(found &- 1)]
            if entry.key == key {
                if entry.row == 0 { overflowed &+= 1 }
                return Int(entry.row) &* width
            }
            place = (place &+ 1) & mask
        }
    }

    /// Adds to one cell; wraps, which no counter lives to see, and which is how a gauge goes down.
    @inline(__always)
    mutating func add(_ amount: UInt64, to cell: Int) { cells[cell] &+= amount }

    @inline(__always)
    private static func place(_ key: UInt64, _ shift: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> shift)
    }

    @inline(never)
    private mutating func insert(_ key: UInt64, at place: Int) -> Int {
        let folds = Int(rows) > seriesMax
        if folds {
            overflowed &+= 1
            if entries.count >= seriesMax * SeriesTable.foldedFactor { return 0 }
        }
        let row = folds ? 0 : rows
        if !folds {
            rows += 1
            cells.append(contentsOf: repeatElement(0, count: width))
        }
        entries.append(Entry(key: key, row: row))
        index[place] = UInt32(entries.count)
        if entries.count * 2 >= index.count { reindex() }
        return Int(row) * width
    }

    /// Builds the index anew, more than twice as large as there are entries.
    private mutating func reindex() {
        var bits = SeriesTable.indexBitsAtStart
        while entries.count * 2 >= 1 << Int(bits) { bits += 1 }
        shift = 64 - bits
        index = Array(repeating: 0, count: 1 << Int(bits))
        let mask = index.count - 1
        for (i, entry) in entries.enumerated() {
            var place = SeriesTable.place(entry.key, shift)
            while index[place] != 0 { place = (place + 1) & mask }
            index[place] = UInt32(i + 1)
        }
    }

    /// Drops series whose labels are gone. Their room is given to new keys, never to folded ones.
    mutating func retain(where isKept: (UInt64) -> Bool) {
        guard entries.contains(where: { !isKept($0.key) }) else { return }
        var smaller = SeriesTable(width: width, seriesMax: seriesMax)
        smaller.overflowed = overflowed
        for k in 0..<width { smaller.cells[k] = cells[k] }
        for entry in entries where isKept(entry.key) {
            if entry.row == 0 {
                smaller.entries.append(entry)
                continue
            }
            smaller.entries.append(Entry(key: entry.key, row: smaller.rows))
            smaller.rows += 1
            let from = Int(entry.row) * width
            smaller.cells.append(contentsOf: cells[from..<from + width])
        }
        smaller.reindex()
        self = smaller
    }

    /// Sets all cells to zero and keeps the keys.
    mutating func zero() {
        for i in cells.indices { cells[i] = 0 }
        overflowed = 0
    }

    /// Adds the cells of another table with rows of the same width.
    mutating func add(_ other: SeriesTable) {
        precondition(width == other.width, "tables of different kinds")
        let folded = overflowed
        for k in 0..<width { cells[k] &+= other.cells[k] }
        for entry in other.entries where entry.row != 0 {
            let to = cell(of: entry.key)
            let from = Int(entry.row) * width
            for k in 0..<width { cells[to + k] &+= other.cells[from + k] }
        }
        // Folding here is no event of its own: how often requests hit the limit is told by the workers.
        overflowed = folded &+ other.overflowed
    }

    /// Whether anything was counted in row 0.
    var hasOverflow: Bool { cells[0..<width].contains { $0 != 0 } }
}
