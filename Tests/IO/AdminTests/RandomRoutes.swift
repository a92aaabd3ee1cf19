import Primitives
import Routing

struct Dice {
    var random: RandomSource
    mutating func pick<T>(_ items: [T]) -> T { items[Int.random(in: 0..<items.count, using: &random)] }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    mutating func count(_ most: Int) -> Int { Int.random(in: 0...most, using: &random) }
}

/// A drawn route, with a matcher that shares no code with the table: it tries every condition by itself.
struct RandomRoute: CustomStringConvertible {
    let name: String
    let host: String
    let path: String
    let methods: [String]
    let headers: [ValueMatch]
    let query: [ValueMatch]
    /// More keys of the route, as the file writes them.
    let rest: String

    private static let segments = ["a", "b", "ab", "users", "A"]
    static let hosts = ["a.example", "b.a.example", "c.b.a.example", "a.test", "example"]
    private static let patterns = ["*", "*", "*.example", "*.a.example"] + hosts
    private static let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]

    init(number: Int, _ dice: inout Dice) {
        name = "r\(number)"
        host = dice.pick(Self.patterns)
        var path = ""
        for i in 0..<dice.count(3) { path += "/" + (dice.chance(30) ? "{p\(i)}" : dice.pick(Self.segments)) }
        if path.isEmpty || dice.chance(30) { path += "/*" }
        self.path = path
        methods = dice.chance(60) ? RandomRequest.methods.filter { _ in dice.chance(30) } : []
        headers = dice.chance(30) ? [Self.condition("x-a", &dice)] : []
        query = dice.chance(20) ? [Self.condition("q", &dice)] : []
        var rest = ["service: users", "service: users", "respond: {status: 204}"][dice.count(2)]
        if rest.hasPrefix("service") {
            rest += ["", ", path: {strip_prefix: /a, add_prefix: /v1}", ", path: {rewrite: /fixed}"][dice.count(2)]
        }
        rest += ["", "", ", middlewares: [tag]", ", middlewares: [small, tag]"][dice.count(3)]
        self.rest = rest
    }

    private static func condition(_ name: String, _ dice: inout Dice) -> ValueMatch {
        ValueMatch(name, dice.pick([.present, .absent, .anyOf(["1"]), .anyOf(["1", "3"])]))
    }

    var rule: RouteRule {
        get throws {
            RouteRule(
                name: name, hosts: host == "*" ? [] : [try HostPattern(host)], path: try PathPattern(path), methods: methods,
                headers: headers, query: query)
        }
    }

    var yaml: String {
        var match = "path: \"\(path)\""
        if host != "*" { match += ", host: \"\(host)\"" }
        if !methods.isEmpty { match += ", methods: [\(methods.joined(separator: ", "))]" }
        if !headers.isEmpty { match += ", headers: {\(headers.map(Self.yaml).joined(separator: ", "))}" }
        if !query.isEmpty { match += ", query: {\(query.map(Self.yaml).joined(separator: ", "))}" }
        return "- {name: \(name), match: {\(match)}, \(rest)}"
    }

    private static func yaml(_ match: ValueMatch) -> String {
        switch match.test {
        case .present: "\(match.name): {present: true}"
        case .absent: "\(match.name): {present: false}"
        case .anyOf(let values): "\(match.name): [\(values.map { "\"\($0)\"" }.joined(separator: ", "))]"
        }
    }

    var description: String { yaml }

    // The reference.

    func misfits(_ request: RandomRequest) -> [RouteMisfit] {
        var misfits: [RouteMisfit] = []
        if !hostFits(request.host) { misfits.append(.host) }
        if !pathFits(request.path) { misfits.append(.path) }
        if !methodFits(request.method) { misfits.append(.method) }
        misfits += headers.filter { !Self.holds($0, request.fields.filter { $0.0 == "x-a" }.map(\.1)) }.map { .header($0) }
        misfits += query.filter { !Self.holds($0, request.query.map { [$0] } ?? []) }.map { .query($0) }
        return misfits
    }

    /// Smaller is more specific.
    func key(_ request: RandomRequest) -> [Int] {
        let segments = split(path)
        let all = headers + query
        let hostKind = host == "*" ? 2 : host.hasPrefix("*.") ? 1 : 0
        let named = methods.isEmpty ? 2 : request.method == "HEAD" && !methods.contains("HEAD") ? 1 : 0
        return [hostKind, hostKind == 1 ? -host.utf8.count : 0, path.hasSuffix("/*") ? 1 : 0, -segments.count]
            + [-segments.count { !$0.hasPrefix("{") }] + segments.map { $0.hasPrefix("{") ? 1 : 0 }
            + [-all.count, -all.count { if case .anyOf = $0.test { true } else { false } }, named]
    }

    private func split(_ path: String) -> [String] {
        let body = path.hasSuffix("/*") ? String(path.dropLast(2)) : path
        return body.isEmpty ? [] : body.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    private func hostFits(_ host: String) -> Bool {
        if self.host == "*" { return true }
        return self.host.hasPrefix("*.")
            ? host.hasSuffix(self.host.dropFirst()) && host.count >= self.host.count : self.host == host
    }

    private func pathFits(_ path: String) -> Bool {
        let want = split(self.path)
        let have = split(path + "/*")
        guard self.path.hasSuffix("/*") ? have.count >= want.count : have.count == want.count else { return false }
        return zip(want, have).allSatisfy { $0.hasPrefix("{") ? !$1.isEmpty : $0 == $1 }
    }

    private func methodFits(_ method: String) -> Bool {
        if methods.isEmpty { return Self.known.contains(method) }
        return methods.contains(method) || method == "HEAD" && methods.contains("GET")
    }

    private static func holds(_ match: ValueMatch, _ values: [String]) -> Bool {
        switch match.test {
        case .present: !values.isEmpty
        case .absent: values.isEmpty
        case .anyOf(let wanted): values.contains { wanted.contains($0) }
        }
    }
}

/// A drawn request, as a body of `POST /explain` and as the bytes of its client.
struct RandomRequest: CustomStringConvertible {
    static let methods = ["GET", "HEAD", "POST", "DELETE", "PURGE"]

    let method: String
    let host: String
    let path: String
    /// The value of `q`.
    let query: String?
    let fields: [(String, String)]

    /// - Parameter isPlain: only with fields that go on as they are.
    init(_ dice: inout Dice, isPlain: Bool = false) {
        method = dice.pick(Self.methods)
        host = dice.pick(RandomRoute.hosts + ["x.b.a.example", "nobody"])
        var path = ""
        for _ in 0...dice.count(3) { path += "/" + dice.pick(["a", "b", "ab", "users", "A", "", "a-longer-segment"]) }
        self.path = path
        query = dice.chance(40) ? dice.pick(["1", "2", "3"]) : nil
        var fields: [(String, String)] = []
        for _ in 0..<dice.count(2) { fields.append(("x-a", dice.pick(["1", "2", "3"]))) }
        if isPlain {
            self.fields = fields
            return
        }
        if dice.chance(20) { fields.append(("content-length", dice.pick(["0", "5", "500"]))) }
        if dice.chance(20) { fields.append(("x-forwarded-for", "203.0.113.7")) }
        if dice.chance(20) { fields.append(("connection", dice.pick(["close", "x-a", "keep-alive, x-b"]))) }
        if dice.chance(10) { fields.append(("te", "trailers")) }
        if dice.chance(10) { fields.append(("via", dice.pick(["1.1 other", "1.1 gw"]))) }
        self.fields = fields
    }

    private var target: String { path + (query.map { "?q=\($0)" } ?? "") }

    var body: String {
        var names: [String] = []
        for field in fields where !names.contains(field.0) { names.append(field.0) }
        let headers = names.map { name in
            "\"\(name)\": [" + fields.filter { $0.0 == name }.map { "\"\($0.1)\"" }.joined(separator: ", ") + "]"
        }
        return
            "{\"method\": \"\(method)\", \"url\": \"http://\(host)\(target)\", \"client\": \"10.2.2.2\", \"headers\": {\(headers.joined(separator: ", "))}}"
    }

    /// The fields in the order of `body`.
    var wire: String {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n"
        var names: [String] = []
        for field in fields where !names.contains(field.0) { names.append(field.0) }
        for name in names { for field in fields where field.0 == name { text += "\(name): \(field.1)\r\n" } }
        return text + "\r\n"
    }

    var description: String { body }
}
