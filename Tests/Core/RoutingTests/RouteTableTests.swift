import HTTPMessages
import Primitives
import Testing

@testable import Routing

/// Which route wins, what ties, and what is answered where none takes a request: items 20, 61 to 65, 72, 76.
struct RouteTableTests {
    private func rule(
        _ name: String, _ path: String, hosts: [String] = [], methods: [String] = [], headers: [ValueMatch] = [],
        query: [ValueMatch] = []
    ) throws -> RouteRule {
        RouteRule(
            name: name, hosts: try hosts.map { try HostPattern($0) }, path: try PathPattern(path), methods: methods,
            headers: headers, query: query)
    }

    private func found(
        _ rules: [RouteRule], _ target: String, host: String? = "example.com", fields: [(String, String)] = []
    ) throws -> String {
        try found(rules, "GET", target, host: host, fields: fields)
    }

    private func found(
        _ rules: [RouteRule], _ method: String, _ target: String, host: String? = "example.com",
        fields: [(String, String)] = []
    ) throws -> String {
        let table = try RouteTable(rules, seed: 42)
        let reversed = try RouteTable(rules.reversed(), seed: 43)
        var head = makeHead(method, target, host: host, fields: fields)
        if let fault = CanonicalTarget.resolve(&head, policy: TargetPolicy()) { return "\(fault)" }
        let name = text(table.match(head), rules)
        #expect(text(reversed.match(head), rules.reversed()) == name, "the place in the file must not matter")
        return name
    }

    private func text(_ match: RouteMatch, _ rules: [RouteRule]) -> String {
        if case .route(let i) = match { rules[i].name } else { "\(match)" }
    }

    @Test(arguments: [
        ("/api", "api"), ("/api/", "api"), ("/api/x", "api"), ("/api/v1", "v1"), ("/api/v1/", "v1"), ("/api/v1/x/y", "v1"),
        ("/api/v10", "api"), ("/apix", "noRoute"), ("/ap", "noRoute"), ("/", "noRoute"), ("/API", "noRoute"),
        ("//api", "noRoute"),
        ("/api//v1", "api"),
    ])
    func `a prefix ends at a segment and the longest one wins`(target: String, expected: String) throws {
        #expect(try found([rule("api", "/api/*"), rule("v1", "/api/v1/*")], target) == expected)
    }

    @Test(arguments: [
        ("/users/me", "exact"), ("/users/7", "template"), ("/users/7/x", "below"), ("/users/me/x", "literal"),
        ("/users", "prefix"), ("/users/", "prefix"), ("/users//", "prefix"), ("/other", "all"), ("/", "all"),
        ("/users/me/x/y", "literal"),
    ])
    func `exact goes before template, template before prefix, longer before shorter`(target: String, expected: String) throws {
        let rules = try [
            rule("all", "/*"), rule("prefix", "/users/*"), rule("template", "/users/{id}"), rule("below", "/users/{id}/*"),
            rule("exact", "/users/me"), rule("literal", "/users/me/*"),
        ]
        #expect(try found(rules, target) == expected)
    }

    @Test func `more literal segments win, then the one that is literal further left`() throws {
        let rules = try [
            rule("late", "/{z}/b/c"), rule("early", "/a/{x}/{y}"), rule("left", "/a/{x}/c"), rule("right", "/{x}/q/c"),
        ]
        #expect(try found(rules, "/a/b/c") == "left")
        #expect(try found([rules[0], rules[1]], "/a/b/c") == "late")
        #expect(try found([rules[2], rules[3]], "/a/q/c") == "left")
        #expect(try found(rules, "/x/q/c") == "right")
    }

    @Test func `a route for GET and POST alone is found by its preflights and by no other OPTIONS`() throws {
        let table = try RouteTable(
            [rule("api", "/api", methods: ["GET", "POST"]), rule("purge", "/p", methods: ["PURGE"])], seed: 5)
        let matched = { (method: String, target: String, fields: [(String, String)]) throws -> RouteMatch? in
            var head = makeHead(method, target, fields: fields)
            #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
            return table.matchAnnounced(by: &head)
        }
        let origin = ("Origin", "https://a.example")
        let asks = { (method: String) in [origin, ("access-control-request-method", method)] }
        #expect(try matched("OPTIONS", "/api", asks("POST")) == .route(0))
        #expect(try matched("OPTIONS", "/api", asks("HEAD")) == .route(0))
        #expect(try matched("OPTIONS", "/api", asks("PUT")) == .methodNotAllowed)
        #expect(try matched("OPTIONS", "/api", asks("get")) == .methodUnknown)
        #expect(try matched("OPTIONS", "/p", asks("PURGE")) == .route(1))
        #expect(try matched("OPTIONS", "/p", asks("BAN")) == .methodUnknown)
        #expect(try matched("OPTIONS", "/nowhere", asks("GET")) == .noRoute)
        // No preflights.
        #expect(try matched("OPTIONS", "/api", []) == nil)
        #expect(try matched("OPTIONS", "/api", [origin]) == nil)
        #expect(try matched("OPTIONS", "/api", [asks("GET")[1]]) == nil)
        #expect(try matched("OPTIONS", "/api", asks("")) == nil)
        #expect(try matched("OPTIONS", "/api", asks("GET POST")) == nil)
        #expect(try matched("GET", "/api", asks("GET")) == nil)
    }

    @Test func `a preflight finds a route by the names of the fields that it announces`() throws {
        let table = try RouteTable(
            [
                rule("v1", "/api", headers: [.equals("X-Tenant", "one")]),
                rule("here", "/p", headers: [ValueMatch("x-a", .present)]),
                rule("gone", "/p", headers: [ValueMatch("x-a", .absent)]), rule("all", "/q"),
                rule("tenant", "/q", headers: [.equals("x-tenant", "two")]),
                rule("cookie", "/c", headers: [.equals("Cookie", "a=b")]),
                rule("json", "/t", headers: [.equals("content-type", "application/json")]), rule("plain", "/t"),
                rule("q", "/v", headers: [.equals("x-tenant", "one")], query: [.equals("v", "1")]),
            ], seed: 5)
        let announced = { (target: String, names: [String], fields: [(String, String)]) throws -> String in
            var head = makeHead(
                "OPTIONS", target,
                fields: [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")]
                    + names.map { ("Access-Control-Request-Headers", $0) } + fields)
            #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
            return table.matchAnnounced(by: &head).map { text($0, table.rules) } ?? "none"
        }
        #expect(try announced("/api", ["x-tenant"], []) == "v1")
        #expect(try announced("/api", ["content-type, X-Tenant ,x-b"], []) == "v1")
        #expect(try announced("/api", ["x-b", "x-tenant"], []) == "v1")
        // Who does not announce the field will not send it.
        #expect(try announced("/api", [], []) == "noRoute")
        #expect(try announced("/api", ["x-tenants,,x"], []) == "noRoute")
        // A field that is there is looked at.
        #expect(try announced("/api", ["x-tenant"], [("x-tenant", "two")]) == "noRoute")
        #expect(try announced("/p", ["x-a"], []) == "here")
        #expect(try announced("/p", [], []) == "gone")
        #expect(try announced("/q", [], []) == "all")
        #expect(try announced("/q", ["x-tenant"], []) == "tenant")
        // Browsers do not announce cookies, and not every content type; a route that fits without is taken first.
        #expect(try announced("/c", [], []) == "cookie")
        #expect(try announced("/t", [], []) == "plain")
        #expect(try announced("/t", ["content-type"], []) == "json")
        // The query is that of the request.
        #expect(try announced("/v?v=1", ["x-tenant"], []) == "q")
        #expect(try announced("/v?v=2", ["x-tenant"], []) == "noRoute")
    }

    @Test func `a template whose literal way ends is left for the parameter's way`() throws {
        let rules = try [rule("a", "/x/lit/{b}/end"), rule("b", "/x/{a}/two/{c}")]
        #expect(try found(rules, "/x/lit/two/three") == "b")
        #expect(try found(rules, "/x/lit/two/end") == "a")
        #expect(try found(rules, "/x/lit/q/three") == "noRoute")
    }

    @Test(
        arguments: [
            ("api.example.com", "exact"), ("x.example.com", "wildcard"), ("y.x.example.com", "wildcard"),
            ("z.eu.example.com", "longer"),
            ("example.com", "any"), ("eu.example.com", "wildcard"), ("notexample.com", "any"), (nil, "any"), ("10.0.0.1", "any"),
        ] as [(String?, String)])
    func `an exact host goes before the longest wildcard, a wildcard before any`(host: String?, expected: String) throws {
        let rules = try [
            rule("any", "/*"), rule("wildcard", "/*", hosts: ["*.example.com"]),
            rule("longer", "/*", hosts: ["*.eu.example.com"]),
            rule("exact", "/*", hosts: ["api.example.com"]),
        ]
        #expect(try found(rules, "/x", host: host) == expected)
    }

    @Test func `a host counts more than a path, and one that takes nothing gives way`() throws {
        let rules = try [rule("path", "/a/b"), rule("host", "/a/*", hosts: ["example.com"])]
        #expect(try found(rules, "/a/b") == "host")
        #expect(try found(rules, "/a/b", host: "other") == "path")
        #expect(try found([rule("live", "/live"), rule("host", "/a/*", hosts: ["example.com"])], "/live") == "live")
    }

    @Test func `a request whose host no route names finds no route`() throws {
        #expect(
            try found([rule("a", "/*", hosts: ["api.example.com", "*.example.org"])], "/", host: "169.254.169.254") == "noRoute")
        #expect(try found([rule("a", "/*", hosts: ["api.example.com"])], "/", host: nil) == "noRoute")
    }

    @Test(arguments: ["\u{301}", "\u{20d7}", "\u{fe0f}", "\u{200d}"])
    func `a combining mark behind a separator changes neither prefix nor segment`(mark: String) throws {
        // Item 64: as Strings, "/admin" is no prefix of "/admin\u{301}", and "/\u{301}" holds no slash.
        let escaped = mark.utf8.map { "%" + String($0, radix: 16) }.joined()
        let rules = try [rule("admin", "/admin/*"), rule("all", "/*")]
        #expect(try found(rules, "/admin/" + escaped) == "admin")
        #expect(try found(rules, "/admin/" + escaped + "/x") == "admin")
        #expect(try found(rules, "/admin" + escaped) == "all")
        #expect(try found(rules, "/" + escaped + "admin/x") == "all")
        #expect(try found([rule("id", "/a/{id}/b")], "/a/" + escaped + "/b") == "id")
        var head = makeHead("GET", "/admin/" + mark)
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == .invalidByte)
    }

    @Test(arguments: [
        ("/%61dmin", "admin"), ("/admin/../admin/x", "admin"), ("/x/../admin", "admin"), ("/admin/./", "admin"),
        ("/%41dmin", "all"),
        ("/admin;x", "all"), ("/admin%2Fx", "all"), ("/%2561dmin", "all"), ("//admin", "all"), ("/admin.", "all"),
    ])
    func `a path is matched in canonical form`(target: String, expected: String) throws {
        #expect(try found([rule("admin", "/admin/*"), rule("all", "/*")], target) == expected)
    }

    @Test func `a method that the specific route does not take goes to a less specific one`() throws {
        let rules = try [
            rule("read", "/a/b", methods: ["GET"]), rule("write", "/a/*", methods: ["POST"]), rule("old", "/a/b", hosts: ["old"]),
        ]
        #expect(try found(rules, "GET", "/a/b") == "read")
        #expect(try found(rules, "HEAD", "/a/b") == "read")
        #expect(try found(rules, "POST", "/a/b") == "write")
        #expect(try found(rules, "DELETE", "/a/b") == "methodNotAllowed")
        #expect(try found(rules, "DELETE", "/b") == "noRoute")
        #expect(try found(rules, "PROPFIND", "/a/b") == "methodUnknown")
        #expect(try found(rules, "get", "/a/b") == "methodUnknown")
    }

    @Test func `named methods go before all methods, HEAD by name before HEAD by way of GET`() throws {
        let rules = try [
            rule("all", "/a"), rule("get", "/a", methods: ["GET"]), rule("head", "/a", methods: ["HEAD"]),
            rule("dav", "/a", methods: ["PROPFIND", "COPY"]),
        ]
        #expect(try found(rules, "GET", "/a") == "get")
        #expect(try found(rules, "HEAD", "/a") == "head")
        #expect(try found(rules, "PUT", "/a") == "all")
        #expect(try found(rules, "COPY", "/a") == "dav")
        #expect(try found(rules, "MOVE", "/a") == "methodUnknown")
    }

    @Test func `Allow lists the methods of all routes that match but for the method`() throws {
        let table = try RouteTable(
            [
                rule("a", "/a/{x}", methods: ["GET"]), rule("b", "/a/*", methods: ["POST", "PURGE"]),
                rule("c", "/*", hosts: ["other"], methods: ["PUT"]),
                rule("d", "/a/b", methods: ["PATCH"], headers: [.equals("x", "1")]),
                rule("e", "/*", hosts: ["*.com"], methods: ["DELETE"]),
            ], seed: 5)
        var head = makeHead("OPTIONS", "/a/b")
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(table.match(head) == .methodNotAllowed)
        #expect(String(decoding: table.allow(for: head), as: UTF8.self) == "GET, HEAD, POST, DELETE, PURGE")
    }

    @Test func `each value of a repeated field is looked at and none is joined`() throws {
        let rules = try [rule("beta", "/*", headers: [.equals("X-Track", "beta")]), rule("all", "/*")]
        #expect(try found(rules, "/", fields: [("x-track", "beta")]) == "beta")
        #expect(try found(rules, "/", fields: [("X-TRACK", "stable"), ("x-track", "beta")]) == "beta")
        #expect(try found(rules, "/", fields: [("x-track", "stable, beta")]) == "all")
        #expect(try found(rules, "/", fields: [("x-track", "Beta")]) == "all")
        #expect(try found(rules, "/", fields: [("x-track2", "beta")]) == "all")
        #expect(try found(rules, "/") == "all")
    }

    @Test func `a removed field is not matched`() throws {
        let table = try RouteTable([rule("a", "/*", headers: [ValueMatch("x", .present)])], seed: 1)
        var head = makeHead("GET", "/", fields: [("x", "1")])
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(table.match(head) == .route(0))
        head.headers.remove(at: 1)
        #expect(table.match(head) == .noRoute)
    }

    @Test(arguments: [
        ("/?v=2", "two"), ("/?a=1&v=2", "two"), ("/?v=%32", "two"), ("/?%76=2", "two"), ("/?v=3", "present"), ("/?v", "present"),
        ("/?v=", "present"), ("/?v=2%", "present"), ("/?v=2&v=3", "two"), ("/?vv=2", "absent"), ("/", "absent"), ("/?", "absent"),
        ("/?x=v=2", "absent"), ("/?V=2", "absent"), ("/?v=new%20york", "york"), ("/?v=new+york", "present"), ("/?&&v=2", "two"),
    ])
    func `a query parameter is compared after percent-decoding`(target: String, expected: String) throws {
        let rules = try [
            rule("two", "/", query: [.equals("v", "2")]), rule("york", "/", query: [.equals("v", "new york")]),
            rule("present", "/", query: [ValueMatch("v", .present)]), rule("absent", "/", query: [ValueMatch("v", .absent)]),
        ]
        #expect(try found(rules, target) == expected)
    }

    @Test func `more conditions go before fewer, values before presence`() throws {
        let rules = try [
            rule("none", "/"), rule("one", "/", headers: [.equals("a", "1")]),
            rule("two", "/", headers: [.equals("a", "1"), .equals("b", "1")]),
            rule("here", "/", headers: [ValueMatch("a", .present)]),
        ]
        #expect(try found(rules, "/", fields: [("a", "1"), ("b", "1")]) == "two")
        #expect(try found(rules, "/", fields: [("a", "1")]) == "one")
        #expect(try found(rules, "/", fields: [("a", "2")]) == "here")
        #expect(try found(rules, "/") == "none")
    }

    @Test func `two routes that take the same requests are refused by name`() throws {
        let pairs: [(RouteRule, RouteRule)] = try [
            (rule("a", "/x"), rule("b", "/x")), (rule("a", "/x/*"), rule("b", "/x/*")), (rule("a", "/{p}"), rule("b", "/{q}")),
            (rule("a", "/x", methods: ["GET", "PUT"]), rule("b", "/x", methods: ["PUT"])),
            (rule("a", "/x", hosts: ["h", "i"]), rule("b", "/x", hosts: ["j", "I"])),
            (rule("a", "/x", headers: [ValueMatch("p", .present)]), rule("b", "/x", headers: [ValueMatch("q", .present)])),
            (rule("a", "/x", headers: [.equals("p", "1")]), rule("b", "/x", headers: [ValueMatch("P", .anyOf(["1", "2"]))])),
            (rule("a", "/x", headers: [.equals("p", "1")]), rule("b", "/x", query: [.equals("p", "2")])),
            (rule("a", "/x", methods: ["COPY"]), rule("b", "/x", methods: ["COPY"])),
        ]
        for (a, b) in pairs {
            #expect(throws: RouteTableError.tie(first: "a", second: "b")) { try RouteTable([a, b], seed: 1) }
        }
        #expect("\(RouteTableError.tie(first: "a", second: "b"))".contains("`a` and `b`"))
    }

    @Test func `routes that some condition keeps apart do not tie`() throws {
        let pairs: [(RouteRule, RouteRule)] = try [
            (rule("a", "/x", methods: ["GET"]), rule("b", "/x", methods: ["PUT"])),
            (rule("a", "/x", methods: ["GET"]), rule("b", "/x")),
            (rule("a", "/x", headers: [.equals("p", "1")]), rule("b", "/x", headers: [.equals("p", "2")])),
            (rule("a", "/x", query: [ValueMatch("p", .present)]), rule("b", "/x", query: [ValueMatch("p", .absent)])),
            (rule("a", "/x", hosts: ["h"]), rule("b", "/x", hosts: ["i"])), (rule("a", "/x", hosts: ["h"]), rule("b", "/x")),
            (rule("a", "/x"), rule("b", "/x/")), (rule("a", "/x"), rule("b", "/x/*")), (rule("a", "/x/{a}"), rule("b", "/{a}/x")),
        ]
        for (a, b) in pairs { #expect(throws: Never.self) { try RouteTable([a, b], seed: 1) } }
    }

    @Test func `a route that is off takes nothing, ties with nothing and keeps its index`() throws {
        var off = try rule("off", "/x")
        off.isEnabled = false
        let table = try RouteTable([off, rule("on", "/x")], seed: 1)
        var head = makeHead("GET", "/x")
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(table.match(head) == .route(1))
        #expect(try RouteTable([off], seed: 1).match(head) == .noRoute)
    }

    @Test func `methods and names that no request could have are refused`() throws {
        for method in ["CONNECT", "TRACE", "get", "", "A B", String(repeating: "A", count: 33)] {
            #expect(throws: RouteTableError.method(route: "a", method)) {
                try RouteTable([rule("a", "/", methods: [method])], seed: 1)
            }
        }
        #expect(throws: RouteTableError.headerName(route: "a", "x y")) {
            try RouteTable([rule("a", "/", headers: [ValueMatch("x y", .present)])], seed: 1)
        }
        #expect(throws: RouteTableError.noValues(route: "a", "x")) {
            try RouteTable([rule("a", "/", query: [ValueMatch("x", .anyOf([]))])], seed: 1)
        }
    }

    @Test func `an empty table finds no route`() throws {
        #expect(try found([], "/") == "noRoute")
    }

    @Test func `captures give the segments of a template`() throws {
        let table = try RouteTable([rule("a", "/users/{id}/orders/{order}/*")], seed: 1)
        var head = makeHead("GET", "/users/%37%2c/orders/x/y/z")
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(table.match(head) == .route(0))
        let captures = table.captures(route: 0, in: head)
        #expect(captures.map(\.name) == ["id", "order"])
        #expect(captures.map { head.text($0.range) } == ["7%2C", "x"])
        #expect(head.text(Capture.rest(after: 4).range(in: head)) == "y/z")
        #expect(Capture.segment(9).range(in: head).isEmpty)
        #expect(table.captures(route: 1, in: head).isEmpty)
    }

    @Test func `a path as long as the limit with the deepest pattern is matched`() throws {
        let deep = String(repeating: "/{p}", count: 1) + String(repeating: "/a", count: 63)
        let table = try RouteTable([rule("deep", deep), rule("all", "/*")], seed: 1)
        var head = makeHead("GET", String(repeating: "/a", count: 64))
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(table.match(head) == .route(0))
        head = makeHead("GET", String(repeating: "/a", count: 4096))
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(table.match(head) == .route(1))
    }
}
