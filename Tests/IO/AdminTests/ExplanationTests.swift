import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Testing

@testable import Admin

struct ExplanationTests {
    private static let routes = """
        - {name: user, match: {host: api.example.com, path: "/users/{id}", methods: [GET]}, service: users, middlewares: [tag, small]}
        - {name: beta, match: {host: api.example.com, path: "/users/{id}", headers: {X-Beta: "1"}}, service: users}
        - {name: all, match: {path: "/*"}, respond: {status: 404}}
        """
    private static let middlewares =
        "{small: {body_size: {max: 1KiB}}, tag: {headers: {request: {set: {X-Tag: a}, remove: [Cookie]}}}}"

    private static func gateway() throws -> GatewaySnapshot { try routed(routes, middlewares: middlewares) }

    @Test func `a forwarded request is explained from its fields to the head that the backend gets`() throws {
        let report = Explanation.make(
            try ask(
                #"{"method": "GET", "url": "http://API.example.com/./users/%37?x=%20", "headers": {"Cookie": "a=b", "Keep-Alive": "1", "#
                    + #""X-Forwarded-For": "1.2.3.4", "Accept": "*/*"}, "client": "192.0.2.1"}"#),
            try Self.gateway(), now: Timestamp(seconds: 1_700_000_000), seed: 1)
        let json = report.json
        #expect(
            json["received"].text
                == #"{"client": "192.0.2.1", "trusted_peer": false, "request_id_taken": false, "#
                + #""request_id": "018bcfe5-6800-7cc1-beeb-8da1658eec67", "removed_fields": ["Keep-Alive", "X-Forwarded-For"]}"#)
        #expect(
            json["path"].text
                == #"{"host": "api.example.com", "received": "/./users/%37?x=%20", "canonical": "/users/7", "query": "x=%20"}"#)
        #expect(
            json["route"].text
                == #"{"name": "user", "why": "host api.example.com, path /users/{id}, method GET"}"#)
        #expect(json["candidates"].text == #"[{"route": "beta", "because": "header x-beta must be \"1\""}]"#)
        #expect(
            json["chain"].text
                == #"[{"name": "tag", "kind": "headers", "result": "removed Cookie, added X-Tag"}, "#
                + #"{"name": "small", "kind": "body_size", "result": "body of at most 1024 bytes"}]"#)
        #expect(json["action"].text == #"{"kind": "service", "service": "users"}"#)
        let upstream = json["upstream"]
        #expect(
            upstream["instances"].text
                == #"[{"url": "http://10.1.0.5:8080", "weight": 2}, {"url": "http://10.1.0.6:8080", "weight": 1}]"#)
        #expect(upstream["method"].string == "GET" && upstream["path"].string == "/users/7")
        let id = try #require(json["received"]["request_id"].string)
        #expect(
            upstream["head"].strings == [
                "GET /users/7?x=%20 HTTP/1.1", "Host: API.example.com", "Accept: */*", "X-Tag: a", "X-Forwarded-For: 192.0.2.1",
                "X-Real-IP: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: API.example.com", "X-Forwarded-Port: 80",
                "Via: 1.1 gw", "X-Request-ID: \(id)",
            ])
        #expect(json["answer"].isNull)
        for line in [
            "route      user: host api", "  not      beta: header", "action     service users\n",
            "sends      GET /users/7?x=%20 HTTP/1.1\n",
        ] {
            #expect(report.text.contains(line), "\(report.text)")
        }
    }

    /// A request, the status, and the reason and the step of the gateway's own answer.
    static let refused: [(request: String, status: Int, reason: String, step: String)] = [
        (#""method": "GET", "url": "http://a/%zz""#, 400, "bad_request", "target"),
        (#""method": "GET", "url": "http://a..b/""#, 400, "bad_request", "target"),
        (#""method": "TRACE", "url": "http://a/""#, 405, "method_not_allowed", "target"),
        (
            #""method": "GET", "url": "http://a/", "headers": {"Content-Length": "5", "Transfer-Encoding": "chunked"}"#, 400,
            "bad_request", "parse"
        ),
        (#""method": "GET", "url": "http://a/", "headers": {"Host": ["a", "b"]}"#, 400, "bad_request", "parse"),
        (#""method": "GET", "url": "http://a/", "headers": {"Expect": "tea"}"#, 417, "expectation_failed", "parse"),
        (#""method": "GET", "url": "http://a/", "listener": "small", "headers": {"Host": "a"}"#, 204, "response", "action"),
        (
            #""method": "GET", "url": "http://a/0123456789012345678901234567890123456789012345678901234567890123456789", "listener": "small""#,
            414, "uri_too_long", "parse"
        ),
        (#""method": "GET", "url": "http://a/", "headers": {"Via": "1.1 gw"}"#, 508, "loop_detected", "entrance"),
        (#""method": "GET", "url": "http://a/", "headers": {"Content-Type": ["a", "b"]}"#, 400, "bad_request", "entrance"),
        (#""method": "GET", "url": "http://a/nothing""#, 404, "no_route", "route"),
        (#""method": "DELETE", "url": "http://a/get""#, 405, "method_not_allowed", "route"),
        (#""method": "BREW", "url": "http://a/get""#, 501, "not_implemented", "route"),
        (#""method": "OPTIONS", "url": "*", "headers": {"Host": "a"}"#, 204, "response", "route"),
        (#""method": "GET", "url": "http://a/get/x%2Fy""#, 400, "bad_request", "encoded_slash"),
        (#""method": "GET", "url": "http://a/bare", "headers": {"Content-Length": "1"}"#, 400, "bad_request", "body"),
        (#""method": "GET", "url": "http://a/bare", "headers": {"Content-Length": "0"}"#, 204, "response", "action"),
        (
            #""method": "POST", "url": "http://a/", "listener": "small", "headers": {"Content-Length": "101"}"#, 413,
            "body_too_large", "body"
        ),
        (#""method": "POST", "url": "http://a/tiny", "headers": {"Content-Length": "11"}"#, 413, "body_too_large", "chain: ten"),
        (#""method": "POST", "url": "http://a/tight", "headers": {"Content-Length": "6"}"#, 413, "body_too_large", "body"),
        (
            #""method": "POST", "url": "http://a/wide", "listener": "small", "headers": {"Content-Length": "500"}"#, 204,
            "response",
            "action"
        ),
        (#""method": "GET", "url": "http://a/closed""#, 503, "maintenance", "action"),
        (#""method": "GET", "url": "http://a/numbers", "client": "192.0.2.1""#, 403, "ip_denied", "action"),
        (#""method": "GET", "url": "http://a/numbers""#, 200, "response", "action"),
        (#""method": "GET", "url": "http://a/live""#, 200, "response", "action"),
        (#""method": "GET", "url": "http://a/old/x?q""#, 302, "redirect", "action"),
        (#""method": "OPTIONS", "url": "http://a/up/a", "headers": {"Max-Forwards": "0"}"#, 204, "response", "forwarding"),
        (#""method": "OPTIONS", "url": "http://a/up/a", "headers": {"Max-Forwards": "x"}"#, 400, "bad_request", "forwarding"),
        (#""method": "GET", "url": "http://a/up//x""#, 400, "bad_request", "rewrite"),
        (#""method": "GET", "url": "http://a/drained""#, 503, "no_healthy_instance", "instances"),
        (#""method": "GET", "url": "http://a/named""#, 502, "dns_failed", "instances"),
        (#""method": "GET", "url": "http://a/", "listener": "nobody""#, 422, "bad_request", "listener"),
    ]

    static func refusing() throws -> GatewaySnapshot {
        try snapshot(
            """
            server: {via: gw}
            listeners:
              - {name: web, address: "127.0.0.1:8000"}
              - {name: small, address: "127.0.0.1:8001", limits: {request_target_bytes: 64, request_body: 100}}
            services:
              app: {instances: [{url: "http://10.1.0.5:8080"}]}
              drained: {instances: [{url: "http://10.1.0.5:8080", weight: 0}]}
              named: {instances: [{url: "http://app.internal:8080"}]}
            middlewares: {ten: {body_size: {max: 10}}}
            routes:
              - {name: root, match: {path: /}, respond: {status: 204}}
              - {name: get, match: {path: "/get/*", methods: [GET]}, respond: {status: 204}, path: {encoded_slash: reject}}
              - {name: bare, match: {path: /bare}, respond: {status: 204}, allow_body: false}
              - {name: tiny, match: {path: /tiny}, respond: {status: 204}, middlewares: [ten]}
              - {name: tight, match: {path: /tight}, respond: {status: 204}, limits: {request_body: 5}}
              - {name: wide, match: {path: /wide}, respond: {status: 204}, limits: {request_body: 1MiB}}
              - {name: closed, match: {path: /closed}, service: app, maintenance: true}
              - {name: numbers, match: {path: /numbers}, metrics: {allow: [127.0.0.0/8]}}
              - {name: live, match: {path: /live}, health: true}
              - {name: old, match: {path: "/old/*"}, redirect: {to: "/new/*"}}
              - {name: up, match: {path: "/up/*"}, service: app, path: {strip_prefix: /up}}
              - {name: drained, match: {path: /drained}, service: drained}
              - {name: named, match: {path: /named}, service: named}
            """)
    }

    @Test(arguments: refused.indices) func `what the gateway answers itself is told with its status, its reason and its step`(
        index: Int
    ) throws {
        let (request, status, reason, step) = Self.refused[index]
        let report = try explain("{\(request)}", try Self.refusing())
        let answer = report.json["answer"]
        #expect(answer["status"].number == status, "\(request)")
        #expect(answer["reason"].string == reason && answer["step"].string == step, "\(request): \(answer.text)")
        #expect((answer["code"].isNull) == (status < 400), "\(request)")
        #expect(report.text.contains("answer") && report.text.contains(") at \(step)"), "\(report.text)")
    }

    @Test func `a refusal is told in the words that the client would read`() throws {
        let report = try explain(#"{"method": "GET", "url": "http://a/a%2"}"#, try Self.refusing())
        #expect(
            report.json["answer"].text
                == #"{"status": 400, "code": "INVALID_REQUEST", "reason": "bad_request", "#
                + #""message": "The request cannot be accepted as it is.", "step": "target", "#
                + #""detail": "the path holds a percent sign without two hexadecimal digits"}"#)
        #expect(
            report.text.hasSuffix(
                "answer   400 INVALID_REQUEST (bad_request) at target: The request cannot be accepted as it is. "
                    + "(the path holds a percent sign without two hexadecimal digits)\n"))
        let methods = try explain(#"{"method": "DELETE", "url": "http://a/get"}"#, try Self.refusing())
        #expect(methods.json["answer"]["allow"].string == "GET, HEAD")
        #expect(methods.json["candidates"].text == #"[{"route": "get", "because": "method DELETE is not in GET"}]"#)
        let redirect = try explain(#"{"method": "GET", "url": "http://a/old/x?q"}"#, try Self.refusing())
        #expect(redirect.json["action"].text == #"{"kind": "redirect", "status": 302, "location": "/new/x?q"}"#)
    }

    /// A request, and the routes that nearly took it with why they did not.
    static let misses: [(request: String, winner: String?, candidates: [String])] = [
        (
            #""method": "GET", "url": "http://api.test/users/""#, "all",
            ["users: path /users/ does not fit /users (a slash at the end makes another path)"]
        ),
        (
            #""method": "GET", "url": "http://api.test/Users""#, "all",
            ["users: path /Users does not fit /users (upper and lower case differ)"]
        ),
        (
            #""method": "GET", "url": "http://api.test/v1/order/7""#, "all",
            ["order: path /v1/order/7 does not fit /v1/orders/{id}"]
        ),
        (
            #""method": "GET", "url": "http://other.test/v1/orders/7""#, "all",
            ["order: host other.test is not in api.test, *.api.test"]
        ),
        (#""method": "PUT", "url": "http://x.api.test/v1/orders/7""#, "all", ["order: method PUT is not in GET, POST"]),
        (
            #""method": "GET", "url": "http://api.test/flags""#, "all",
            [
                "flags: header x-flag must be present; query parameter mode must be one of \"a\", \"b\""
            ]
        ),
        (
            #""method": "GET", "url": "http://api.test/flags?mode=c", "headers": {"X-Flag": "", "X-Off": "1"}"#, "all",
            [
                "flags: header x-off must be absent; query parameter mode must be one of \"a\", \"b\""
            ]
        ),
        (#""method": "GET", "url": "http://api.test/flags?mode=%62", "headers": {"X-Flag": ""}"#, "flags", []),
        (#""method": "GET", "url": "http://api.test/elsewhere""#, "all", []),
        (
            #""method": "GET", "url": "http://api.test/v1/orders/7/""#, "all",
            ["order: path /v1/orders/7/ does not fit /v1/orders/{id} (a slash at the end makes another path)"]
        ),
    ]

    @Test(arguments: misses.indices) func `each nearer route is named with why it did not take the request`(index: Int) throws {
        let snapshot = try routed(
            """
            - {name: users, match: {path: /users}, respond: {status: 204}}
            - {name: order, match: {host: [api.test, "*.api.test"], path: "/v1/orders/{id}", methods: [GET, POST]}, respond: {status: 204}}
            - {name: flags, match: {path: /flags, headers: {X-Flag: {present: true}, X-Off: {present: false}}, query: {mode: [a, b]}}, respond: {status: 204}}
            - {name: all, match: {path: "/*"}, respond: {status: 204}}
            """)
        let (request, winner, candidates) = Self.misses[index]
        let report = try explain("{\(request)}", snapshot)
        #expect(report.json["route"]["name"].string == winner)
        #expect(
            report.json["candidates"].elements.map { "\($0["route"].string ?? ""): \($0["because"].string ?? "")" } == candidates)
    }

    @Test func `at most ten candidates are named, the nearest first`() throws {
        let routes = (0..<30).map { "- {name: r\($0), match: {host: h\($0).test, path: /a}, respond: {status: 204}}" }
        let near = "- {name: near, match: {path: /a, methods: [POST]}, respond: {status: 204}}"
        let report = try explain(
            #"{"method": "GET", "url": "http://h17.tset/a"}"#, try routed((routes + [near]).joined(separator: "\n")))
        let names = report.json["candidates"].elements.compactMap { $0["route"].string }
        #expect(names.count == 10 && names.prefix(2) == ["near", "r17"], "\(names)")
    }

    @Test func `where the backend gets an instance's own name, the head shows that of the first instance`() throws {
        let snapshot = try snapshot(
            """
            server: {headers: {timestamp: true}}
            listeners: [{name: web, address: "127.0.0.1:8000"}]
            services:
              app: {pass_host: false, instances: [{url: "http://10.1.0.5:8080"}, {url: "http://10.1.0.6:8080"}]}
            routes: [{name: all, match: {path: "/v1/*"}, service: app, path: {strip_prefix: /v1, add_prefix: /x}}]
            """)
        let request = try ask(#"{"method": "GET", "url": "http://a/v1/b"}"#)
        let upstream = Explanation.make(request, snapshot, now: Timestamp(seconds: 1_700_000_000)).json["upstream"]
        let head = upstream["head"].strings
        #expect(head.first == "GET /x/b HTTP/1.1" && head.contains("Host: 10.1.0.5:8080") && upstream["path"].string == "/x/b")
        #expect(head.contains("X-Forwarded-Prefix: /v1") && head.contains("X-Timestamp: 2023-11-14T22:13:20.000Z"))
        #expect(upstream["host_of"].string == "http://10.1.0.5:8080")
    }

    @Test func `a trusted peer speaks for its client, and its request id is taken over`() throws {
        let body =
            #"{"method": "GET", "url": "http://a/", "client": "10.9.9.9", "headers": {"X-Forwarded-For": "192.0.2.7", "X-Request-ID": "abcdefgh"}}"#
        let report = try explain(body, try Self.gateway())
        #expect(
            report.json["received"].text
                == #"{"client": "192.0.2.7", "trusted_peer": true, "request_id_taken": true, "request_id": "abcdefgh", "#
                + #""removed_fields": ["X-Forwarded-For", "X-Request-ID"]}"#)
        let stranger = try explain(body.replacing("10.9.9.9", with: "203.0.113.9"), try Self.gateway())
        #expect(stranger.json["received"]["client"].string == "203.0.113.9")
        #expect(
            stranger.json["received"]["request_id_taken"].text == "false"
                && stranger.json["received"]["request_id"].string != "abcdefgh")
    }

    @Test func `a client of a Unix socket has no address unless one is given`() throws {
        let snapshot = try snapshot(
            """
            listeners: [{name: web, address: "unix:/run/t.sock"}]
            routes: [{name: all, match: {path: "/*"}, respond: {status: 204}}]
            """)
        let body = #"{"method": "GET", "url": "http://a/"}"#
        #expect(try explain(body, snapshot).json["received"]["client"].string == "unix")
        let named = body.replacing("}", with: #", "client": "192.0.2.1"}"#)
        #expect(try explain(named, snapshot).json["received"]["client"].string == "192.0.2.1")
    }

    private struct Tripwire: Middleware {
        let name = "tripwire"
        func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
            Issue.record("a custom stage was run")
            return .answer(Answer(status: 418))
        }
    }

    @Test func `a custom stage is named and not run, and the stages behind it are`() throws {
        let snapshot = try routed(Self.routes, middlewares: Self.middlewares, stages: ["user": [.custom(Tripwire())]])
        let report = try explain(#"{"method": "GET", "url": "http://api.example.com/users/7"}"#, snapshot)
        #expect(
            report.json["chain"].elements.map {
                "\($0["name"].string ?? "") \($0["kind"].string ?? "") \($0["result"].string ?? "")"
            } == [
                "tripwire custom not run, since it may have effects", "tag headers added X-Tag",
                "small body_size body of at most 1024 bytes",
            ])
        #expect(report.json["answer"].isNull)
    }

    @Test func `an address that a stage keeps out gets 403, at that stage`() throws {
        let snapshot = try routed(
            "- {name: a, match: {path: /a}, service: users, middlewares: [office, tag]}",
            middlewares: "{office: {ip_access: {deny: [192.0.2.0/24]}}, tag: {headers: {request: {set: {X-Tag: a}}}}}")
        let body = #"{"method": "GET", "url": "http://a/a", "client": "192.0.2.1"}"#
        let report = try explain(body, snapshot)
        #expect(report.json["answer"]["status"].number == 403 && report.json["answer"]["step"].string == "chain: office")
        #expect(report.json["chain"].text == #"[{"name": "office", "kind": "ip_access", "result": "answered 403"}]"#)
        #expect(report.json["upstream"].isNull)
        let other = try explain(body.replacing("192.0.2.1", with: "192.0.3.1"), snapshot)
        #expect(other.json["answer"].isNull && other.json["chain"][0]["result"].string == "passed")
    }

    @Test func `a preflight is answered by the route of the request that it announces`() throws {
        let snapshot = try routed(
            """
            - {name: read, match: {path: /a, methods: [GET]}, respond: {status: 204}}
            - {name: write, match: {path: /a, methods: [PUT]}, service: users, middlewares: [tag, scripts]}
            """,
            middlewares: "{tag: {headers: {request: {set: {X-Tag: a}}}}, "
                + "scripts: {cors: {allow_origins: [\"https://app.test\"], allow_methods: [PUT]}}}")
        let body =
            #"{"method": "OPTIONS", "url": "http://a/a", "headers": {"Origin": "https://app.test", "#
            + #""Access-Control-Request-Method": "PUT"}}"#
        let report = try explain(body, snapshot)
        #expect(report.json["route"].text == #"{"name": "write", "why": "any host, path /a, method PUT"}"#)
        #expect(report.json["answer"]["status"].number == 204 && report.json["answer"]["step"].string == "preflight: scripts")
        #expect(report.json["chain"].text == #"[{"name": "scripts", "kind": "cors", "result": "answered the preflight"}]"#)
        // For a route without such a stage it is a request like any other.
        let other = try explain(body.replacing(#""PUT""#, with: #""GET""#), snapshot)
        #expect(other.json["answer"]["status"].number == 405 && other.json["route"].isNull)
        // It runs first, wherever it is listed.
        let put = try explain(#"{"method": "PUT", "url": "http://a/a"}"#, snapshot)
        #expect(put.json["chain"].elements.map { $0["name"].string } == ["scripts", "tag"])
    }

    @Test func `a request among ten thousand routes is explained in a moment`() throws {
        let routes = (0..<10_000).map {
            "- {name: r\($0), match: {host: h\($0 % 100).test, path: \"/service-\($0)/v1/items/{id}\"}, service: users}"
        }
        let snapshot = try routed(routes.joined(separator: "\n"))
        let clock = ContinuousClock()
        for path in ["/service-5000/v1/items/7", "/service-5000/v1/itemz/7", "/nothing"] {
            let request = try ask(#"{"method": "GET", "url": "http://h0.test\#(path)"}"#)
            let time = clock.measure { _ = Explanation.make(request, snapshot) }
            print("10,000 routes, \(path): \(time)")
            #expect(time < .seconds(2), "\(path)")
        }
    }
}
