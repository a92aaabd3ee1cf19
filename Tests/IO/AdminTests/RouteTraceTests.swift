import HTTP1
import HTTPMessages
import Primitives
import Proxy
import Routing
import Testing

@testable import Admin

/// Explanations of random requests over random tables, against the look-up itself, against a matcher that tries every route, and
/// against the head as a worker writes it.
struct RouteTraceTests {
    private static let wanted = 10

    /// A table of routes that do not tie, as the file writes it.
    private static func table(_ count: Int, _ dice: inout Dice) throws -> [RandomRoute] {
        var routes = (0..<count).map { RandomRoute(number: $0, &dice) }
        while true {
            do {
                _ = try RouteTable(routes.map { try $0.rule }, seed: 1)
                return routes
            } catch RouteTableError.tie(_, let second) {
                routes.removeAll { $0.name == second }
            }
        }
    }

    @Test func `the explained route is that of the look-up, and no candidate is named without a reason that holds`() throws {
        let seed: UInt64 = 0x0003_2026
        print("seed \(seed)")
        var dice = Dice(random: RandomSource(seed: seed))
        var routed = 0
        var passedOver = 0
        for _ in 0..<60 {
            let routes = try Self.table(dice.pick([3, 12, 60]), &dice)
            let snapshot = try Self.gateway(routes)
            for _ in 0..<60 {
                let request = RandomRequest(&dice, isPlain: true)
                let report = try explain(request.body, snapshot)
                let head = try Self.received(request, snapshot)
                let trace = snapshot.routeTable.trace(head)
                #expect(trace.match == snapshot.routeTable.match(head))

                // The look-up and the reference agree on the winner.
                let fitting = routes.indices.filter { routes[$0].misfits(request).isEmpty }
                    .sorted { routes[$0].key(request).lexicographicallyPrecedes(routes[$1].key(request)) }
                let name = fitting.first.map { routes[$0].name }
                #expect(report.json["route"]["name"].string == name, "\(request)")
                if let first = fitting.first {
                    routed += 1
                    #expect(trace.match == .route(first), "\(request)")
                }

                // Each candidate fails for exactly the reasons that the reference finds.
                for candidate in trace.candidates {
                    #expect(
                        candidate.misfits == routes[candidate.route].misfits(request), "\(routes[candidate.route]) \(request)")
                    #expect(!candidate.misfits.isEmpty)
                }
                #expect(
                    Set(trace.candidates.map(\.route)).count == trace.candidates.count && trace.candidates.count <= Self.wanted)
                #expect(
                    report.json["candidates"].elements.map { $0["route"].string }
                        == trace.candidates.map { routes[$0.route].name })

                // Those that fit in host and path and go before the winner are all there, in their order.
                let limit = fitting.first.map { routes[$0].key(request) }
                let nearer = routes.indices.filter { index in
                    let misfits = routes[index].misfits(request)
                    guard !misfits.isEmpty, !misfits.contains(.host), !misfits.contains(.path) else { return false }
                    return limit.map { routes[index].key(request).lexicographicallyPrecedes($0) } ?? true
                }
                let named = trace.candidates.prefix { !$0.misfits.contains(.host) && !$0.misfits.contains(.path) }.map(\.route)
                #expect(Set(named).isSuperset(of: nearer) || named.count == Self.wanted, "\(request)")
                if let limit {
                    // Of two that are equally specific, either may be tried first: their methods keep them apart.
                    for index in named { #expect(!limit.lexicographicallyPrecedes(routes[index].key(request)), "\(request)") }
                }
                for (a, b) in zip(named, named.dropFirst()) where request.method != "HEAD" {
                    #expect(!routes[b].key(request).lexicographicallyPrecedes(routes[a].key(request)), "\(request)")
                }
                passedOver += named.count
            }
        }
        #expect(routed > 1_000 && passedOver > 500, "the dice must reach every outcome: \(routed) \(passedOver)")
    }

    @Test func `the explained head is what a worker would write, byte for byte`() throws {
        let seed: UInt64 = 0x0004_2026
        print("seed \(seed)")
        var dice = Dice(random: RandomSource(seed: seed))
        var forwarded = 0
        var changed = 0
        for _ in 0..<40 {
            let snapshot = try Self.gateway(try Self.table(12, &dice))
            for _ in 0..<50 {
                let request = RandomRequest(&dice)
                let report = Explanation.make(try ask(request.body), snapshot, now: Timestamp(seconds: 1_700_000_000), seed: 9)
                let written = try WorkerHead.write(request, snapshot, now: Timestamp(seconds: 1_700_000_000), seed: 9)
                let explained = report.json["upstream"]["head"].strings
                #expect(explained == written, "\(request)")
                if !explained.isEmpty { forwarded += 1 }
                if explained.contains("X-Tag: b") { changed += 1 }
                #expect(explained.isEmpty == !report.json["answer"].isNull, "\(request)")
            }
        }
        #expect(forwarded > 400 && changed > 50, "the dice must reach forwarded requests: \(forwarded) \(changed)")
    }

    private static func received(_ request: RandomRequest, _ snapshot: GatewaySnapshot) throws -> RequestHead {
        var head = RequestHead()
        let outcome = RequestParser.parse(Array(request.wire.utf8).span.bytes, limits: Limits(), into: &head)
        guard case .head = outcome else { throw SetupError(text: "\(outcome)") }
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        return head
    }

    private static func gateway(_ routes: [RandomRoute]) throws -> GatewaySnapshot {
        try routed(
            routes.map(\.yaml).joined(separator: "\n"),
            middlewares: "{tag: {headers: {request: {set: {X-Tag: b}, remove: [X-A]}}}, small: {body_size: {max: 100}}}")
    }
}
