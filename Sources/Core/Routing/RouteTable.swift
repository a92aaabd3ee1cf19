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
/// A route that does not take the request's method or values is passed over, and the next one tried, across hosts as well. What
/// would tie is refused when the table is made; only conditions on the same name with different values may stand side by side,
/// and where a request repeats the field with both values, the earlier route wins.
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
    public func match(_ head: borrowing RequestHead) -> RouteMatch { match(head, supposing: .none) }

    @inline(__always)
    func match(_ head: borrowing RequestHead, supposing supposed: SupposedFields) -> RouteMatch {
        let search = storage.search(head, supposing: supposed)
        if search.rule >= 0 { return .route(Int(search.rule)) }
        guard search.pathMatched else { return .noRoute }
        switch head.method {
        case .other: return .methodUnknown
        case .get, .head, .post, .put, .delete, .options, .patch, .trace, .connect: return .methodNotAllowed
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
