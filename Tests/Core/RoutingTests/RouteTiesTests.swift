import Primitives
import Testing

@testable import Routing

/// Ties among many routes with the same host and path.
struct RouteTiesTests {
    private func rule(_ name: Int, methods: [String] = [], headers: [ValueMatch] = [], query: [ValueMatch] = []) throws
        -> RouteRule
    {
        RouteRule(name: "r\(name)", path: try PathPattern("/*"), methods: methods, headers: headers, query: query)
    }

    @Test(.timeLimit(.minutes(1)))
    func `5,000 routes that differ in one field are ordered at once, and a tie among them is found`() throws {
        var rules = try (0..<5_000).map { try rule($0, headers: [.equals($0 % 2 == 0 ? "X-A" : "x-a", "v\($0)")]) }
        #expect(try RouteTable(rules, seed: 1).rules.count == 5_000)
        rules.append(try rule(5_000, headers: [.equals("x-A", "v4321")]))
        #expect(throws: RouteTableError.tie(first: "r4321", second: "r5000")) { try RouteTable(rules, seed: 1) }
        rules[5_000] = try rule(5_000, headers: [.equals("x-b", "1")])
        #expect(throws: RouteTableError.tie(first: "r0", second: "r5000")) { try RouteTable(rules, seed: 1) }
    }

    @Test(.timeLimit(.minutes(1)))
    func `routes are divided by method, by absence and by a second field where the first does not divide them`() throws {
        let rules = try (0..<4_000).map { i in
            let one = ValueMatch.equals("x-a", "v\(i / 2)")
            return switch i % 4 {
            case 0: try rule(i, methods: ["GET"], headers: [one, ValueMatch("x-b", .absent)])
            case 1: try rule(i, methods: ["PUT", "POST"], headers: [one, ValueMatch("x-b", .absent)])
            case 2: try rule(i, methods: ["GET"], headers: [ValueMatch("x-b", .absent)], query: [.equals("q", "v\(i)")])
            default: try rule(i, methods: ["DELETE"], headers: [ValueMatch("x-b", .absent)], query: [.equals("q", "v\(i)")])
            }
        }
        // Of GET, those by x-a and those by q tie; without the latter nothing does.
        #expect(throws: RouteTableError.tie(first: "r0", second: "r2")) { try RouteTable(rules, seed: 1) }
        let apart = rules.filter { $0.methods != ["GET"] || $0.query.isEmpty }
        #expect(try RouteTable(apart, seed: 1).rules.count == 3_000)
    }

    @Test func `routes that share no name are refused when comparing them would take too long`() throws {
        // Pairs are kept apart by one of many names, and no name is on all of them.
        var steps = 1_000
        let names = (0..<12).map { "x-\($0)" }
        let rules = try (0..<60).map { i in
            try rule(i, headers: names.enumerated().filter { $0.offset != i % 12 }.map { .equals($0.element, "\(i)") })
        }
        #expect(throws: RouteTableError.tooManyAlike(first: "r0", count: 60)) {
            try RouteTies.refuse(Array(rules.indices), of: rules, steps: &steps)
        }
        steps = RouteTies.stepsMax
        try RouteTies.refuse(Array(rules.indices), of: rules, steps: &steps)
        #expect(steps < RouteTies.stepsMax)
    }

    @Test func `what ties by pairs ties when it is divided, and nothing else`() throws {
        let seed: UInt64 = 0x7135
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        var ties = 0
        for _ in 0..<2_000 {
            let rules = try (0..<12).map { try randomRule($0, &random) }
            let expected = rules.indices.contains { i in rules[(i + 1)...].contains { naiveTie(rules[i], $0) } }
            let found = tie(rules)
            #expect(found.isEmpty == !expected)
            if found.count == 2 { #expect(naiveTie(found[0], found[1])) }
            if expected { ties += 1 }
        }
        #expect((200..<1_900).contains(ties), "the dice must reach both: \(ties)")
    }

    /// The two routes that are refused, or none.
    private func tie(_ rules: [RouteRule]) -> [RouteRule] {
        var steps = RouteTies.stepsMax
        do {
            try RouteTies.refuse(Array(rules.indices), of: rules, steps: &steps)
            return []
        } catch {
            guard case .tie(let first, let second) = error else { return [] }
            return rules.filter { $0.name == first || $0.name == second }
        }
    }

    private func randomRule(_ name: Int, _ random: inout RandomSource) throws -> RouteRule {
        func values(_ most: Int) -> [String] {
            (0...Int.random(in: 0..<most, using: &random)).map { _ in "\(Int.random(in: 0..<60, using: &random))" }
        }
        let test: ValueMatch.Test = Int.random(in: 0..<12, using: &random) == 0 ? .absent : .anyOf(values(3))
        let other: ValueMatch.Test = Int.random(in: 0..<4, using: &random) == 0 ? .present : .anyOf(values(2))
        return try rule(
            name, methods: [["GET"], ["PUT", "GET"], ["DELETE"]].randomElement(using: &random) ?? [],
            headers: [ValueMatch("A", test)], query: [ValueMatch("b", other)])
    }

    private func naiveTie(_ a: RouteRule, _ b: RouteRule) -> Bool {
        if Set(a.methods).isDisjoint(with: b.methods) { return false }
        return !zip(a.headers + a.query, b.headers + b.query).contains { x, y in
            switch (x.test, y.test) {
            case (.anyOf(let p), .anyOf(let q)): Set(p).isDisjoint(with: q)
            case (.absent, .absent): false
            case (.absent, _), (_, .absent): true
            default: false
            }
        }
    }
}
