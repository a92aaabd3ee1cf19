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
            set(&service.pool.maxStreams, pool["max_streams"]?.integer)
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
        let tls = clientTLS(value.block("tls"))
        let isAnySecure = service.instances.contains(where: \.isSecure)
        if isAnySecure { service.tls = tls }
        if !isOff { checkClientTLS(value, tls, isAnySecure: isAnySecure) }
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
        let place = LoadResult.Place(mark: entry.keyMark, path: value.trail.text)
        places.services.append(place)
        let block = value.block("tls")
        places.serviceTLS.append(block.map { LoadResult.Place(mark: $0.mark, path: $0.trail.text) } ?? place)
    }

    private mutating func instances(_ list: Value, of service: Value) -> [InstanceConfiguration] {
        var result: [InstanceConfiguration] = []
        var seen: [String: KeyTrail] = [:]
        var isAnyOn = false
        for element in list.elements {
            guard element.isEnabled else { continue }
            isAnyOn = true
            guard let url = element["url"], case .instanceAddress(let address, let isSecure) = url.content else { continue }
            var instance = InstanceConfiguration(address: address, isSecure: isSecure)
            if let first = seen.updateValue(url.trail, forKey: instance.id) {
                diagnostics.error(url.mark, url.trail, "\(url.shown(instance.id)) stands at \(first.text) already")
            }
            if let spoken = element["protocol"] { setProtocol(spoken, &instance) }
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

    private mutating func setProtocol(_ value: Value, _ instance: inout InstanceConfiguration) {
        guard let spoken: UpstreamProtocol = word(value) else { return }
        switch spoken {
        case .h2 where !instance.isSecure:
            diagnostics.error(
                value.mark, value.trail, "h2 is HTTP/2 over TLS and needs an https:// url; without encryption it is h2c")
        case .h2c where instance.isSecure:
            diagnostics.error(
                value.mark, value.trail, "h2c is HTTP/2 without encryption, and the url is https://; over TLS it is h2")
        case .auto, .http1, .h2, .h2c:
            instance.protocol = spoken
        }
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
