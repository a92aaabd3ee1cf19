import Balancing
import Health
import Primitives
import Resilience

/// Services, for comparing two configurations.
extension ConfigurationLines {
    static func service(_ service: ServiceConfiguration, in configuration: GatewayConfiguration) -> [ConfigurationLine] {
        var host = "true"
        switch service.passHost {
        case .fromClient: break
        case .ofInstance: host = "false"
        case .literal(let text): host = text
        }
        var lines = [ConfigurationLine("enabled", "\(service.enabled)")]
        lines += balancer(service) + timeouts(service.timeouts)
        lines += [
            ConfigurationLine("pool.max_connections", "\(service.pool.maxConnections)"),
            ConfigurationLine("pool.idle_timeout", AmountText.of(service.pool.idleTimeout)),
            ConfigurationLine("pool.max_requests_per_connection", "\(service.pool.maxRequestsPerConnection)"),
            ConfigurationLine("pool.max_streams", "\(service.pool.maxStreams)"),
            ConfigurationLine("queue.max_pending", "\(service.queue.maxPending)"),
            ConfigurationLine("queue.timeout", AmountText.of(service.queue.timeout)),
            ConfigurationLine("pass_host", host),
            ConfigurationLine("resolve_interval", AmountText.of(service.resolveInterval)),
        ]
        if let encryption = service.tls { lines += tls(encryption) }
        if let given = service.check { lines += check(given, service.health) }
        lines.append(ConfigurationLine("outlier_detection.enabled", "\(service.outliers != nil)"))
        if let policy = service.outliers { lines += outliers(policy) }
        lines.append(ConfigurationLine("circuit_breaker.enabled", "\(service.breaker != nil)"))
        if let policy = service.breaker { lines += breaker(policy) }
        lines += retry(service.retry)
        if let policy = service.adaptiveConcurrency { lines += concurrency(policy) }
        if let given = service.fallback { lines += fallback(given, in: configuration) }
        return lines
    }

    /// What a route has of its service where it says nothing else.
    static func inherited(_ service: ServiceConfiguration) -> [ConfigurationLine] {
        timeouts(service.timeouts) + (service.breaker.map(breaker) ?? [])
    }

    static func timeouts(_ timeouts: TimeoutsConfiguration) -> [ConfigurationLine] {
        [
            ConfigurationLine("timeouts.connect", AmountText.of(timeouts.connect)),
            ConfigurationLine("timeouts.response", AmountText.of(timeouts.response)),
            ConfigurationLine("timeouts.idle", AmountText.of(timeouts.idle)),
            ConfigurationLine("timeouts.request", AmountText.of(timeouts.request)),
        ]
    }

    static func instance(_ instance: InstanceConfiguration) -> [ConfigurationLine] {
        [
            ConfigurationLine("weight", "\(instance.weight)"), ConfigurationLine("version", instance.version),
            ConfigurationLine("protocol", instance.protocol.rawValue),
        ]
    }

    private static func balancer(_ service: ServiceConfiguration) -> [ConfigurationLine] {
        let policy = service.balancer
        let name = Schema.algorithms.first { $0.algorithm == policy.algorithm }?.name ?? ""
        var lines = [ConfigurationLine("load_balancer.algorithm", name)]
        if let source = service.hashSource {
            let (on, name) =
                switch source {
                case .header(let name): ("header", name)
                case .cookie(let name): ("cookie", name)
                case .query(let name): ("query", name)
                case .path: ("path", "")
                }
            lines.append(ConfigurationLine("load_balancer.hash_on", on))
            if !name.isEmpty { lines.append(ConfigurationLine("load_balancer.hash_name", name)) }
            lines.append(ConfigurationLine("load_balancer.bound", factor(policy.loadBound)))
        }
        lines.append(ConfigurationLine("load_balancer.slow_start", AmountText.of(policy.slowStart?.window ?? .forever)))
        lines.append(ConfigurationLine("load_balancer.degraded_weight", AmountText.of(permille: service.health.degradedShare)))
        return lines + (service.sticky.map(sticky) ?? [])
    }

    private static func factor(_ factor: Double) -> String { AmountText.factor(Int((factor * 1000).rounded())) }

    private static func sticky(_ sticky: StickyConfiguration) -> [ConfigurationLine] {
        let path = "load_balancer.sticky"
        let sameSite = Schema.sameSites.first { $0.value == sticky.sameSite }?.name ?? ""
        var lines = [
            ConfigurationLine("\(path).cookie", sticky.cookie),
            ConfigurationLine("\(path).max_age", AmountText.of(sticky.maxAge)),
            ConfigurationLine("\(path).path", sticky.path),
            ConfigurationLine("\(path).http_only", "\(sticky.isHTTPOnly)"),
            ConfigurationLine("\(path).secure", "\(sticky.isSecure)"),
            ConfigurationLine("\(path).same_site", sameSite),
        ]
        if let secret = sticky.secret {
            lines.append(ConfigurationLine("\(path).secret", bytes(secret.bytes), isSecret: true))
        }
        return lines
    }

    // Resilience.

    private static func check(_ check: CheckConfiguration, _ policy: HealthPolicy) -> [ConfigurationLine] {
        var lines: [ConfigurationLine]
        switch check {
        case .http(let target, let host, let expected):
            lines = [ConfigurationLine("health_check.type", "http"), ConfigurationLine("health_check.path", target)]
            if let host { lines.append(ConfigurationLine("health_check.host", host)) }
            if !expected.statuses.isEmpty {
                lines.append(ConfigurationLine("health_check.expect_status", text(expected.statuses.map { "\($0)" })))
            }
            if !expected.body.isEmpty { lines.append(ConfigurationLine("health_check.expect_body", bytes(expected.body))) }
            if let field = expected.field {
                let value = field.value.isEmpty ? "" : ": \(bytes(field.value))"
                let isSecret = SecretNames.holdsWord(bytes(field.name))
                lines.append(ConfigurationLine("health_check.expect_header", bytes(field.name) + value, isSecret: isSecret))
            }
        case .tcp:
            lines = [ConfigurationLine("health_check.type", "tcp")]
        case .grpc(let service):
            lines = [ConfigurationLine("health_check.type", "grpc"), ConfigurationLine("health_check.grpc_service", service)]
        }
        lines += [
            ConfigurationLine("health_check.interval", AmountText.of(policy.interval)),
            ConfigurationLine("health_check.fast_interval", AmountText.of(policy.fastInterval)),
            ConfigurationLine("health_check.timeout", AmountText.of(policy.timeout)),
            ConfigurationLine("health_check.fast_timeout", AmountText.of(policy.fastTimeout)),
            ConfigurationLine("health_check.rise", "\(policy.rise)"),
            ConfigurationLine("health_check.fall", "\(policy.fall)"),
            ConfigurationLine("health_check.backoff_max", AmountText.of(policy.backoffMax)),
            ConfigurationLine("health_check.degraded_error_rate", AmountText.of(permille: policy.degradedErrorPermille)),
        ]
        if let latency = policy.degradedLatency {
            lines.append(ConfigurationLine("health_check.degraded_latency", AmountText.of(latency)))
        }
        return lines
    }

    private static func outliers(_ policy: OutlierDetector.Policy) -> [ConfigurationLine] {
        [
            ConfigurationLine("outlier_detection.server_errors", "\(policy.serverErrors)"),
            ConfigurationLine("outlier_detection.unreachable", "\(policy.unreachable)"),
            ConfigurationLine("outlier_detection.ejection_time", AmountText.of(policy.ejection)),
            ConfigurationLine("outlier_detection.ejection_time_max", AmountText.of(policy.ejectionMax)),
            ConfigurationLine("outlier_detection.max_ejected", "\(policy.ejectedMaxPercent)%"),
        ]
    }

    static func breaker(_ policy: BreakerPolicy) -> [ConfigurationLine] {
        var lines = [
            ConfigurationLine("circuit_breaker.failure_threshold", "\(policy.failureThreshold)"),
            ConfigurationLine("circuit_breaker.success_threshold", "\(policy.successThreshold)"),
            ConfigurationLine("circuit_breaker.open_timeout", AmountText.of(policy.openTimeout)),
            ConfigurationLine("circuit_breaker.open_timeout_max", AmountText.of(policy.openTimeoutMax)),
            ConfigurationLine("circuit_breaker.error_rate_threshold", AmountText.of(permille: policy.errorRatePermille)),
            ConfigurationLine("circuit_breaker.window", AmountText.of(policy.window)),
            ConfigurationLine("circuit_breaker.minimum_requests", "\(policy.minimumRequests)"),
            ConfigurationLine("circuit_breaker.half_open_max", "\(policy.halfOpenMax)"),
            ConfigurationLine("circuit_breaker.probe_early", "\(policy.probeEarly)"),
            ConfigurationLine("circuit_breaker.probe_timeout", AmountText.of(policy.probeTimeout)),
        ]
        if let duration = policy.slowCallDuration {
            lines += [
                ConfigurationLine("circuit_breaker.slow_call_duration", AmountText.of(duration)),
                ConfigurationLine("circuit_breaker.slow_call_rate_threshold", AmountText.of(permille: policy.slowRatePermille)),
            ]
        }
        return lines
    }

    private static func retry(_ retry: RetryConfiguration) -> [ConfigurationLine] {
        let policy = retry.policy
        let on = Schema.retryConditions(policy.conditions) + policy.statuses.map { "\($0)" }
        return [
            ConfigurationLine("retry.attempts", "\(policy.retriesMax)"),
            ConfigurationLine("retry.budget", AmountText.of(permille: retry.budget.sharePermille)),
            ConfigurationLine("retry.retry_on", text(on)),
            ConfigurationLine("retry.per_try_timeout", AmountText.of(policy.perTryTimeout)),
            ConfigurationLine("retry.backoff", AmountText.of(policy.backoffBase)),
            ConfigurationLine("retry.backoff_max", AmountText.of(policy.backoffMax)),
            ConfigurationLine("retry.trust_idempotency_key", "\(retry.trustsIdempotencyKey)"),
        ]
    }

    private static func concurrency(_ policy: ConcurrencyLimit.Policy) -> [ConfigurationLine] {
        [
            ConfigurationLine("adaptive_concurrency.min", "\(policy.least)"),
            ConfigurationLine("adaptive_concurrency.max", "\(policy.most)"),
            ConfigurationLine("adaptive_concurrency.start", "\(policy.start)"),
            ConfigurationLine("adaptive_concurrency.tolerance", AmountText.of(permille: policy.tolerancePermille)),
        ]
    }

    static func fallback(_ fallback: FallbackConfiguration, in configuration: GatewayConfiguration) -> [ConfigurationLine] {
        switch fallback {
        case .response(let response): fixedResponse("fallback", response)
        case .service(let index): [ConfigurationLine("fallback.service", configuration.services[index].name)]
        }
    }
}
