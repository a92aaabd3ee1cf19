import Primitives

/// Which of the routes with the same host and the same path is tried first; those of which neither goes before the other must not tie.
enum RouteOrder {
    /// The most specific first.
    ///
    /// - Parameter steps: what the search for ties may still cost; see `RouteTies`.
    static func sort(_ indices: [Int], of rules: [RouteRule], steps: inout Int) throws(RouteTableError) -> [Int] {
        let places = indices.map { Place(index: $0, rules[$0]) }.sorted()
        var first = 0
        while first < places.count {
            var end = first + 1
            while end < places.count, places[end].key == places[first].key { end += 1 }
            if end - first > 1 {
                try RouteTies.refuse(places[first..<end].map(\.index).sorted(), of: rules, steps: &steps)
            }
            first = end
        }
        return places.map(\.index)
    }

    private struct Place: Comparable {
        var index: Int
        var key: Key
        var namesHead: Bool

        init(index: Int, _ rule: RouteRule) {
            self.index = index
            key = Key(rule)
            namesHead = rule.methods.contains("HEAD")
        }

        static func < (a: Place, b: Place) -> Bool {
            if a.key != b.key { return b.key < a.key }
            return a.namesHead == b.namesHead ? a.index < b.index : a.namesHead
        }
    }

    private struct Key: Comparable {
        var conditions: Int
        var values: Int
        var namesMethods: Bool

        init(_ rule: RouteRule) {
            conditions = rule.headers.count + rule.query.count
            values = rule.headers.count(where: \.hasValues) + rule.query.count(where: \.hasValues)
            namesMethods = !rule.methods.isEmpty
        }

        static func < (a: Key, b: Key) -> Bool {
            if a.conditions != b.conditions { return a.conditions < b.conditions }
            if a.values != b.values { return a.values < b.values }
            return !a.namesMethods && b.namesMethods
        }
    }
}

extension ValueMatch {
    fileprivate var hasValues: Bool {
        switch test {
        case .present, .absent: false
        case .anyOf: true
        }
    }
}
