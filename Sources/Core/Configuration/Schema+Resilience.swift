import Health
import Primitives
import Resilience

/// The tables of keys: what becomes of a service whose instances fail.
extension Schema {
    static var retryConditions: [String] {
        ["connect_failure", "refused_stream", "stale_connection", "5xx", "gateway_error", "timeout", "429"]
    }

    static func retryConditions(_ conditions: RetryConditions) -> [String] {
        retryConditions.filter { name in RetryConditions(name: name).map(conditions.contains) ?? false }
    }

    private static func text(_ amount: TimeAmount) -> String { AmountText.of(amount) }

    static var healthCheck: ObjectShape {
        let policy = HealthPolicy()
        return ObjectShape([
            Key("path", .scalar(.target), default: Defaults.checkPath, "What is asked for, perhaps with a query.").dependent,
            Key(
                "type", .scalar(.word(["http", "tcp", "grpc"])), default: "http",
                "http asks for path, tcp only connects, grpc calls grpc.health.v1.Health/Check over HTTP/2."),
            Key(
                "grpc_service", .scalar(.text(maximum: 256)),
                "What a check of type grpc asks after; left out: the server as a whole."),
            Key("host", .scalar(.hostField), "What the check sends as Host; left out: the instance's own name."),
            Key(
                "interval", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))), default: text(policy.interval),
                "How often an instance that is well is checked."),
            Key(
                "fast_interval", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))), default: text(policy.fastInterval),
                "How often while in doubt; left out: at most interval."
            ).dependent,
            Key(
                "timeout", .scalar(.duration(.milliseconds(10) ... .seconds(3600))), default: text(policy.timeout),
                "How long a check may take; left out: at most interval."
            ).dependent,
            Key(
                "fast_timeout", .scalar(.duration(.milliseconds(10) ... .seconds(3600))), default: text(policy.fastTimeout),
                "How long one may take while in doubt, unless the instance is known to be slower; left out: at most timeout."
            ).dependent,
            Key("rise", .scalar(.integer(1...100)), default: "\(policy.rise)", "Successes in a row that bring an instance back."),
            Key(
                "fall", .scalar(.integer(1...100)), default: "\(policy.fall)",
                "Failures in a row that take it out, those in traffic included."),
            Key(
                "backoff_max", .scalar(.duration(.seconds(1) ... .seconds(300))), default: text(policy.backoffMax),
                "The longest wait before a failed instance is checked again."),
            Key(
                "expect_status", .list(.scalar(.integer(200...599)), orOne: true, count: 1...64),
                "Statuses that are a success; left out: 200 to 399."),
            Key(
                "expect_body", .scalar(.text(maximum: 1024, lines: true)),
                "Text that the first 64KiB of the answer's body must contain, up to 1KiB."),
            Key(
                "expect_header", .scalar(.fixedFieldValue),
                "A field that the answer must have: its name, or \"Name: text\" for what its value must contain."),
            Key("degraded_latency", .scalar(.duration(anyTime)), "An instance that is slower in traffic is DEGRADED."),
            Key(
                "degraded_error_rate", .scalar(.ratio(1...1000)), default: AmountText.of(permille: policy.degradedErrorPermille),
                "The share of server errors in traffic that makes an instance DEGRADED."),
        ])
    }

    static var outlierDetection: ObjectShape {
        let policy = OutlierDetector.Policy()
        return ObjectShape(
            [
                Key(
                    "server_errors", .scalar(.integer(1...1_000_000)), default: "\(policy.serverErrors)",
                    "Answers in a row with 500, 502, 503 or 504 that take an instance out."),
                Key(
                    "unreachable", .scalar(.integer(1...1_000_000)), default: "\(policy.unreachable)",
                    "Failed connections, timeouts and broken answers in a row that take it out."),
                Key(
                    "ejection_time", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))), default: text(policy.ejection),
                    "For how long, times the number of times that it happened."),
                Key(
                    "ejection_time_max", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))),
                    default: text(policy.ejectionMax), "The longest time; left out: at least ejection_time."
                ).dependent,
                Key(
                    "max_ejected", .scalar(.ratio(step: 10)), default: "\(policy.ejectedMaxPercent)%",
                    "The share of the instances that may be out at once, in whole percents."),
            ], whenOff: "With false no instance is taken out for what its traffic shows.")
    }

    /// - Parameter ofRoute: Whether it counts for one route in the place of its service's.
    static func circuitBreaker(ofRoute: Bool) -> ObjectShape {
        let policy = BreakerPolicy()
        let count = Shape.scalar(.integer(1...1_000_000))
        return ObjectShape(
            [
                Key("failure_threshold", count, default: "\(policy.failureThreshold)", "Failures in a row that open it."),
                Key("success_threshold", count, default: "\(policy.successThreshold)", "Successes of probes that close it."),
                Key(
                    "open_timeout", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))),
                    default: text(policy.openTimeout),
                    "How long it stays open, doubled each time that it opens again soon."),
                Key(
                    "open_timeout_max", .scalar(.duration(.milliseconds(100) ... .seconds(86_400))),
                    default: text(policy.openTimeoutMax), "The longest time; left out: at least open_timeout."
                ).dependent,
                Key(
                    "error_rate_threshold", .scalar(.ratio(1...1000)), default: AmountText.of(permille: policy.errorRatePermille),
                    "The share of failures in the window that opens it."),
                Key(
                    "window", .scalar(.duration(.seconds(1) ... .seconds(3600))), default: text(policy.window),
                    "The time over which shares are taken."),
                Key(
                    "minimum_requests", count, default: "\(policy.minimumRequests)",
                    "Requests in the window before a share counts."),
                Key(
                    "half_open_max", .scalar(.integer(1...1000)), default: "\(policy.halfOpenMax)",
                    "Probes at once while it is half open."),
                Key(
                    "slow_call_duration", .scalar(.duration(anyTime)),
                    "Requests that take longer are slow. Left out: none is."),
                Key(
                    "slow_call_rate_threshold", .scalar(.ratio(1...1000)),
                    default: AmountText.of(permille: policy.slowRatePermille),
                    "The share of slow requests in the window that opens it; needs slow_call_duration."
                ).dependent,
                Key(
                    "probe_early", .scalar(.truth), default: "\(policy.probeEarly)",
                    "Whether passing health checks half open it before its time."),
                Key(
                    "probe_timeout", .scalar(.duration(.milliseconds(100) ... .seconds(30 * 86_400))),
                    default: text(policy.probeTimeout),
                    "A probe without an answer has failed after this; left out: at least timeouts.response."
                ).dependent,
            ],
            whenOff: ofRoute
                ? "With false the route has no breaker of its own: that of the service counts."
                : "With false there is no breaker.")
    }

    static var retry: ObjectShape {
        let policy = RetryPolicy()
        return ObjectShape(
            [
                Key("attempts", .scalar(.integer(0...10)), default: "\(policy.retriesMax)", "Tries after the first."),
                Key(
                    "budget", .scalar(.ratio()), default: AmountText.of(permille: RetryBudget.Policy().sharePermille),
                    "The share of the service's requests that may be retries."),
                Key(
                    "retry_on", .list(.scalar(.wordOrInteger(retryConditions, 400...599)), orOne: true, count: 0...64),
                    default: "[\(retryConditions(policy.conditions).joined(separator: ", "))]",
                    "What is tried again: conditions and statuses."),
                Key(
                    "per_try_timeout", .scalar(.duration(anyTime, off: true)), default: text(policy.perTryTimeout),
                    "How long one try may take."),
                Key(
                    "backoff", .scalar(.duration(.milliseconds(1) ... .seconds(60))), default: text(policy.backoffBase),
                    "The most that the first wait can be; it doubles with each retry."),
                Key(
                    "backoff_max", .scalar(.duration(.milliseconds(1) ... .seconds(60))), default: text(policy.backoffMax),
                    "The most that any wait can be; left out: at least backoff."
                ).dependent,
                Key(
                    "trust_idempotency_key", .scalar(.truth), default: "false",
                    "Whether a request with Idempotency-Key may be repeated whatever its method."),
            ],
            whenOff: "With false nothing is tried again, but where the backend had closed a kept connection and it is safe.")
    }

    static var adaptiveConcurrency: ObjectShape {
        let policy = ConcurrencyLimit.Policy()
        let count = Shape.scalar(.integer(1...1_000_000))
        return ObjectShape([
            Key("min", count, default: "\(policy.least)", "The lowest limit; left out: at most max.").dependent,
            Key("max", count, default: "\(policy.most)", "The highest limit; left out: at least min.").dependent,
            Key("start", count, default: "\(policy.start)", "The limit before anything is known; left out: between the two.")
                .dependent,
            Key(
                "tolerance", .scalar(.ratio()), default: AmountText.of(permille: policy.tolerancePermille),
                "How much slower than at its quickest the service may become before the limit shrinks."),
        ])
    }

    static var fallback: ObjectShape {
        ObjectShape(
            [Key("service", .scalar(.text()), "The service that answers instead.")] + respond.keys.map(\.dependent),
            anyOf: ["service"] + respond.keys.map(\.name))
    }
}
