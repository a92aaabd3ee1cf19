import HTTPMessages
import Primitives

/// Which of the routes with the same host and the same path is tried first, and which of them tie.
enum RouteOrder {
    /// The most specific first.
    static func sort(_ indices: [Int], of rules: [RouteRule]) throws(RouteTableError) -> [Int] {
        let ordered = indices.sorted { a, b in
            let x = Key(rules[a])
            let y = Key(rules[b])
            if x != y { return y < x }
            let namesHead = (rules[a].methods.contains("HEAD"), rules[b].methods.contains("HEAD"))
            return namesHead.0 == namesHead.1 ? a < b : namesHead.0
        }
        var first = 0
        while first < ordered.count {
            let key = Key(rules[ordered[first]])
            var end = first + 1
            while end < ordered.count, Key(rules[ordered[end]]) == key { end += 1 }
            try refuseTies(ordered[first..<end].sorted(), rules)
            first = end
        }
        return ordered
    }

    private struct Key: Comparable {
        var conditions: Int
        var values: Int
        var namesMethods: Bool

        init(_ rule: RouteRule) {
            conditions = rule.headers.count + rule.query.count
            values = (rule.headers + rule.query).count { $0.values != nil }
            namesMethods = !rule.methods.isEmpty
        }

        static func < (a: Key, b: Key) -> Bool {
            if a.conditions != b.conditions { return a.conditions < b.conditions }
            if a.values != b.values { return a.values < b.values }
            return !a.namesMethods && b.namesMethods
        }
    }

    private static func refuseTies(_ indices: [Int], _ rules: [RouteRule]) throws(RouteTableError) {
        for (k, i) in indices.enumerated() {
            for j in indices[(k + 1)...] where tie(rules[i], rules[j]) {
                throw .tie(first: rules[i].name, second: rules[j].name)
            }
        }
    }

    private static func tie(_ a: RouteRule, _ b: RouteRule) -> Bool {
        if !a.methods.isEmpty, Set(a.methods).isDisjoint(with: b.methods) { return false }
        return !excludes(a.headers, b.headers, ignoringCase: true) && !excludes(a.query, b.query, ignoringCase: false)
    }

    /// Whether conditions on the same name keep requests apart: no value in common, or present here and absent there.
    private static func excludes(_ a: [ValueMatch], _ b: [ValueMatch], ignoringCase: Bool) -> Bool {
        for x in a {
            for y in b where sameName(x.name, y.name, ignoringCase: ignoringCase) {
                switch (x.test, y.test) {
                case (.absent, .absent), (.present, .present), (.present, .anyOf), (.anyOf, .present): continue
                case (.absent, .present), (.absent, .anyOf), (.present, .absent), (.anyOf, .absent): return true
                case (.anyOf(let these), .anyOf(let those)): if Set(these).isDisjoint(with: those) { return true }
                }
            }
        }
        return false
    }

    private static func sameName(_ a: String, _ b: String, ignoringCase: Bool) -> Bool {
        ignoringCase ? a.utf8.map(ASCII.lowercased) == b.utf8.map(ASCII.lowercased) : a.utf8.elementsEqual(b.utf8)
    }
}

extension ValueMatch {
    fileprivate var values: [String]? {
        switch test {
        case .present, .absent: nil
        case .anyOf(let values): values
        }
    }
}
