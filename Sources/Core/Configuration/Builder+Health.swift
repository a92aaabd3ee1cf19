import Health
import Primitives

/// The checks of a service.
extension Builder {
    mutating func buildHealthCheck(_ value: Value, _ service: inout ServiceConfiguration, isOff: Bool) {
        let isOff = isOff || !value.isEnabled
        var policy = service.health
        set(&policy.interval, value["interval"]?.duration)
        policy.timeout = value["timeout"]?.duration ?? min(policy.timeout, policy.interval)
        policy.fastInterval = value["fast_interval"]?.duration ?? min(policy.fastInterval, policy.interval)
        policy.fastTimeout = value["fast_timeout"]?.duration ?? min(policy.fastTimeout, policy.timeout)
        set(&policy.rise, value["rise"]?.integer)
        set(&policy.fall, value["fall"]?.integer)
        set(&policy.backoffMax, value["backoff_max"]?.duration)
        policy.degradedLatency = value["degraded_latency"]?.duration
        set(&policy.degradedErrorPermille, value["degraded_error_rate"]?.permille)
        derive(value.trail, "timeout", AmountText.of(policy.timeout))
        derive(value.trail, "fast_interval", AmountText.of(policy.fastInterval))
        derive(value.trail, "fast_timeout", AmountText.of(policy.fastTimeout))
        if !isOff { checkTimes(value, policy) }
        let check = check(value, service.instances, isOff: isOff)
        guard value.isEnabled else { return }
        policy.hasChecks = true
        service.health = policy
        service.check = check
    }

    /// Times that do not go together do no harm, but are not what was meant.
    private mutating func checkTimes(_ value: Value, _ policy: HealthPolicy) {
        let interval = value["interval"]?.shown(AmountText.of(policy.interval)) ?? AmountText.of(policy.interval)
        let knowsInterval = value.entry("interval")?.value.isInvalid != true
        if let timeout = value["timeout"], policy.timeout > policy.interval, knowsInterval {
            diagnostics.warning(
                timeout.mark, timeout.trail,
                "is longer than interval (\(interval)): a check that takes so long delays the next; lower it, or raise interval")
        }
        if let fast = value["fast_interval"], policy.fastInterval > policy.interval, knowsInterval {
            diagnostics.warning(fast.mark, fast.trail, "is longer than interval (\(interval)), which counts instead")
        }
        if let fast = value["fast_timeout"], policy.fastTimeout > policy.timeout, value.entry("timeout")?.value.isInvalid != true
        {
            let timeout = value["timeout"]?.shown(AmountText.of(policy.timeout)) ?? AmountText.of(policy.timeout)
            diagnostics.warning(fast.mark, fast.trail, "is longer than timeout (\(timeout)), which counts instead")
        }
    }

    private mutating func check(_ value: Value, _ instances: [InstanceConfiguration], isOff: Bool) -> CheckConfiguration {
        let expectation = CheckExpectation(
            statuses: value["expect_status"]?.elements.compactMap { $0.integer.map { UInt16(clamping: $0) } } ?? [],
            body: value["expect_body"]?.text.map { Array($0.utf8) } ?? [], field: expectedField(value["expect_header"]))
        if let body = value["expect_body"], body.text?.isEmpty == true {
            diagnostics.error(body.mark, body.trail, "is empty; left out, the body is not looked at")
        }
        let type = value["type"]?.text ?? "http"
        let ofHTTP = ["path", "host", "expect_status", "expect_body", "expect_header"]
        for key in (type == "http" ? [] : ofHTTP) + (type == "grpc" ? [] : ["grpc_service"]) where !isOff {
            guard let entry = value.entry(key) else { continue }
            warn(entry, "has no effect on a check of type \(type)\(type == "tcp" ? ", which asks for nothing" : "")")
        }
        switch type {
        case "tcp":
            return .tcp
        case "grpc":
            if let type = value["type"], !isOff { checkProtocols(type, instances) }
            return .grpc(service: value["grpc_service"]?.text ?? "")
        default:
            derive(value.trail, "path", Defaults.checkPath)
            return .http(target: value["path"]?.text ?? Defaults.checkPath, host: value["host"]?.text, expectation)
        }
    }

    /// Who is checked over HTTP/2 and asked over HTTP/1.1 is mostly a server that cannot answer.
    private mutating func checkProtocols(_ type: Value, _ instances: [InstanceConfiguration]) {
        let older = instances.first { instance in
            switch instance.protocol {
            case .http1: true
            case .auto: !instance.isSecure
            case .h2, .h2c: false
            }
        }
        guard let older else { return }
        diagnostics.warning(
            type.mark, type.trail,
            "the check is made over HTTP/2, while \(older.id) gets its requests over HTTP/1.1; gRPC needs "
                + "protocol: \(older.isSecure ? "h2" : "h2c") there")
    }

    /// `Name` or `Name: value`.
    private mutating func expectedField(_ value: Value?) -> CheckExpectation.Field? {
        guard let value, let text = value.text else { return nil }
        let parts = text.utf8.split(separator: ASCII.colon, maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first, ScalarKind.isToken(String(Substring(name)), maximum: 256) else {
            diagnostics.error(value.mark, value.trail, "expected a header name, or \"Name: text\"")
            return nil
        }
        var wanted = parts.count == 2 ? Array(parts[1]) : []
        while let first = wanted.first, first == ASCII.space || first == ASCII.tab { wanted.removeFirst() }
        while let last = wanted.last, last == ASCII.space || last == ASCII.tab { wanted.removeLast() }
        return CheckExpectation.Field(name: Array(name), value: wanted)
    }
}
