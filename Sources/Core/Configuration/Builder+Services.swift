import Primitives

/// Services.
extension Builder {
    mutating func buildService(_ entry: Value.Entry) {
        let value = entry.value
        guard !value.isInvalid else {
            services[entry.key] = .broken
            return
        }
        let isOff = !value.isEnabled
        var service = ServiceConfiguration(name: entry.key, instances: [])
        service.enabled = value.isEnabled
        if let list = value["instances"] { service.instances = instances(list, of: value) }
        if let given = value.block("timeouts") { service.timeouts = timeouts(given, over: service.timeouts) }
        if let pool = value.block("pool") {
            set(&service.pool.maxConnections, pool["max_connections"]?.integer)
            set(&service.pool.idleTimeout, pool["idle_timeout"]?.duration)
            set(&service.pool.maxRequestsPerConnection, pool["max_requests_per_connection"]?.integer)
        }
        if let queue = value.block("queue") {
            set(&service.queue.maxPending, queue["max_pending"]?.integer)
            set(&service.queue.timeout, queue["timeout"]?.duration)
        }
        switch value["pass_host"]?.text {
        case nil, "true": service.passHost = .fromClient
        case "false": service.passHost = .ofInstance
        case let text?: service.passHost = .literal(text)
        }
        set(&service.resolveInterval, value["resolve_interval"]?.duration)
        buildBalancer(value["load_balancer"], &service, isOff: isOff)
        if let check = value["health_check"] { buildHealthCheck(check, &service, isOff: isOff) }
        buildResilience(value, &service, isOff: isOff)
        if let given = value["fallback"] {
            service.fallback = fallback(given, of: configuration.services.count, isOff: isOff)
        }
        var answer = maintenance(value["maintenance"])
        if isOff { answer = .on(message: "The service is switched off.", retryAfter: Defaults.maintenanceRetryAfter) }
        services[entry.key] = .built(configuration.services.count, maintenance: answer)
        configuration.services.append(service)
        places.services.append(LoadResult.Place(mark: entry.keyMark, path: value.trail.text))
    }

    private mutating func instances(_ list: Value, of service: Value) -> [InstanceConfiguration] {
        var result: [InstanceConfiguration] = []
        var seen: [InstanceAddress: KeyTrail] = [:]
        var isAnyOn = false
        for element in list.elements {
            guard element.isEnabled else { continue }
            isAnyOn = true
            guard let url = element["url"], case .instanceAddress(let address, let isSecure) = url.content else { continue }
            if isSecure, service.isEnabled {
                diagnostics.error(url.mark, url.trail, "https:// to backends is not available in this version")
            }
            if let first = seen.updateValue(url.trail, forKey: address) {
                diagnostics.error(url.mark, url.trail, "\(url.shown(address.text)) stands at \(first.text) already")
            }
            if let spoken = element["protocol"], let text = spoken.text, text != "auto", text != "http/1.1", service.isEnabled {
                diagnostics.withoutEffect("the protocol \(text)", spoken.mark, spoken.trail)
            }
            var instance = InstanceConfiguration(address: address)
            set(&instance.weight, element["weight"]?.integer)
            set(&instance.version, element["version"]?.text)
            result.append(instance)
        }
        guard service.isEnabled, !list.elements.isEmpty else { return result }
        if !isAnyOn {
            diagnostics.error(list.mark, list.trail, "needs at least one instance that is enabled")
        } else if !result.isEmpty, knowsAll, result.allSatisfy({ $0.weight == 0 }) {
            diagnostics.warning(list.mark, list.trail, "every weight is 0: no instance takes requests")
        }
        return result
    }

    func timeouts(_ value: Value, over base: TimeoutsConfiguration) -> TimeoutsConfiguration {
        var timeouts = base
        set(&timeouts.connect, value["connect"]?.duration)
        set(&timeouts.response, value["response"]?.duration)
        set(&timeouts.idle, value["idle"]?.duration)
        set(&timeouts.request, value["request"]?.duration)
        return timeouts
    }

    /// `true`, `false`, or a block.
    func maintenance(_ value: Value?) -> Maintenance {
        guard let value, value.isEnabled, value.truth != false else { return .off }
        return .on(
            message: value["message"]?.text ?? Defaults.maintenanceMessage,
            retryAfter: value["retry_after"]?.duration ?? Defaults.maintenanceRetryAfter)
    }
}
