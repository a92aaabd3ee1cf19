import Primitives

/// The tables of keys: services.
extension Schema {
    static var service: ObjectShape {
        ObjectShape([
            Key("instances", .list(.object(instance), count: 1...4096), required: true, "The backends."),
            Key("load_balancer", .object(loadBalancer), "How one of them is chosen."),
            Key("timeouts", .object(timeouts), "How long a backend may take; 504 beyond."),
            Key("pool", .object(pool), "The connections that are kept."),
            Key("queue", .object(queue), "Requests that wait for a connection."),
            Key(
                "pass_host", .scalar(.hostField), default: "true",
                "What the backend gets as Host: true is the client's, false the instance's own, anything else that text."),
            Key(
                "resolve_interval", .scalar(.duration(.seconds(1) ... .seconds(86_400))),
                default: AmountText.of(Defaults.resolveInterval),
                "How often host names are looked up again. The last good answer is kept."),
            Key("maintenance", maintenance, default: "false", "Whether all of its routes answer 503."),
            Key(
                "health_check", .object(healthCheck),
                "Requests that find out whether an instance works. Left out: only traffic tells."),
            Key(
                "outlier_detection", .object(outlierDetection),
                "Takes out single instances whose traffic fails. On unless it says enabled: false."),
            Key(
                "circuit_breaker", .object(circuitBreaker(ofRoute: false)),
                "Stops sending to a service that fails. On unless it says enabled: false."),
            Key("retry", .object(retry), "Tries again where that is safe. On unless it says enabled: false."),
            Key(
                "adaptive_concurrency", .object(adaptiveConcurrency),
                "Limits the requests in flight by how the latency answers to them. Left out: off."),
            Key("fallback", .object(fallback), "What clients get while it cannot answer: another service, or a fixed answer."),
            Key("tls", .object(upstreamTLS), "How https:// instances are spoken to."),
        ])
    }

    static var instance: ObjectShape {
        ObjectShape([
            Key("url", .scalar(.instanceURL), required: true, "http://host:port, https://host:port or unix:/path."),
            Key(
                "weight", .scalar(.integer(0...1000)), default: "\(Defaults.instanceWeight)",
                "Its share of the requests; 0 sends it no new ones."),
            Key("version", .scalar(.name), "A label for logs and metrics."),
            Key(
                "protocol", .scalar(.word(UpstreamProtocol.allCases.map(\.rawValue))), default: "auto",
                "What it is spoken to with. auto is http/1.1, and over https:// what both sides know, h2 before http/1.1. h2 needs "
                    + "https://, h2c is HTTP/2 without it."),
        ])
    }

    static var timeouts: ObjectShape {
        ObjectShape([
            Key(
                "connect", .scalar(.duration(.milliseconds(1) ... .seconds(3600))),
                default: AmountText.of(Defaults.connectTimeout), "Until a connection is there."),
            Key(
                "response", .scalar(.duration(anyTime, off: true)), default: AmountText.of(Defaults.responseTimeout),
                "From the request being sent to the end of the answer's head."),
            Key(
                "idle", .scalar(.duration(anyTime, off: true)), default: AmountText.of(Defaults.upstreamIdleTimeout),
                "Between two reads of the answer's body."),
            Key(
                "request", .scalar(.duration(anyTime, off: true)), default: AmountText.of(Defaults.requestTimeout),
                "The whole request."),
        ])
    }

    static var pool: ObjectShape {
        ObjectShape([
            Key(
                "max_connections", .scalar(.integer(1...1_000_000)), default: "\(Defaults.poolConnections)",
                "Connections to one instance, for the whole process."),
            Key(
                "idle_timeout", .scalar(.duration(anyTime)), default: AmountText.of(Defaults.poolIdleTimeout),
                "How long an idle connection is kept."),
            Key(
                "max_requests_per_connection", .scalar(.integer(1...1_000_000_000)),
                default: "\(Defaults.poolRequestsPerConnection)", "Requests on a connection before it is closed."),
            Key(
                "max_streams", .scalar(.integer(1...10_000)), default: "\(Defaults.poolStreams)",
                "Requests at once on one HTTP/2 connection, where the backend does not allow fewer."),
        ])
    }

    static var queue: ObjectShape {
        ObjectShape([
            Key(
                "max_pending", .scalar(.integer(0...1_000_000)), default: "\(Defaults.queuePending)",
                "Requests that wait; 503 beyond."),
            Key(
                "timeout", .scalar(.duration(.milliseconds(1) ... .seconds(3600))), default: AmountText.of(Defaults.queueTimeout),
                "How long one waits; 503 beyond."),
        ])
    }

    static var maintenance: Shape {
        .either([
            .scalar(.truth),
            .object(
                ObjectShape([
                    Key("message", .scalar(.text()), default: "\"\(Defaults.maintenanceMessage)\"", "What the answer says."),
                    Key(
                        "retry_after", .scalar(.duration(.seconds(1) ... .seconds(30 * 86_400))),
                        default: AmountText.of(Defaults.maintenanceRetryAfter),
                        "What Retry-After says."),
                ])),
        ])
    }
}
