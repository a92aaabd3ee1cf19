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
            Key("health_check", .object(healthCheck), "Requests that find out whether an instance works.", .withoutEffect),
            Key("circuit_breaker", .object(circuitBreaker), "Stops sending to a service that fails.", .withoutEffect),
            Key("retry", .object(retry), "Tries again where that is safe.", .withoutEffect),
            Key("tls", .object(upstreamTLS), "How https:// instances are verified.", .withoutEffect),
        ])
    }

    static var instance: ObjectShape {
        ObjectShape([
            Key("url", .scalar(.instanceURL), required: true, "http://host:port or unix:/path.", .judgedByBuilder),
            Key(
                "weight", .scalar(.integer(0...1000)), default: "\(Defaults.instanceWeight)",
                "Its share of the requests; 0 sends it no new ones."),
            Key("version", .scalar(.name), "A label for logs and metrics."),
            Key(
                "protocol", .scalar(.word(["auto", "http/1.1", "h2", "h2c"])), default: "auto",
                "What it is spoken to with. h2 and h2c have no effect in this version.", .judgedByBuilder),
        ])
    }

    static var loadBalancer: ObjectShape {
        ObjectShape([
            Key(
                "algorithm",
                .scalar(.word(["round_robin", "weighted", "least_conn", "ip_hash", "p2c_ewma", "consistent_hash", "random"])),
                default: "round_robin", "round_robin and weighted are the same; the others have no effect in this version.",
                .judgedByBuilder),
            Key(
                "hash_on", .scalar(.word(["header", "cookie", "query", "user", "path"])), "What consistent_hash looks at.",
                .withoutEffect),
            Key("hash_name", .scalar(.text()), "The name of the header, cookie or parameter.", .withoutEffect),
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

    static var healthCheck: ObjectShape {
        ObjectShape([
            Key("path", .scalar(.path), default: "/health", "What is asked for."),
            Key("type", .scalar(.word(["http", "tcp", "grpc"])), default: "http", "How it is asked."),
            Key("host", .scalar(.hostField), "What the check sends as Host."),
            Key("interval", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))), default: "30s", "How often."),
            Key(
                "fast_interval", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))), default: "1s",
                "How often while in doubt."),
            Key("timeout", .scalar(.duration(.milliseconds(10) ... .seconds(3600))), default: "5s", "How long one may take."),
            Key("rise", .scalar(.integer(1...100)), default: "2", "Successes that bring an instance back."),
            Key("fall", .scalar(.integer(1...100)), default: "3", "Failures that take it out."),
            Key(
                "expect_status", .list(.scalar(.integer(100...599)), orOne: true, count: 1...64),
                "Statuses that are a success; left out: 200 to 399."),
            Key("degraded_latency", .scalar(.duration(anyTime)), "Slower than this is DEGRADED."),
        ])
    }

    static var circuitBreaker: ObjectShape {
        ObjectShape([
            Key("failure_threshold", .scalar(.integer(1...1_000_000)), default: "5", "Failures in a row that open it."),
            Key("success_threshold", .scalar(.integer(1...1_000_000)), default: "3", "Successes that close it."),
            Key("open_timeout", .scalar(.duration(anyTime)), default: "60s", "How long it stays open."),
            Key("error_rate_threshold", .scalar(.ratio), default: "50%", "The share of failures that opens it."),
            Key(
                "window", .scalar(.duration(.seconds(1) ... .seconds(3600))), default: "10s",
                "The time over which the share is taken."),
            Key(
                "minimum_requests", .scalar(.integer(1...1_000_000)), default: "20",
                "Requests in the window before the share counts."),
            Key("half_open_max", .scalar(.integer(1...1000)), default: "3", "Requests at once while half open."),
            Key("slow_call_duration", .scalar(.duration(anyTime)), "Slower than this counts as slow."),
            Key("slow_call_rate_threshold", .scalar(.ratio), default: "100%", "The share of slow calls that opens it."),
            Key("probe_early", .scalar(.truth), default: "true", "Whether passing health checks half open it before its time."),
        ])
    }

    static var retry: ObjectShape {
        ObjectShape([
            Key("attempts", .scalar(.integer(0...10)), default: "2", "Tries after the first."),
            Key("budget", .scalar(.ratio), default: "20%", "The share of requests that may be retries."),
            Key(
                "retry_on",
                .list(
                    .scalar(
                        .word([
                            "connect_failure", "refused_stream", "stale_connection", "5xx", "gateway_error", "timeout",
                            "429",
                        ])), orOne: true, count: 0...7), default: "[connect_failure, refused_stream, stale_connection]",
                "What is tried again."),
            Key("per_try_timeout", .scalar(.duration(anyTime, off: true)), default: "off", "How long one try may take."),
        ])
    }

    static var upstreamTLS: ObjectShape {
        ObjectShape([
            Key("ca_file", .scalar(.filePath()), "The authorities that are trusted; left out: those of the system."),
            Key("cert_file", .scalar(.filePath()), "The certificate that we show."),
            Key("key_file", .scalar(.filePath()), "Its private key."),
            Key("server_name", .scalar(.hostField), "The name that is verified; left out: the host of the URL."),
            Key("insecure_skip_verify", .scalar(.truth), default: "false", "Whether anything is accepted. For tests."),
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
