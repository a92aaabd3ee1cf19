import HTTPMessages
import Primitives

/// Turns rules into `RouteStorage` when a configuration is loaded. Not on any request's way.
struct RouteCompiler {
    /// How specific a path pattern is beside others of the same host that match the same path.
    private struct Shape: Hashable, Comparable {
        var isFull: Bool
        var segments: Int
        var literals: Int
        /// The first segment is the highest bit of 64; set where it is literal.
        var pattern: UInt64

        static func < (a: Shape, b: Shape) -> Bool {
            if a.isFull != b.isFull { return b.isFull }
            if a.segments != b.segments { return a.segments < b.segments }
            if a.literals != b.literals { return a.literals < b.literals }
            return a.pattern < b.pattern
        }

        init(_ path: PathPattern) {
            isFull = !path.isPrefix
            segments = path.segments.count
            literals = 0
            pattern = 0
            for (i, segment) in path.segments.enumerated() {
                switch segment {
                case .literal:
                    literals += 1
                    pattern |= 1 << UInt64(63 - i)
                case .parameter: break
                }
            }
        }
    }

    private struct Step: Hashable {
        var from: Int32
        var text: [UInt8]
    }

    private let rules: [RouteRule]
    private var storage: RouteStorage
    private var parents: [Int32]
    private var steps: [Step: Int32] = [:]
    private var fullRules: [Int32: [Int]] = [:]
    private var prefixRules: [Int32: [Int]] = [:]
    private var ranks: [Shape: Int32] = [:]
    private var stepsLeft = RouteTies.stepsMax

    static func compile(_ rules: [RouteRule], seed: UInt64) throws(RouteTableError) -> RouteStorage {
        var compiler = RouteCompiler(rules, seed: seed)
        for rule in rules { try compiler.check(rule) }
        compiler.rankShapes()
        for index in rules.indices where rules[index].isEnabled { compiler.add(index) }
        try compiler.makeTerminals()
        compiler.linkPrefixes()
        compiler.makeEdges()
        return compiler.storage
    }

    private init(_ rules: [RouteRule], seed: UInt64) {
        self.rules = rules
        storage = RouteStorage(hash: SegmentHash(seed: seed))
        storage.nodes = ContiguousArray(repeating: .init(), count: 3)
        parents = [-1, -1, -1]
    }

    private func check(_ rule: RouteRule) throws(RouteTableError) {
        for method in rule.methods {
            let bytes = Array(method.utf8)
            guard bytes.count <= 32, isToken(bytes.span.bytes) else { throw .method(route: rule.name, method) }
            switch Method(bytes.span.bytes) {
            case .connect, .trace: throw .method(route: rule.name, method)
            case .get, .head, .post, .put, .delete, .options, .patch: break
            case .other:
                let upper = bytes.map { $0 &- 0x61 < 26 ? $0 & 0xdf : $0 }
                guard case .other = Method(upper.span.bytes) else { throw .method(route: rule.name, method) }
            }
        }
        for header in rule.headers {
            let name = Array(header.name.utf8)
            guard isToken(name.span.bytes) else { throw .headerName(route: rule.name, header.name) }
        }
        for match in rule.headers + rule.query where match.test == .anyOf([]) { throw .noValues(route: rule.name, match.name) }
    }

    private mutating func rankShapes() {
        let shapes = Set(rules.map { Shape($0.path) }).sorted()
        for (i, shape) in shapes.enumerated() { ranks[shape] = Int32(i) }
    }

    private mutating func add(_ index: Int) {
        let rule = rules[index]
        var seen = Set<HostPattern>()
        for host in rule.hosts.isEmpty ? [.any] : rule.hosts where seen.insert(host).inserted {
            var node = root(of: host)
            for segment in rule.path.segments {
                switch segment {
                case .literal(let text): node = child(of: node, text)
                case .parameter: node = parameterChild(of: node)
                }
            }
            if rule.path.isPrefix {
                prefixRules[node, default: []].append(index)
            } else {
                fullRules[node, default: []].append(index)
            }
        }
    }

    private mutating func root(of host: HostPattern) -> Int32 {
        switch host {
        case .exact(let name):
            storage.hasExactHosts = true
            return child(of: RouteStorage.exactHosts, name)
        case .wildcard(let name):
            storage.hasWildcards = true
            storage.wildcardBytesMax = max(storage.wildcardBytesMax, name.count)
            return child(of: RouteStorage.wildcardHosts, name)
        case .any:
            storage.hasAnyHost = true
            return RouteStorage.anyHost
        }
    }

    private mutating func child(of node: Int32, _ text: [UInt8]) -> Int32 {
        let step = Step(from: node, text: text)
        if let known = steps[step] { return known }
        let new = makeNode(below: node)
        steps[step] = new
        return new
    }

    private mutating func parameterChild(of node: Int32) -> Int32 {
        if storage.nodes[Int(node)].parameter < 0 { storage.nodes[Int(node)].parameter = makeNode(below: node) }
        return storage.nodes[Int(node)].parameter
    }

    private mutating func makeNode(below node: Int32) -> Int32 {
        storage.nodes.append(.init())
        parents.append(node)
        return Int32(storage.nodes.count - 1)
    }

    private mutating func makeTerminals() throws(RouteTableError) {
        for node in 0..<Int32(storage.nodes.count) {
            if let found = fullRules[node] { storage.nodes[Int(node)].full = try makeTerminal(found) }
            if let found = prefixRules[node] { storage.nodes[Int(node)].prefix = try makeTerminal(found) }
        }
    }

    private mutating func makeTerminal(_ indices: [Int]) throws(RouteTableError) -> Int32 {
        let ordered = try RouteOrder.sort(indices, of: rules, steps: &stepsLeft)
        let first = Int32(storage.entries.count)
        for index in ordered { appendEntry(index) }
        let rank = ranks[Shape(rules[ordered[0]].path)] ?? 0
        storage.terminals.append(.init(rank: rank, firstEntry: first, endEntry: Int32(storage.entries.count)))
        return Int32(storage.terminals.count - 1)
    }

    private mutating func appendEntry(_ index: Int) {
        let rule = rules[index]
        let firstMethod = Int32(storage.texts.count)
        for method in rule.methods {
            let bytes = Array(method.utf8)
            if case .other = Method(bytes.span.bytes) { storage.texts.append(makeText(bytes)) }
        }
        let methods = firstMethod..<Int32(storage.texts.count)
        let firstCondition = Int32(storage.conditions.count)
        for header in rule.headers { appendCondition(header, isQuery: false) }
        for parameter in rule.query { appendCondition(parameter, isQuery: true) }
        storage.entries.append(
            .init(
                rule: Int32(index), methods: MethodSet(rule.methods).bits, customMethods: methods,
                conditions: firstCondition..<Int32(storage.conditions.count)))
    }

    private mutating func appendCondition(_ match: ValueMatch, isQuery: Bool) {
        let first = Int32(storage.texts.count)
        let test: RouteStorage.Condition.Test
        switch match.test {
        case .present: test = .present
        case .absent: test = .absent
        case .anyOf(let values):
            test = .anyOf
            for value in values { storage.texts.append(makeText(Array(value.utf8))) }
        }
        let name = isQuery ? Array(match.name.utf8) : match.name.utf8.map(ASCII.lowercased)
        storage.conditions.append(
            .init(
                isQuery: isQuery, test: test, name: makeText(name),
                values: first..<Int32(storage.texts.count)))
    }

    private mutating func makeText(_ bytes: [UInt8]) -> RouteStorage.Text {
        let offset = Int32(storage.text.count)
        storage.text.append(contentsOf: bytes)
        return .init(offset: offset, count: Int32(bytes.count))
    }

    /// Parents come before their children, so one pass does.
    private mutating func linkPrefixes() {
        for i in storage.nodes.indices {
            let above = parents[i] < 0 ? -1 : storage.nodes[Int(parents[i])].prefixHolder
            storage.nodes[i].prefixHolderAbove = above
            storage.nodes[i].prefixHolder = storage.nodes[i].prefix >= 0 ? Int32(i) : above
        }
    }

    private mutating func makeEdges() {
        var size = 16
        while size < steps.count * 2 { size *= 2 }
        storage.edges = ContiguousArray(repeating: .init(), count: size)
        for (step, to) in steps.sorted(by: { $0.value < $1.value }) {
            let segment = storage.hash.segment(step.text.span.bytes, 0, step.text.count, from: step.from)
            var slot = Int(truncatingIfNeeded: segment.hash) & (size - 1)
            while storage.edges[slot].to >= 0 { slot = (slot + 1) & (size - 1) }
            let text = makeText(step.text)
            storage.edges[slot] = .init(
                head: segment.head, from: step.from, to: to, textOffset: text.offset,
                textCount: text.count)
        }
    }
}
