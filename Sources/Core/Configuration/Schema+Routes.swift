import Primitives
import Resilience

/// The tables of keys: routes.
extension Schema {
    static var actions: [String] { ["service", "redirect", "respond", "health", "ready", "metrics"] }

    static var route: ObjectShape {
        ObjectShape(
            [
                Key("name", .scalar(.name), required: true, "Its name in logs and metrics."),
                Key("match", .object(match), required: true, "Which requests it is for."),
                Key("service", .scalar(.text()), "Sends them to the backends of this service."),
                Key("redirect", .object(redirect), "Answers with another place."),
                Key("respond", .object(respond), "Answers with fixed content."),
                Key("health", .scalar(.onlyTrue), "Answers with the gateway's own health."),
                Key(
                    "ready", .scalar(.onlyTrue), "Answers 200 while the gateway takes requests, and 503 while it drains."),
                Key("metrics", .either([.scalar(.onlyTrue), .object(metrics)]), "Answers with the gateway's metrics."),
                Key(
                    "middlewares", .list(.scalar(.text()), orOne: true, count: 0...64), default: "[]",
                    "The middlewares that run, in this order."),
                Key("path", .object(pathPolicy), "What is done with the path."),
                Key("timeouts", .object(timeouts), "How long the backend may take; what is left out is as in the service."),
                Key("limits", .object(routeLimits), "What a client may take here."),
                Key("allow_body", .scalar(.truth), default: "true", "Whether a request may have a body; 400 where not."),
                Key("maintenance", maintenance, default: "false", "Whether it answers 503 instead."),
                Key(
                    "priority", .scalar(.word(RequestPriority.allCases.reversed().map { "\($0.name)" })), default: "default",
                    "How much its requests matter under overload: bulk goes first, critical never."
                ).dependent,
                Key(
                    "circuit_breaker", .object(circuitBreaker(ofRoute: true)),
                    "A breaker of its own, in the place of the service's; what is left out is as in the service."),
                Key(
                    "fallback", .object(fallback),
                    "What clients get while the service cannot answer, in the place of what it says."),
                Key(
                    "upgrade", .list(.scalar(.upgrade), orOne: true, count: 0...8), default: "[]",
                    "Protocols that a client may change to, such as websocket."),
                Key("websocket", .object(webSocket), "What counts for connections that have changed their protocol."),
            ], exactlyOneOf: actions)
    }

    static var match: ObjectShape {
        ObjectShape(
            [
                Key(
                    "path", .scalar(.pathPattern), required: true,
                    "Exact, a prefix when it ends in /*, or a template with {name} segments."),
                Key(
                    "host", .list(.scalar(.hostPattern), orOne: true, count: 1...256),
                    "Exact or *.example.com; left out: every host."),
                Key("methods", .list(.scalar(.method), orOne: true, count: 1...32), "Left out: every method. GET includes HEAD."),
                Key(
                    "headers", .map(.fieldName, condition(.fixedFieldValue), maximum: 32),
                    "Fields that must be there, or have one of these values."),
                Key(
                    "query", .map(.parameter, condition(.text(lines: true)), maximum: 32),
                    "Parameters that must be there, or have one of these values."),
            ], canBeDisabled: false)
    }

    static func condition(_ kind: ScalarKind) -> Shape {
        .either([
            .scalar(kind),
            .list(.scalar(kind), count: 1...64),
            .object(
                ObjectShape(
                    [Key("present", .scalar(.truth), required: true, "Whether it must be there, or must not, with any value.")],
                    canBeDisabled: false)),
        ])
    }

    static var redirect: ObjectShape {
        ObjectShape(
            [
                Key(
                    "to", .scalar(.location), required: true,
                    "A path or a URL. May use ${scheme}, ${host}, ${path}, the match's {name} segments, and a closing /*."
                ),
                Key(
                    "status", .scalar(.word(["301", "302", "303", "307", "308"])), default: "\(Defaults.redirectStatus)",
                    "The status of the answer."),
                Key(
                    "keep_query", .scalar(.truth), default: "\(Defaults.redirectKeepQuery)",
                    "Whether the request's query is put behind a target that has none."),
            ], canBeDisabled: false)
    }

    static var respond: ObjectShape {
        ObjectShape(
            [
                Key("status", .scalar(.integer(200...599)), default: "\(Defaults.respondStatus)", "The status of the answer."),
                Key(
                    "headers", .map(.changeableFieldName(.response), .scalar(.fixedFieldValue), maximum: 256), default: "{}",
                    "Its fields."),
                Key("body", .scalar(.text(maximum: 1 << 20, lines: true)), default: "\"\"", "Its body, up to 1MiB."),
                Key(
                    "content_type", .scalar(.fixedFieldValue), default: "\"\(Defaults.respondContentType)\"",
                    "What the body is."),
            ], canBeDisabled: false)
    }

    static var metrics: ObjectShape {
        ObjectShape(
            [
                Key(
                    "allow", .list(.scalar(.addressBlock), orOne: true, count: 1...10_000),
                    default: "[\(Defaults.metricsAllow.map { "\"\($0)\"" }.joined(separator: ", "))]",
                    "Who may read them; 403 for others.")
            ], canBeDisabled: false)
    }

    static var pathPolicy: ObjectShape {
        ObjectShape([
            Key(
                "encoded_slash", .scalar(.word(EncodedSlashPolicy.allCases.map(\.rawValue))),
                default: Defaults.encodedSlash.rawValue,
                "What becomes of %2F and %5C: reject answers 400, keep sends them on, decode reads %2F as a separator."
            ),
            Key("strip_prefix", .scalar(.path), "What is taken off the front of the path."),
            Key("add_prefix", .scalar(.path), "What is put before it, after that."),
            Key(
                "rewrite", .scalar(.rewritePath),
                "The whole path instead; may name the match's {name} segments and end in /* where the match does."),
        ])
    }

    static var routeLimits: ObjectShape {
        ObjectShape([
            Key(
                "request_body", .scalar(.size(1...(1 << 50), zeroIsUnlimited: true)),
                "The body; 413 beyond. 0 is no limit. Left out: as the listener says.")
        ])
    }
}
