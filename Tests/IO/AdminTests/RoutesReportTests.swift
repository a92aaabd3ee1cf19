import Primitives
import Testing

@testable import Admin

struct RoutesReportTests {
    private static let routes = """
        - {name: users, match: {host: [api.example.com, "*.example.org"], path: "/users/*", methods: [GET, POST]}, service: users, middlewares: [small, tag]}
        - {name: beta, match: {path: "/users/*", headers: {X-Beta: {present: true}, X-Old: {present: false}}, query: {v: ["1", "2"]}}, service: users}
        - {name: old, match: {path: /old}, redirect: {to: /new}}
        - {name: live, match: {path: /live}, health: true}
        - {name: closed, match: {path: /closed}, service: users, maintenance: true}
        - {name: partner, match: {path: /partner, headers: {X-Partner-Token: hunter2}}, respond: {status: 204}}
        """
    private static let middlewares = "{small: {body_size: {max: 1KiB}}, tag: {headers: {request: {set: {X-Tag: a}}}}}"

    @Test func `each route is listed with its conditions, its action and its middlewares`() throws {
        let report = try RoutesReport.make(routed(Self.routes, middlewares: Self.middlewares))
        let data = report.json["data"]
        #expect(
            data[0].text
                == #"{"name": "users", "hosts": ["api.example.com", "*.example.org"], "path": "/users/*", "methods": ["GET", "POST"], "#
                + #""headers": {}, "query": {}, "action": "service", "service": "users", "middlewares": ["small", "tag"]}"#)
        #expect(
            data[1]["headers"].text == #"{"x-beta": {"present": true}, "x-old": {"present": false}}"#
                && data[1]["query"].text == #"{"v": ["1", "2"]}"#)
        #expect(
            data.elements.map { $0["action"].string } == ["service", "service", "redirect", "health", "maintenance", "respond"])
        #expect(data[2]["service"].isNull && data[4]["service"].string == "users")
        #expect(report.json["total"].number == 6 && report.json["next"].isNull)
    }

    @Test func `the table for people has a line for each route`() throws {
        let lines = try RoutesReport.make(routed(Self.routes, middlewares: Self.middlewares)).text.split(separator: "\n")
        #expect(lines.count == 7)
        #expect(lines[0].split(separator: " ") == ["NAME", "HOST", "PATH", "METHODS", "IF", "ACTION", "MIDDLEWARES"])
        #expect(
            lines[1].contains("api.example.com,*.example.org  /users/*") && lines[1].hasSuffix("service users      small,tag"))
        #expect(lines[2].contains("header x-beta, no header x-old, query v=1|2"))
    }

    @Test func `the value of a condition on a field that holds a secret is masked`() throws {
        let report = try RoutesReport.make(routed(Self.routes, middlewares: Self.middlewares))
        #expect(!report.json.text.contains("hunter2") && !report.text.contains("hunter2"))
        #expect(report.json["data"][5]["headers"].text == #"{"x-partner-token": ["***"]}"#)
    }

    @Test func `the pages behind each other's cursors hold each route once, in the order of the file`() throws {
        let count = 25
        let routes = (0..<count).map { "- {name: r\($0), match: {path: /p\($0)}, service: users}" }.joined(separator: "\n")
        let snapshot = try routed(routes)
        for limit in [1, 7, 24, 25, 100] {
            var names: [String?] = []
            var cursor: String?
            repeat {
                let page = try RoutesReport.make(snapshot, ListPage(limit: limit, after: cursor))
                #expect(page.json["data"].elements.count <= limit && page.json["total"].number == count)
                names += page.json["data"].elements.map { $0["name"].string }
                cursor = page.json["next"].string
            } while cursor != nil && names.count < 100
            #expect(names == (0..<count).map { "r\($0)" })
        }
    }

    @Test func `a cursor that names no route is refused, and limits are held between 1 and 1000`() throws {
        let snapshot = try routed(Self.routes, middlewares: Self.middlewares)
        #expect(throws: ListPageError.self) { try RoutesReport.make(snapshot, ListPage(limit: 2, after: "gone")) }
        #expect(try RoutesReport.make(snapshot, ListPage(limit: 0)).json["data"].elements.count == 1)
        #expect(try RoutesReport.make(snapshot, ListPage(limit: .min)).json["data"].elements.count == 1)
        #expect(try RoutesReport.make(snapshot, ListPage(limit: .max)).json["data"].elements.count == 6)
        #expect(try RoutesReport.make(snapshot, ListPage(limit: 2)).text.hasSuffix("2 of 6 routes; the next ones: cursor beta\n"))
    }
}
