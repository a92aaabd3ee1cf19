import HTTPMessages
import Primitives

/// The compiled routes: flat arrays that refer to each other by index, so that a look-up touches no reference count.
struct RouteStorage: Sendable {
    /// A host, or a path up to the end of a segment.
    struct Node {
        /// Where any one segment leads; -1 for nowhere.
        var parameter: Int32 = -1
        /// The terminal of the routes that end here; -1 for none.
        var full: Int32 = -1
        /// The terminal of the routes that end here in `/*`; -1 for none.
        var prefix: Int32 = -1
        /// This node if it has a prefix terminal, else the nearest one above that has; -1 for none.
        var prefixHolder: Int32 = -1
        /// The nearest node above this one that has a prefix terminal.
        var prefixHolderAbove: Int32 = -1
    }

    /// A slot of the hash table of steps.
    struct Edge {
        /// The first sixteen bytes of the segment, zeros behind them; few segments need another comparison.
        var head: (UInt64, UInt64) = (0, 0)
        var from: Int32 = -1
        /// -1 in an empty slot.
        var to: Int32 = -1
        var textOffset: Int32 = 0
        var textCount: Int32 = 0
    }

    /// The routes that end at one node, the most specific first.
    struct Terminal {
        /// Higher is more specific; compares terminals that match the same path below the same host.
        var rank: Int32
        var firstEntry: Int32
        var endEntry: Int32
    }

    struct Entry {
        var rule: Int32
        /// One bit per `Method`; HEAD among them where GET is.
        var methods: UInt16
        /// Tokens, where the method is `.other`.
        var customMethods: Range<Int32>
        var conditions: Range<Int32>
    }

    struct Condition {
        enum Test: UInt8 { case present, absent, anyOf }
        var isQuery: Bool
        var test: Test
        var name: Text
        var values: Range<Int32>
    }

    /// Bytes in `text`.
    struct Text {
        var offset: Int32
        var count: Int32
    }

    /// The node from which whole hosts lead to the hosts' roots.
    static var exactHosts: Int32 { 0 }
    /// The node from which what stands behind `*.` leads to the wildcards' roots.
    static var wildcardHosts: Int32 { 1 }
    /// The root of the routes for any host.
    static var anyHost: Int32 { 2 }

    var nodes = ContiguousArray<Node>()
    /// A power of two, at most half full.
    var edges = ContiguousArray<Edge>()
    var terminals = ContiguousArray<Terminal>()
    var entries = ContiguousArray<Entry>()
    var conditions = ContiguousArray<Condition>()
    var texts = ContiguousArray<Text>()
    var text = ContiguousArray<UInt8>()
    var hasExactHosts = false
    var hasWildcards = false
    var wildcardBytesMax = 0
    var hasAnyHost = false
    let hash: SegmentHash

    var hasHosts: Bool { hasExactHosts || hasWildcards }

    /// Takes the segment that begins at `offset` and ends at a slash or at `end`, which lies inside the bytes. The node is -1
    /// when the segment leads nowhere.
    @inline(__always)
    func step(from node: Int32, _ bytes: RawSpan, _ offset: Int, _ end: Int) -> (node: Int32, end: Int) {
        let segment = hash.segment(bytes, offset, end, from: node)
        let edges = edges.span
        let mask = edges.count &- 1
        var slot = Int(truncatingIfNeeded: segment.hash) & mask
        while true {
            // The mask keeps the slot inside the table, whose size is a power of two.
            let edge = edges[unchecked: slot]
            if edge.to < 0 { return (-1, segment.end) }
            if edge.head.0 == segment.head.0, edge.from == node, Int(edge.textCount) == segment.end &- offset,
                edge.head.1 == segment.head.1, edge.textCount <= 16 || sameTail(edge, bytes, offset)
            {
                return (edge.to, segment.end)
            }
            slot = (slot &+ 1) & mask
        }
    }

    @inline(never)
    private func sameTail(_ edge: Edge, _ bytes: RawSpan, _ offset: Int) -> Bool {
        let count = Int(edge.textCount)
        let start = Int(edge.textOffset)
        return bytes.extracting((offset + 16)..<(offset + count))
            .equals(text.span.bytes.extracting((start + 16)..<(start + count)))
    }

    @_lifetime(borrow self)
    func bytes(_ part: Text) -> RawSpan {
        text.span.bytes.extracting(Int(part.offset)..<(Int(part.offset) + Int(part.count)))
    }
}
