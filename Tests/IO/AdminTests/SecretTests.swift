import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Testing

@testable import Admin

struct SecretTests {
    private struct Keeper: Middleware {
        let name = "keeper"
        let option: String
    }

    @Test func `secrets of the configuration are in no report`() throws {
        let snapshot = try snapshot(
            """
            listeners: [{name: web, address: "127.0.0.1:8000"}]
            admin: {token: planted-admin-token-0123456789}
            services: {users: {instances: [{url: "http://10.1.0.5:8080"}]}}
            middlewares:
              keeper: {custom: {type: keeper, options: {key: planted-option}}}
              inject: {headers: {request: {set: {Authorization: "Bearer planted-credential", X-Upstream-Auth: planted-word, X-Session-Token: planted-token}}}}
            routes:
              - {name: users, match: {path: "/users/*"}, service: users, middlewares: [keeper, inject]}
              - {name: partner, match: {path: "/users/*", headers: {X-Partner-Key: planted-key}, query: {api_key: planted-parameter}}, service: users}
            """, types: [MiddlewareType("keeper") { Keeper(option: try $0.string("key")) }])
        let now = Timestamp(seconds: 0)
        let reading = StatusReading(
            version: "1", startedAt: now, uptimeSeconds: 1, generation: 1, workers: 1, requestCount: 1, activeConnections: 1,
            isDraining: false, lastReloadSucceeded: true, lastReloadAt: now)
        let moment = ReportMoment(now: Instant(nanoseconds: 0), time: now)
        let reports = [
            try RoutesReport.make(snapshot), try ServicesReport.list(snapshot, at: moment),
            StatusReport.make(reading, snapshot, at: moment),
            StatusReport.health(reading, snapshot, at: moment),
            try explain(#"{"method": "GET", "url": "http://a/users/7"}"#, snapshot),
            try explain(#"{"method": "GET", "url": "http://a/userz"}"#, snapshot),
            try explain(#"{"method": "GET", "url": "http://a/users/7", "headers": {"Authorization": "Bearer mine"}}"#, snapshot),
            try BreakersReport.list(snapshot, at: moment),
        ]
        for report in reports {
            #expect(!report.text.contains("planted"), "\(report.text)")
            #expect(!report.json.pretty().contains("planted"), "\(report.json.pretty())")
        }
        #expect(reports[4].json["chain"][0].text.hasPrefix(#"{"name": "keeper", "kind": "custom""#))
        #expect(reports[4].json["upstream"]["head"].strings.contains("Authorization: ***"))
        #expect(
            reports[4].json["candidates"][0]["because"].string
                == "header x-partner-key must be ***; query parameter api_key must be ***")
    }

    @Test func `a credential that the request itself brought is shown as it goes on`() throws {
        let snapshot = try routed("- {name: a, match: {path: /a}, service: users}")
        let report = try explain(
            #"{"method": "GET", "url": "http://a/a", "headers": {"Authorization": " Bearer mine "}}"#, snapshot)
        #expect(report.json["upstream"]["head"].strings.contains("Authorization: Bearer mine"))
    }
}
