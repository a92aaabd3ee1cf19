import Primitives

/// Looks for two routes that some request would match both, among routes of which neither is more specific.
///
/// Two routes are kept apart by their methods, or by conditions on the same name that cannot both hold. Thousands of routes that
/// differ in the value of one field are usual (a tenant, a version), so they are not compared each with each: they are divided by
/// the values of a name on which all of them have a condition, and what shares a value again by the next name. Only what no name
/// divides is compared by pairs.
struct RouteTies {
    /// Steps that a table may cost before it is refused: a second's work. Two thousand routes on one path that nothing divides
    /// cost as many pairs; no file that names its routes by one field comes near.
    static let stepsMax = 20_000_000

    /// A method, a field, or a parameter of the query, and what of it a route takes.
    private struct Axis {
        /// Numbers of names and values are small, so that a comparison touches no text.
        var name: Int
        var test: Test
    }

    private enum Test {
        case present
        case absent
        /// In rising order.
        case anyOf([Int])
    }

    /// What is compared, by the place in the list that was given; in rising order of names.
    private var axes: [[Axis]] = []
    private let rules: [RouteRule]
    private let indices: [Int]
    private var steps: Int

    /// - Parameters:
    ///   - indices: in rising order.
    ///   - steps: those that are left.
    /// - Throws: `.tie`, or `.tooManyAlike` where `steps` are used up.
    static func refuse(_ indices: [Int], of rules: [RouteRule], steps: inout Int) throws(RouteTableError) {
        var ties = RouteTies(indices, rules, steps)
        try ties.refuse(Array(indices.indices))
        steps = ties.steps
    }

    private init(_ indices: [Int], _ rules: [RouteRule], _ steps: Int) {
        self.indices = indices
        self.rules = rules
        self.steps = steps
        var numbers = Numbers()
        axes = indices.map { numbers.axes(of: rules[$0]) }
    }

    /// Names and values as numbers, the same for the same bytes.
    private struct Numbers {
        private struct Text: Hashable {
            /// 0: a method. 1: a field. 2: a parameter.
            var kind: Int
            var bytes: [UInt8]
        }

        private var names: [Text: Int] = [:]
        private var values: [[UInt8]: Int] = [:]

        mutating func axes(of rule: RouteRule) -> [Axis] {
            var axes: [Axis] = []
            if !rule.methods.isEmpty { axes.append(Axis(name: name(0, []), test: anyOf(rule.methods))) }
            for match in rule.headers { axes.append(axis(1, match.name.utf8.map(ASCII.lowercased), match.test)) }
            for match in rule.query { axes.append(axis(2, Array(match.name.utf8), match.test)) }
            return axes.sorted { $0.name < $1.name }
        }

        private mutating func axis(_ kind: Int, _ name: [UInt8], _ test: ValueMatch.Test) -> Axis {
            let number = self.name(kind, name)
            switch test {
            case .present: return Axis(name: number, test: .present)
            case .absent: return Axis(name: number, test: .absent)
            case .anyOf(let texts): return Axis(name: number, test: anyOf(texts))
            }
        }

        private mutating func name(_ kind: Int, _ bytes: [UInt8]) -> Int {
            let text = Text(kind: kind, bytes: bytes)
            if let known = names[text] { return known }
            names[text] = names.count
            return names.count - 1
        }

        private mutating func anyOf(_ texts: [String]) -> Test {
            var numbers: [Int] = []
            for text in texts {
                let bytes = Array(text.utf8)
                let number = values[bytes] ?? values.count
                values[bytes] = number
                numbers.append(number)
            }
            numbers.sort()
            return .anyOf(numbers)
        }
    }

    /// Divides, or compares by pairs.
    private mutating func refuse(_ members: [Int]) throws(RouteTableError) {
        guard members.count > 8, let parts = try divide(members) else { return try comparePairs(members) }
        for part in parts where part.count > 1 { try refuse(part) }
    }

    /// Lists such that two members that can tie stand together in one of them, by the name that leaves the fewest pairs. Nil where
    /// every name leaves more than half of them.
    private mutating func divide(_ members: [Int]) throws(RouteTableError) -> [[Int]]? {
        let pairs = members.count * members.count
        var best: [[Int]]?
        var leastPairs = pairs / 2
        for axis in axes[members[0]] {
            guard let parts = try divide(members, by: axis.name) else { continue }
            let left = parts.reduce(0) { $0 + $1.count * $1.count }
            if left < leastPairs {
                leastPairs = left
                best = parts
            }
        }
        return best
    }

    /// Nil where a member has no condition on the name, or takes every value.
    private mutating func divide(_ members: [Int], by name: Int) throws(RouteTableError) -> [[Int]]? {
        var parts: [[Int]] = []
        var places: [Int: Int] = [:]
        for member in members {
            let axes = axes[member]
            try spend(axes.count, on: members)
            guard let axis = axes.first(where: { $0.name == name }) else { return nil }
            switch axis.test {
            case .present: return nil
            // No value has this number.
            case .absent: RouteTies.put(member, -1, &parts, &places)
            case .anyOf(let values):
                try spend(values.count, on: members)
                for value in values { RouteTies.put(member, value, &parts, &places) }
            }
        }
        return parts
    }

    private static func put(_ member: Int, _ value: Int, _ parts: inout [[Int]], _ places: inout [Int: Int]) {
        if let place = places[value] {
            // The same value written twice is one.
            if parts[place].last != member { parts[place].append(member) }
        } else {
            places[value] = parts.count
            parts.append([member])
        }
    }

    private mutating func comparePairs(_ members: [Int]) throws(RouteTableError) {
        for (k, a) in members.enumerated() {
            for b in members[(k + 1)...] {
                try spend(1 + min(axes[a].count, axes[b].count), on: members)
                guard !RouteTies.excludes(axes[a], axes[b]) else { continue }
                throw .tie(first: rules[indices[a]].name, second: rules[indices[b]].name)
            }
        }
    }

    private mutating func spend(_ count: Int, on members: [Int]) throws(RouteTableError) {
        steps -= count
        guard steps < 0 else { return }
        throw .tooManyAlike(first: rules[indices[members[0]]].name, count: members.count)
    }

    /// Whether some name keeps requests apart: no value in common, or present here and absent there.
    private static func excludes(_ a: [Axis], _ b: [Axis]) -> Bool {
        var i = 0
        var j = 0
        while i < a.count, j < b.count {
            if a[i].name == b[j].name {
                // A name may stand several times in rules that were not read from a file.
                var k = j
                while k < b.count, b[k].name == a[i].name {
                    if excludes(a[i].test, b[k].test) { return true }
                    k += 1
                }
                i += 1
            } else if a[i].name < b[j].name {
                i += 1
            } else {
                j += 1
            }
        }
        return false
    }

    private static func excludes(_ a: Test, _ b: Test) -> Bool {
        switch (a, b) {
        case (.absent, .absent), (.present, .present), (.present, .anyOf), (.anyOf, .present): false
        case (.absent, .present), (.absent, .anyOf), (.present, .absent), (.anyOf, .absent): true
        case (.anyOf(let these), .anyOf(let those)): isDisjoint(these, those)
        }
    }

    /// Of two lists in rising order.
    private static func isDisjoint(_ a: [Int], _ b: [Int]) -> Bool {
        var i = 0
        var j = 0
        while i < a.count, j < b.count {
            if a[i] == b[j] { return false }
            if a[i] < b[j] { i += 1 } else { j += 1 }
        }
        return true
    }
}
