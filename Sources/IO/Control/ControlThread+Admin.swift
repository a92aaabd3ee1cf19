import Admin
import Configuration
import ConfigurationFile
import HTTPMessages
import Logs
import Pipeline
import Primitives
import Proxy
import Reactor
import Routing
import Telemetry

/// What is answered once the workers' counters are here.
enum AdminQuestion {
    case status, health, metrics
}

/// The admin API: which paths there are, and what each of them does.
extension ControlThread {
    private static var paths: [(path: String, methods: [String])] {
        [
            ("/config", ["GET", "HEAD"]), ("/config/validate", ["POST"]), ("/config/reload", ["POST"]),
            ("/routes", ["GET", "HEAD"]), ("/explain", ["POST"]), ("/status", ["GET", "HEAD"]),
            ("/api/v1/gateway/health", ["GET", "HEAD"]), ("/log", ["GET", "HEAD", "PUT"]),
            ("/internal/v1/health", ["GET", "HEAD"]), ("/internal/v1/metrics", ["GET", "HEAD"]),
            ("/internal/v1/config/reload", ["POST"]), ("/internal/services", ["GET", "HEAD"]),
            // Answered by routes of their own; other methods come here.
            ("/health", ["GET", "HEAD"]), ("/ready", ["GET", "HEAD"]), ("/metrics", ["GET", "HEAD"]),
        ]
    }

    func administer(_ request: AdminRequest, _ caller: AdminCaller) {
        let known = Self.paths.first { $0.path == request.path }
        let servicePath = known == nil ? ServicePath(request.path) : nil
        let methods = known?.methods ?? servicePath?.methods ?? []
        guard !methods.isEmpty else {
            return caller.refuse(404, "NOT_FOUND", "there is no such path in the admin API", "no_route")
        }
        guard methods.contains(request.method) else {
            return caller.refuse(
                405, "METHOD_NOT_ALLOWED", "\(request.path) does not know \(request.method)", "method_not_allowed",
                fields: [("Allow", methods.joined(separator: ", "))])
        }
        guard request.method == "GET" || request.method == "HEAD" || request.isDeliberate else {
            return caller.refuse(
                415, "INVALID_REQUEST", "send Content-Type: application/json or application/yaml, or X-Sluice-Admin: 1",
                "content_type_refused")
        }
        if let servicePath { return administer(servicePath, request, caller) }
        switch request.path {
        case "/config": showConfiguration(request, caller)
        case "/config/validate": validate(request, caller)
        case "/config/reload", "/internal/v1/config/reload":
            guard departure == .none else {
                return caller.refuse(503, "SERVICE_UNAVAILABLE", "the process is on its way out", "draining")
            }
            reload.callers.append(caller)
            reload.isWanted = true
        case "/routes": list(request, caller, RoutesReport.make)
        case "/explain": explain(request, caller)
        case "/status", "/api/v1/gateway/health": gather(caller.waiting(for: .status))
        case "/internal/v1/health": gather(caller.waiting(for: .health))
        case "/internal/v1/metrics": gather(caller.waiting(for: .metrics))
        case "/log": request.method == "PUT" ? setLevel(request, caller) : caller.answer(levelReport)
        case "/health", "/ready", "/metrics":
            caller.refuse(404, "NOT_FOUND", "\(request.path) is switched off here (admin.metrics)", "no_route")
        default: administer(.services, request, caller)
        }
    }

    var now: Timestamp { Timestamp(nanoseconds: Int64(clamping: Clock.realtime)) }

    /// The counters are here.
    func answer(_ question: AdminQuestion) -> Report {
        let traffic = store.summary(at: Clock.monotonic)
        let reading = StatusReading(
            version: version, startedAt: startedAt,
            uptimeSeconds: Int(clamping: Clock.monotonic.since(startedInstant).nanoseconds / 1_000_000_000),
            generation: generation, workers: hub.workerCount - 1, requestCount: Int(clamping: traffic.requests),
            activeConnections: Int(clamping: traffic.connections), isDraining: departure != .none,
            lastReloadSucceeded: store.configuration.lastReloadSucceeded, lastReloadAt: store.configuration.lastSuccess)
        switch question {
        case .status: return StatusReport.make(reading, snapshot, at: moment)
        case .health: return StatusReport.health(reading, snapshot, at: moment)
        case .metrics:
            return StatusReport.metrics(
                requestCount: reading.requestCount, errorRate: traffic.errorRate, p95Seconds: traffic.p95Seconds,
                activeConnections: reading.activeConnections)
        }
    }

    // The configuration.

    private func showConfiguration(_ request: AdminRequest, _ caller: AdminCaller) {
        guard let origin else { return caller.refuse(503, "SERVICE_UNAVAILABLE", "the configuration is not known", "unknown") }
        let tag = "\"\(generation)-\(ConfigurationDigest.text(origin, salt: digestSalt))\(caller.wantsText ? "-t" : "")\""
        let fields = [(name: "ETag", value: tag)]
        if Self.matches(request.ifNoneMatch, tag) { return caller.answer(304, fields: fields) }
        let effective = ConfigurationLoader.effective(origin)
        var members: [(String, JSONValue)] = [("generation", .number(generation)), ("file", .string(path))]
        if case .object(let more) = effective.json() { members += more }
        caller.answer(Report(json: .object(members), text: effective.yaml()), fields: fields)
    }

    /// RFC 9110 §13.1.2.
    private static func matches(_ field: String, _ tag: String) -> Bool {
        field == "*"
            || field.split(separator: ",").contains { candidate in
                let trimmed = candidate.filter { $0 != " " && $0 != "\t" }
                return trimmed == tag || trimmed == "W/\(tag)"
            }
    }

    private func validate(_ request: AdminRequest, _ caller: AdminCaller) {
        let loaded =
            request.body.isEmpty
            ? ConfigurationLoader.load(path: path) : ConfigurationLoader.load(posted: request.body, name: "request")
        var problems = loaded.diagnostics
        if let configuration = loaded.configuration {
            problems += ConfigurationCheck.run(configuration, loaded.places, middlewares: middlewares)
        }
        caller.answer(ProblemReport.make(problems))
    }

    // Routes.

    func list(
        _ request: AdminRequest, _ caller: AdminCaller, _ make: (GatewaySnapshot, ListPage) throws(ListPageError) -> Report
    ) {
        do throws(ListPageError) {
            caller.answer(try make(snapshot, try ListPage(query: request.query)))
        } catch {
            caller.refuse(422, "INVALID_REQUEST", "\(error)", "validation_failed")
        }
    }

    private func explain(_ request: AdminRequest, _ caller: AdminCaller) {
        do {
            let question = try ExplainRequest(parsing: request.body)
            guard question.listenerIndex(in: snapshot) != nil else {
                return caller.refuse(422, "INVALID_REQUEST", "listener: there is no listener of that name", "validation_failed")
            }
            caller.answer(Explanation.make(question, snapshot, now: now, instant: Clock.monotonic, seed: randomSeed()))
        } catch {
            caller.refuse(error.status, "INVALID_REQUEST", "\(error)", "validation_failed")
        }
    }

    // The log.

    private var levelReport: Report {
        let name = "\(log.level.name)"
        return Report(json: .object([("level", .string(name))]), text: "\(name)\n")
    }

    /// `{"level": "debug"}`, until the next reload that changes something.
    private func setLevel(_ request: AdminRequest, _ caller: AdminCaller) {
        let levels: [Telemetry.LogLevel] = [.debug, .info, .warn, .error]
        let (node, problems) = YAMLReader.read(request.body, file: "request")
        guard problems.isEmpty, case .mapping(let entries)? = node?.content, entries.count == 1, entries[0].key == "level",
            case .scalar(let text, _) = entries[0].value.content, let level = levels.first(where: { "\($0.name)" == text })
        else {
            return caller.refuse(
                422, "INVALID_REQUEST", "expected {\"level\": \"debug\"}, or info, warn, error", "validation_failed")
        }
        log.setLevel(level)
        log.event(.warn, "log level changed", ["level": .string(text)])
        caller.answer(levelReport)
    }
}
