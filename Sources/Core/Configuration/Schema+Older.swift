import Primitives

/// The tables of keys: the flat names of earlier gateways, which stand at the root of the file and are put into their places
/// by `OlderNames`.
extension Schema {
    static var older: [Key] {
        let requests = Shape.scalar(.integer(1...1_000_000_000))
        return [
            Key(
                "host", .scalar(.text(maximum: 253)), "The address of the one listener; with port. 0.0.0.0 where it is left out."),
            Key("port", .scalar(.integer(0...65_535)), "The port of the one listener; with host. 8000 where it is left out."),
            Key("workers", .scalar(.countOrAuto(1...1024)), "server.workers."),
            Key("log_level", .scalar(.word(olderLevels.flatMap { [$0.0, $0.0.uppercased()] })), "server.log_level."),
            Key("max_requests_per_second", requests, "A rate_limit for all requests together, on every route."),
            Key("rate_limit_per_minute", requests, "A rate_limit for each client address, on every route."),
            Key(
                "request_timeout", .scalar(.duration(anyTime, off: true)), "timeouts.response of the services that say nothing."),
            Key(
                "connection_pool_size", .scalar(.integer(1...1_000_000)), "pool.max_connections of the services that say nothing."
            ),
            Key(
                "health_check_interval", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))),
                "health_check.interval of the services that have such a block and say nothing."),
            Key(
                "circuit_breaker_threshold", .scalar(.integer(1...1_000_000)),
                "circuit_breaker.failure_threshold of the services that say nothing."),
            Key("jwt_secret", .scalar(.secret), "The secret of a middleware jwt with HS256."),
            Key("api_key_header", .scalar(.token), "The field of a middleware api_key."),
            Key("metrics_enabled", .scalar(.truth), "admin.metrics."),
            Key("log_requests", .scalar(.truth), "access_log.enabled, unless log_responses is true."),
            Key("log_responses", .scalar(.truth), "access_log.enabled, unless log_requests is true or left out."),
        ]
    }

    /// What levels were called, in lower case, and what they are called here.
    static var olderLevels: [(String, LogLevel)] {
        [
            ("debug", .debug), ("info", .info), ("warn", .warn), ("warning", .warn), ("error", .error), ("critical", .error),
        ]
    }
}
