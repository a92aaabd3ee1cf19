import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Routing

/// What the gateway would do with a request, step by step, and why.
public enum Explanation {
    /// Decides as a worker does, with the same functions, and sends nothing.
    ///
    /// - Parameters:
    ///   - now: what `X-Timestamp` and the request id would be made of.
    ///   - instant: the same moment, for circuit breakers.
    ///   - seed: chance for the request id.
    public static func make(
        _ request: ExplainRequest, _ snapshot: GatewaySnapshot, now: Timestamp = Timestamp(nanoseconds: 0),
        instant: Instant = Instant(nanoseconds: 0), seed: UInt64 = 0
    ) -> Report {
        var trace = ExplanationTrace(request, snapshot, now: now, instant: instant, seed: seed)
        trace.run()
        return Report(json: json(trace), text: text(trace))
    }

    /// Routes that nearly took the request and are named, the nearest first.
    private static var candidatesMax: Int { 10 }

    private static func reasons(_ trace: borrowing ExplanationTrace) -> ExplanationReasons {
        ExplanationReasons(
            rules: trace.snapshot.routeTable.rules, host: trace.path?.host ?? "", path: trace.path?.canonical ?? "",
            method: trace.announcedMethod ?? trace.request.method)
    }

    private static func listenerName(_ trace: borrowing ExplanationTrace) -> String {
        trace.listener.map { trace.snapshot.listeners[$0].name } ?? trace.request.listener ?? ""
    }

    private static func json(_ trace: borrowing ExplanationTrace) -> JSONValue {
        let reasons = reasons(trace)
        return .object([
            ("request", json(trace.request, listener: listenerName(trace))),
            ("received", trace.received.map { json($0) } ?? .null),
            ("path", trace.path.map { json($0) } ?? .null), ("route", route(trace, reasons)),
            ("candidates", candidates(trace, reasons)),
            ("further_candidates", .number(max(0, (trace.route?.candidates.count ?? 0) - candidatesMax))),
            ("chain", .array(trace.chain.map { json($0) })),
            ("action", trace.action.map { JSONValue.object([("kind", JSONValue.string($0.kind))] + $0.details) } ?? .null),
            ("upstream", trace.upstream.map { json($0) } ?? .null), ("answer", trace.answer.map { $0.json } ?? .null),
        ])
    }

    private static func json(_ request: ExplainRequest, listener: String) -> JSONValue {
        .object([
            ("method", .string(request.method)), ("target", .string(request.target)),
            ("headers", .array(request.headers.map { .string("\($0.name): \($0.value)") })),
            ("client", request.client.map { .string($0.text) } ?? .null), ("listener", .string(listener)),
        ])
    }

    private static func json(_ stage: ExplanationTrace.StageResult) -> JSONValue {
        .object([("name", .string(stage.name)), ("kind", .string(stage.kind)), ("result", .string(stage.result))])
    }

    private static func json(_ received: ExplanationTrace.Received) -> JSONValue {
        .object([
            ("client", .string(received.client)), ("trusted_peer", .bool(received.isTrustedPeer)),
            ("request_id_taken", .bool(received.takesRequestID)), ("request_id", .string(received.requestID)),
            ("removed_fields", .array(received.removedFields.map { .string($0) })),
        ])
    }

    private static func json(_ path: ExplanationTrace.Path) -> JSONValue {
        .object([
            ("host", .string(path.host)), ("received", .string(path.received)), ("canonical", .string(path.canonical)),
            ("query", path.query.map { .string($0) } ?? .null),
        ])
    }

    private static func route(_ trace: borrowing ExplanationTrace, _ reasons: ExplanationReasons) -> JSONValue {
        guard let found = trace.route, case .route(let index) = found.match else { return .null }
        return .object([
            ("name", .string(reasons.rules[index].name)), ("why", .string(reasons.why(index, host: found.host))),
        ])
    }

    private static func candidates(_ trace: borrowing ExplanationTrace, _ reasons: ExplanationReasons) -> JSONValue {
        .array(
            (trace.route?.candidates ?? []).prefix(candidatesMax).map {
                .object([
                    ("route", .string(reasons.rules[$0.route].name)), ("because", .string(reasons.because($0))),
                ])
            })
    }

    private static func json(_ upstream: ExplanationTrace.Upstream) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("service", .string(upstream.service)), ("breaker", .string(upstream.breaker)),
            ("eligible_instances", .number(upstream.eligible)),
            (
                "instances",
                .array(
                    upstream.instances.map { .object([("url", .string($0.url)), ("weight", .number($0.weight))]) })
            ),
            ("method", .string(upstream.method)), ("path", .string(upstream.path)),
            ("head", .array(upstream.head.map { .string($0) })),
        ]
        if upstream.namesInstance { members.append(("host_of", .string(upstream.instances[0].url))) }
        return .object(members)
    }

    private static func text(_ trace: borrowing ExplanationTrace) -> String {
        let reasons = reasons(trace)
        var lines: [(name: String, value: String)] = []
        let client = trace.received?.client ?? trace.request.client?.text ?? "127.0.0.1"
        lines.append(("request", "\(trace.request.method) \(trace.request.target) from \(client) at \(listenerName(trace))"))
        if let received = trace.received, !received.removedFields.isEmpty {
            lines.append(("removed", received.removedFields.joined(separator: ", ")))
        }
        if let path = trace.path {
            let query = path.query.map { ", query \($0)" } ?? ""
            lines.append(("path", "\(path.canonical)\(query), host \(path.host.isEmpty ? "none" : path.host)"))
        }
        if let found = trace.route {
            if case .route(let index) = found.match {
                lines.append(("route", "\(reasons.rules[index].name): \(reasons.why(index, host: found.host))"))
            } else {
                lines.append(("route", "none"))
            }
            for candidate in found.candidates.prefix(candidatesMax) {
                lines.append(("  not", "\(reasons.rules[candidate.route].name): \(reasons.because(candidate))"))
            }
            let more = found.candidates.count - candidatesMax
            if more > 0 { lines.append(("", "and \(more) more")) }
        }
        for stage in trace.chain { lines.append(("chain", "\(stage.name) (\(stage.kind)): \(stage.result)")) }
        if let action = trace.action {
            let details = action.details.map { name, value in
                if case .string(let text) = value { return "\(name) \(text)" }
                return "\(name) \(value.text)"
            }
            // `service users`, `redirect, status 302, location /new`.
            let words = trace.upstream == nil && action.kind != "service" ? [action.kind] + details : details
            lines.append(("action", words.joined(separator: ", ")))
        }
        if let upstream = trace.upstream {
            let instances = upstream.instances.map { "\($0.url) (weight \($0.weight))" }.joined(separator: ", ")
            lines.append(("breaker", upstream.breaker))
            lines.append(("instances", "\(instances); \(upstream.eligible) of \(upstream.instances.count) take requests"))
            for (index, line) in upstream.head.enumerated() { lines.append((index == 0 ? "sends" : "", line)) }
        }
        if let answer = trace.answer { lines.append(("answer", answer.text)) }
        return TextList.of(lines)
    }
}
