import HTTPMessages
import Primitives
import Testing

@testable import Routing

/// The compiled table against the plain reference, on random tables and requests (item 65).
struct RouteTablePropertyTests {
    private static let segments = ["a", "b", "ab", "", "a-segment-of-many-bytes", "a-segment-of-many-bytez", "eightbyt"]
    private static let hosts = ["a.example", "b.a.example", "c.b.a.example", "a.test", "example", "another-long-host.example"]
    private static let hostPatterns = ["*", "*", "*.example", "*.a.example", "*.b.a.example"] + hosts
    private static let methods = ["GET", "HEAD", "POST", "DELETE", "PURGE", "REPORT"]

    private struct Dice {
        var random: RandomSource
        mutating func pick<T>(_ items: [T]) -> T { items[Int.random(in: 0..<items.count, using: &random)] }
        mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        mutating func count(_ most: Int) -> Int { Int.random(in: 0...most, using: &random) }
    }

    private static func route(_ dice: inout Dice) -> NaiveMatcher.Route {
        var path = ""
        for i in 0..<dice.count(4) { path += "/" + (dice.chance(30) ? "{p\(i)}" : dice.pick(segments)) }
        if path.isEmpty || dice.chance(30) { path += "/*" }
        var methods = [String]()
        if dice.chance(50) { for method in Self.methods where dice.chance(30) { methods.append(method) } }
        var headers = [ValueMatch]()
        var query = [ValueMatch]()
        if dice.chance(25) { headers.append(condition("x-a", &dice)) }
        if dice.chance(15) { headers.append(condition("x-b", &dice)) }
        if dice.chance(15) { query.append(condition("q", &dice)) }
        return NaiveMatcher.Route(host: dice.pick(hostPatterns), path: path, methods: methods, headers: headers, query: query)
    }

    private static func condition(_ name: String, _ dice: inout Dice) -> ValueMatch {
        ValueMatch(name, dice.pick([.present, .absent, .anyOf(["1"]), .anyOf(["2"]), .anyOf(["1", "3"])]))
    }

    private static func request(_ dice: inout Dice) -> NaiveMatcher.Request {
        var path = ""
        for _ in 0...dice.count(4) { path += "/" + dice.pick(segments) }
        var request = NaiveMatcher.Request(
            method: dice.pick(methods), host: dice.pick(hosts + ["x.c.b.a.example", "nobody"]), path: path)
        if dice.chance(40) { request.fields.append(("x-a", dice.pick(["1", "2", "3", "4"]))) }
        if dice.chance(30) { request.fields.append(("x-b", dice.pick(["1", "2", "3"]))) }
        if dice.chance(30) { request.query.append(("q", dice.pick(["1", "2", "3"]))) }
        return request
    }

    private static func rule(_ route: NaiveMatcher.Route, _ name: Int) throws -> RouteRule {
        RouteRule(
            name: "\(name)", hosts: route.host == "*" ? [] : [try HostPattern(route.host)], path: try PathPattern(route.path),
            methods: route.methods, headers: route.headers, query: route.query)
    }

    /// A table of those routes that do not tie, and their reference.
    private static func table(_ count: Int, _ dice: inout Dice) throws -> (RouteTable, NaiveMatcher, refused: Int) {
        var routes = (0..<count).map { _ in route(&dice) }
        var refused = 0
        while true {
            do {
                return (
                    try RouteTable(routes.enumerated().map { try rule($1, $0) }, seed: dice.random.next()),
                    NaiveMatcher(routes: routes), refused
                )
            } catch RouteTableError.tie(_, let second) {
                routes.remove(at: try #require(Int(second)))
                refused += 1
            }
        }
    }

    static func head(_ request: NaiveMatcher.Request) -> RequestHead {
        let query = request.query.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        var head = makeHead(
            request.method, request.path + (query.isEmpty ? "" : "?" + query), host: request.host, fields: request.fields)
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        return head
    }

    @Test func `the table answers every request as the plain reference does`() throws {
        let seed: UInt64 = 0x2026_0065
        print("seed \(seed)")
        var dice = Dice(random: RandomSource(seed: seed))
        var routed = 0
        var refused = 0
        var methodMisses = 0
        for _ in 0..<300 {
            let (table, naive, ties) = try Self.table(dice.pick([3, 12, 60]), &dice)
            refused += ties
            for _ in 0..<120 {
                let request = Self.request(&dice)
                let head = Self.head(request)
                let (winners, misses) = naive.answer(request)
                let found = table.match(head)
                if let winner = winners.first {
                    routed += 1
                    #expect(found == .route(winner), "\(request)")
                    if winners.count > 1 { #expect(!naive.ties(winner, winners[1], request), "\(request)") }
                } else if misses.isEmpty {
                    #expect(found == .noRoute, "\(request)")
                } else {
                    methodMisses += 1
                    let isUnknown = ["PURGE", "REPORT"].contains(request.method)
                    #expect(found == (isUnknown ? .methodUnknown : .methodNotAllowed), "\(request)")
                    #expect(String(decoding: table.allow(for: head), as: UTF8.self) == allow(naive, misses), "\(request)")
                }
            }
        }
        #expect(
            routed > 5_000 && refused > 20 && methodMisses > 200,
            "the dice must reach every outcome: \(routed) \(refused) \(methodMisses)")
    }

    @Test func `a preflight finds the route that the announced request would find`() throws {
        let seed: UInt64 = 0x0164_0164
        print("seed \(seed)")
        var dice = Dice(random: RandomSource(seed: seed))
        var found = Set<RouteMatch>()
        for _ in 0..<60 {
            let (table, _, _) = try Self.table(dice.pick([3, 12]), &dice)
            for _ in 0..<60 {
                var request = Self.request(&dice)
                let plain = Self.head(request)
                let expected = table.match(plain)
                request.fields += [("Origin", "https://a.example"), ("Access-Control-Request-Method", request.method)]
                request.method = "OPTIONS"
                var head = Self.head(request)
                let answer = table.match(head)
                let announced = table.matchAnnounced(by: &head)
                #expect(announced == expected, "\(request)")
                // Nothing is left changed.
                #expect(head.text(head.methodRange) == "OPTIONS")
                #expect(head.method == .options)
                #expect(table.match(head) == answer)
                found.insert(expected)
            }
        }
        #expect(found.isSuperset(of: [.noRoute, .methodUnknown, .methodNotAllowed]) && found.count > 8)
    }

    private func allow(_ naive: NaiveMatcher, _ misses: [Int]) -> String {
        let all = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
        var allowed = Set<String>()
        for i in misses {
            let methods = naive.routes[i].methods
            allowed.formUnion(methods.isEmpty ? all : methods)
            if methods.contains("GET") { allowed.insert("HEAD") }
        }
        return (all.filter(allowed.contains) + allowed.subtracting(all).sorted()).joined(separator: ", ")
    }

    @Test func `ten routes answer alike alone and among ten thousand`() throws {
        let seed: UInt64 = 0x1010_1010
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let few = try (0..<10).map {
            RouteRule(name: "r\($0)", path: try PathPattern("/api/v\($0)/users/\($0 % 2 == 0 ? "{id}" : "*")"))
        }
        let more = try (0..<9_990).map {
            RouteRule(name: "m\($0)", path: try PathPattern("/service-\($0)/v\($0 % 7)/items/{id}"))
        }
        let small = try RouteTable(few, seed: 3)
        let large = try RouteTable(few + more, seed: 4)
        for i in 0..<2_000 {
            let version = Int.random(in: 0..<12, using: &random)
            let head = Self.head(
                .init(method: "GET", host: "h", path: "/api/v\(version)/users" + ["", "/", "/7", "/7/x"][i % 4]))
            #expect(small.match(head) == large.match(head))
        }
        for i in stride(from: 0, to: 9_990, by: 37) {
            let head = Self.head(.init(method: "GET", host: "h", path: "/service-\(i)/v\(i % 7)/items/42"))
            #expect(large.match(head) == .route(10 + i))
            #expect(small.match(head) == .noRoute)
        }
    }

    @Test(arguments: [1, 10_000])
    func `hosts match in any case and with a trailing dot, few or many`(count: Int) throws {
        // Item 62: a fast path for large lists must not be stricter or laxer than the one for small lists.
        let rules = try (0..<count).map {
            RouteRule(name: "h\($0)", hosts: [try HostPattern("Host-\($0).Example.com")], path: try PathPattern("/*"))
        }
        let table = try RouteTable(rules, seed: 11)
        for i in stride(from: 0, to: count, by: max(1, count / 200)) {
            for host in [
                "host-\(i).example.com", "HOST-\(i).EXAMPLE.COM", "host-\(i).example.com.", "Host-\(i).example.com.:8080",
            ] {
                #expect(table.match(Self.head(.init(method: "GET", host: host, path: "/x"))) == .route(i))
            }
            for host in [
                "host-\(i).example.co", "xhost-\(i).example.com", "host-\(i).example.com.evil.com", "example.com",
                "169.254.169.254",
            ] {
                #expect(table.match(Self.head(.init(method: "GET", host: host, path: "/x"))) == .noRoute)
            }
        }
    }

    @Test func `the path that goes upstream is routed as the path that came in`() throws {
        // Item 53: route(x) == route(upstream bytes of x).
        let seed: UInt64 = 0x0053_0053
        print("seed \(seed)")
        var dice = Dice(random: RandomSource(seed: seed))
        let paths = ["/*", "/admin/*", "/admin/{id}", "/admin/users", "/a/b/*", "/a/{x}/c", "/a%2Fb/*", "/A"]
        let table = try RouteTable(paths.map { RouteRule(name: $0, path: try PathPattern($0)) }, seed: 9)
        let pieces = [
            "/", "/", "admin", "%61dmin", "a", "%41", "b", "%2f", "..", ".", ";", "users", "%75sers", "//", "%2e", "c", "|",
        ]
        var routes = Set<RouteMatch>()
        for _ in 0..<30_000 {
            let target = "/" + (0..<dice.count(6)).map { _ in dice.pick(pieces) }.joined()
            var head = makeHead("GET", target)
            guard CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil else { continue }
            var upstream = makeHead("GET", head.pathText)
            #expect(CanonicalTarget.resolve(&upstream, policy: TargetPolicy()) == nil)
            #expect(upstream.pathText == head.pathText)
            let found = table.match(head)
            #expect(table.match(upstream) == found, "\(target)")
            routes.insert(found)
        }
        #expect(routes.count == paths.count, "the dice must reach every route")
    }
}
