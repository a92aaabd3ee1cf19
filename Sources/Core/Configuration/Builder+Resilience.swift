import Primitives
import Resilience

/// Breakers, retries, outliers and limits of a service.
extension Builder {
    mutating func buildResilience(_ value: Value, _ service: inout ServiceConfiguration, isOff: Bool) {
        let ejection = value["outlier_detection"]
        let outliers = outliers(ejection, at: value.trail.appending("outlier_detection"))
        service.outliers = ejection?.isEnabled == false ? nil : outliers
        let block = value["circuit_breaker"]
        let trail = value.trail.appending("circuit_breaker")
        let policy = breaker(block, over: nil, service.timeouts, at: trail, isOff: isOff || block?.isEnabled == false)
        service.breaker = block?.isEnabled == false ? nil : policy
        if let block, block.isEnabled { breakers[configuration.services.count] = block }
        buildRetry(value["retry"], &service, at: value.trail.appending("retry"))
        if let given = value["adaptive_concurrency"] {
            let policy = concurrency(given)
            service.adaptiveConcurrency = given.isEnabled ? policy : nil
        }
    }

    /// The longer of two times that belong together: as written, or the default with room for the shorter one.
    /// - Parameters:
    ///   - upper: the key of the longer one.
    ///   - lower: the key of the shorter one, with what counts for it.
    ///   - given: where a key is written.
    private mutating func longest(
        _ upper: String, _ standard: TimeAmount, atLeast lower: (key: String, amount: TimeAmount), in block: Value?,
        _ given: (String) -> Value?
    ) -> TimeAmount {
        guard let written = given(upper), let limit = written.duration else { return max(standard, lower.amount) }
        let isHere = block?.entry(upper) != nil || block?.entry(lower.key) != nil
        if limit < lower.amount, isHere, block?.entry(lower.key)?.value.isInvalid != true {
            let shorter = given(lower.key)
            if let shorter, block?.entry(upper) == nil {
                diagnostics.error(
                    shorter.mark, shorter.trail, "is longer than \(upper) (\(written.shown(AmountText.of(limit))))")
            } else {
                let amount = AmountText.of(lower.amount)
                diagnostics.error(
                    written.mark, written.trail, "is shorter than \(lower.key) (\(shorter?.shown(amount) ?? amount))")
            }
        }
        return max(limit, lower.amount)
    }

    private mutating func outliers(_ value: Value?, at trail: KeyTrail) -> OutlierDetector.Policy {
        var policy = OutlierDetector.Policy()
        set(&policy.serverErrors, value?["server_errors"]?.integer)
        set(&policy.unreachable, value?["unreachable"]?.integer)
        set(&policy.ejection, value?["ejection_time"]?.duration)
        policy.ejectionMax = longest(
            "ejection_time_max", policy.ejectionMax, atLeast: ("ejection_time", policy.ejection), in: value, { value?[$0] })
        set(&policy.ejectedMaxPercent, value?["max_ejected"]?.permille.map { $0 / 10 })
        derive(trail, "ejection_time_max", AmountText.of(policy.ejectionMax))
        return policy
    }

    /// - Parameters:
    ///   - block: `circuit_breaker`, or nil where it is not written.
    ///   - service: what counts where a route's block says nothing.
    mutating func breaker(
        _ block: Value?, over service: Value?, _ timeouts: TimeoutsConfiguration, at trail: KeyTrail, isOff: Bool
    ) -> BreakerPolicy {
        let given = { (key: String) in block?[key] ?? service?[key] }
        var policy = BreakerPolicy()
        set(&policy.failureThreshold, given("failure_threshold")?.integer)
        set(&policy.successThreshold, given("success_threshold")?.integer)
        set(&policy.openTimeout, given("open_timeout")?.duration)
        policy.openTimeoutMax = longest(
            "open_timeout_max", policy.openTimeoutMax, atLeast: ("open_timeout", policy.openTimeout), in: block, given)
        set(&policy.errorRatePermille, given("error_rate_threshold")?.permille)
        set(&policy.window, given("window")?.duration)
        set(&policy.minimumRequests, given("minimum_requests")?.integer)
        set(&policy.halfOpenMax, given("half_open_max")?.integer)
        policy.slowCallDuration = given("slow_call_duration")?.duration
        set(&policy.slowRatePermille, given("slow_call_rate_threshold")?.permille)
        set(&policy.probeEarly, given("probe_early")?.truth)
        policy.probeTimeout = given("probe_timeout")?.duration ?? Builder.probeTimeout(timeouts)
        derive(trail, "open_timeout_max", AmountText.of(policy.openTimeoutMax))
        derive(trail, "probe_timeout", AmountText.of(policy.probeTimeout))
        if policy.slowCallDuration != nil {
            derive(trail, "slow_call_rate_threshold", AmountText.of(permille: policy.slowRatePermille))
        }
        if !isOff, let block { checkBreaker(block, given, policy, timeouts) }
        return policy
    }

    /// A probe is not given up before the service's own time is over; but given up it is, or the breaker would stay half open.
    static func probeTimeout(_ timeouts: TimeoutsConfiguration) -> TimeAmount {
        let limits = [timeouts.response, timeouts.request].filter { $0 != .forever }
        return max(BreakerPolicy().probeTimeout, limits.first ?? Defaults.unlimitedProbeTimeout)
    }

    private mutating func checkBreaker(
        _ block: Value, _ given: (String) -> Value?, _ policy: BreakerPolicy, _ timeouts: TimeoutsConfiguration
    ) {
        if let rate = block.entry("slow_call_rate_threshold"), given("slow_call_duration") == nil,
            block.entry("slow_call_duration") == nil
        {
            warn(rate, "has no effect without slow_call_duration")
        }
        if knowsAll, let probe = block["probe_timeout"], timeouts.response != .forever, policy.probeTimeout < timeouts.response {
            diagnostics.warning(
                probe.mark, probe.trail,
                "is shorter than timeouts.response: a probe that is answered later counts as a failure; raise it, or lower the other"
            )
        }
    }

    private mutating func buildRetry(_ value: Value?, _ service: inout ServiceConfiguration, at trail: KeyTrail) {
        var retry = RetryConfiguration()
        defer { service.retry = retry }
        var policy = retry.policy
        set(&policy.retriesMax, value?["attempts"]?.integer)
        set(&policy.perTryTimeout, value?["per_try_timeout"]?.duration)
        set(&policy.backoffBase, value?["backoff"]?.duration)
        policy.backoffMax = longest(
            "backoff_max", policy.backoffMax, atLeast: ("backoff", policy.backoffBase), in: value, { value?[$0] })
        derive(trail, "backoff_max", AmountText.of(policy.backoffMax))
        if let list = value?["retry_on"] {
            policy.conditions = []
            for element in list.elements {
                if let word = element.text, let condition = RetryConditions(name: word) { policy.conditions.insert(condition) }
                if let status = element.integer, !policy.statuses.contains(UInt16(clamping: status)) {
                    policy.statuses.append(UInt16(clamping: status))
                }
            }
        }
        guard value?.isEnabled != false else {
            // The backend had closed the connection before it saw the request: that is no failure, and nobody's to pay for.
            retry.policy.retriesMax = 0
            retry.policy.conditions = .staleConnection
            return
        }
        retry.policy = policy
        set(&retry.budget.sharePermille, value?["budget"]?.permille)
        set(&retry.trustsIdempotencyKey, value?["trust_idempotency_key"]?.truth)
    }

    private mutating func concurrency(_ value: Value) -> ConcurrencyLimit.Policy {
        var policy = ConcurrencyLimit.Policy()
        let (least, most) = (value["min"]?.integer, value["max"]?.integer)
        policy.least = least ?? min(policy.least, most ?? policy.least)
        policy.most = most ?? max(policy.most, policy.least)
        if let max = value["max"], policy.most < policy.least {
            let least = value["min"]?.shown("\(policy.least)") ?? "\(policy.least)"
            diagnostics.error(max.mark, max.trail, "is below min (\(least))")
            policy.most = policy.least
        }
        let range = policy.least...policy.most
        policy.start = min(max(policy.start, range.lowerBound), range.upperBound)
        if let start = value["start"], let limit = start.integer {
            policy.start = limit
            if !range.contains(limit), !["min", "max"].contains(where: { value.entry($0)?.value.isInvalid == true }) {
                diagnostics.error(start.mark, start.trail, "must be between min and max")
            }
        }
        set(&policy.tolerancePermille, value["tolerance"]?.permille)
        derive(value.trail, "min", "\(policy.least)")
        derive(value.trail, "max", "\(policy.most)")
        derive(value.trail, "start", "\(policy.start)")
        return policy
    }
}
