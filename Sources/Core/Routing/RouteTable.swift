import HTTPMessages
import Primitives

/// What a look-up found.
public enum RouteMatch: Hashable, Sendable {
    /// The index of the route in `RouteTable.rules`.
    case route(Int)
    /// A route would take the request if its method were another: 405, with `RouteTable.allow(for:)`.
    case methodNotAllowed
    /// The same for a method that HTTP's own documents do not know: 501.
    case methodUnknown
    /// 404.
    case noRoute
}

/// All routes, compiled so that a look-up costs the same with 10 routes and with 10,000. Immutable; shared by all workers.
///
/// The most specific route that takes a request wins, whatever its place in the file:
///
/// 1. host: exact, then the longest wildcard, then any;
/// 2. path: full (exact or template) before prefix; then more segments, then more literal segments, then the literal one
///    at the first difference from the left;
/// 3. more header and query conditions, then more of them with values;
/// 4. named methods before all methods, `HEAD` by name before `HEAD` by way of `GET`.
///
/// A route that does not take the request's method or values is passed over, and the next one tried, across hosts as well. What would tie is refused
/// when the table is made; only conditions on the same name with different values may stand side by side, and where a
/// request repeats the field with both values, the earlier route wins.
///
/// The structure is one tree of nodes for all hosts. A step from a node by a segment (or by a whole host) is one look-up in one
/// open-addressed hash table with the key (node, segment), seeded so that nobody outside can aim at its chains.
public struct RouteTable: Sendable {
    public let rules: [RouteRule]
    let storage: RouteStorage

    /// - Parameter seed: any number that clients cannot guess.
    public init(_ rules: [RouteRule], seed: UInt64) throws(RouteTableError) {
        self.rules = rules
        storage = try RouteCompiler.compile(rules, seed: seed)
    }

    /// The route for a head that `CanonicalTarget.resolve` has completed.
    public func match(_ head: borrowing RequestHead) -> RouteMatch {
        guard let first = head.path.first, head.headers.storage[first] == ASCII.slash else { return .noRoute }
        var search = Search()
        if storage.hasExactHosts || storage.hasWildcards, !head.host.isEmpty { searchHosts(head, &search) }
        if search.rule < 0, storage.hasAnyHost {
            descend(from: RouteStorage.anyHost, at: head.path.lowerBound + 1, head, &search)
        }
        if search.rule >= 0 { return .route(Int(search.rule)) }
        guard search.pathMatched else { return .noRoute }
        switch head.method {
        case .other: return .methodUnknown
        case .get, .head, .post, .put, .delete, .options, .patch, .trace, .connect: return .methodNotAllowed
        }
    }

    /// The best so far.
    struct Search {
        var rule: Int32 = -1
        var rank: Int32 = -1
        /// A route would have taken the request but for its method.
        var pathMatched = false
    }

    private func searchHosts(_ head: borrowing RequestHead, _ search: inout Search) {
        let bytes = head.headers.storage.bytes
        let path = head.path.lowerBound + 1
        if storage.hasExactHosts {
            let step = storage.step(from: RouteStorage.exactHosts, bytes, head.host.lowerBound, head.host.upperBound)
            if step.node >= 0 { descend(from: step.node, at: path, head, &search) }
        }
        guard search.rule < 0, storage.hasWildcards else { return }
        for i in head.host where bytes[i] == ASCII.dot {
            guard head.host.upperBound - i - 1 <= storage.wildcardBytesMax else { continue }
            let step = storage.step(from: RouteStorage.wildcardHosts, bytes, i + 1, head.host.upperBound)
            if step.node >= 0 { descend(from: step.node, at: path, head, &search) }
            if search.rule >= 0 { return }
        }
    }

    /// Follows the path from the segment that begins at `offset` as far as the tree goes. An offset past the end of the path
    /// means that no segment is left. Only a node that has both a fitting literal and a parameter calls for a second way.
    private func descend(from start: Int32, at offset: Int, _ head: borrowing RequestHead, _ search: inout Search) {
        let bytes = head.headers.storage.bytes
        let nodes = storage.nodes.span
        let end = head.path.upperBound
        precondition(offset > 0 && end <= bytes.byteCount, "a path outside its storage")
        var node = start
        var offset = offset
        while offset <= end {
            let step = storage.step(from: node, bytes, offset, end)
            let parameter = step.end > offset ? nodes[Int(node)].parameter : -1
            if parameter >= 0 {
                if step.node >= 0 { descend(from: step.node, at: step.end &+ 1, head, &search) }
                node = parameter
            } else if step.node >= 0 {
                node = step.node
            } else {
                break
            }
            offset = step.end &+ 1
        }
        let last = nodes[Int(node)]
        if offset > end, last.full >= 0 { take(last.full, head, &search) }
        // The prefix routes from the longest on; those behind a better rank than theirs are not looked at.
        var holder = last.prefixHolder
        while holder >= 0 {
            let above = nodes[Int(holder)]
            guard storage.terminals[Int(above.prefix)].rank > search.rank else { return }
            take(above.prefix, head, &search)
            holder = above.prefixHolderAbove
        }
    }

    @inline(__always)
    private func take(_ index: Int32, _ head: borrowing RequestHead, _ search: inout Search) {
        let terminal = storage.terminals[Int(index)]
        guard terminal.rank > search.rank else { return }
        for i in Int(terminal.firstEntry)..<Int(terminal.endEntry) {
            let entry = storage.entries[i]
            let takesMethod = storage.takesMethod(entry, head)
            if !takesMethod && search.pathMatched { continue }
            guard entry.conditions.isEmpty || storage.conditionsHold(entry, head) else { continue }
            if takesMethod {
                search.rule = entry.rule
                search.rank = terminal.rank
                return
            }
            search.pathMatched = true
        }
    }

    /// Where the `{name}` segments of a route's path stand in a head that it took.
    public func captures(route: Int, in head: borrowing RequestHead) -> [(name: String, range: Range<Int>)] {
        guard rules.indices.contains(route) else { return [] }
        let path = rules[route].path
        var result = [(name: String, range: Range<Int>)]()
        for name in path.parameters {
            if let capture = path.capture(name) { result.append((name, capture.range(in: head))) }
        }
        return result
    }
}
