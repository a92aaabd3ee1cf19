/// Every metric that Sluice shows: name, type and what it means. docs/metrics.md has the same list with the labels.
enum MetricFamily: CaseIterable, Sendable {
    case requests, requestDuration, overhead, requestSize, responseSize, inFlight, rejects
    case upstreamRequests, upstreamDuration, upstreamConnect, upstreamConnections, queueLength, queueWait, retries, administered
    case breakerState, breakerTransitions, breakerRejected, instanceHealth, instanceHealthChanges, healthChecks
    case ejectedInstances, ejections, instanceDraining, instanceInFlight, retryBudgetRemaining, fallbacks
    case concurrencyLimit, concurrencyLimited, shed
    case connections, connectionsTotal, acceptErrors
    case requestsByProtocol, sessionsClosed, streamsReset
    case handshakes, handshakeFailures, upstreamHandshakeFailures, certificateExpiry, certificateReloads
    case tunnelsOpen, tunnels, tunnelMessages
    case loopLag, logDropped
    case configGeneration, configReloads, configSuccessful, configSuccessTime
    case metricsSeries, metricsOverflow, buildInfo
    case processCPU, processResident, processVirtual, processDescriptors, processDescriptorsMax, processStart

    enum Kind: Sendable {
        case counter, gauge, histogram

        var name: StaticString {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    /// Without the `_total` of a counter.
    var name: StaticString {
        switch self {
        case .requests: "sluice_http_requests"
        case .requestDuration: "sluice_http_request_duration_seconds"
        case .overhead: "sluice_http_overhead_seconds"
        case .requestSize: "sluice_http_request_size_bytes"
        case .responseSize: "sluice_http_response_size_bytes"
        case .inFlight: "sluice_http_requests_in_flight"
        case .rejects: "sluice_http_reject"
        case .upstreamRequests: "sluice_upstream_requests"
        case .upstreamDuration: "sluice_upstream_duration_seconds"
        case .upstreamConnect: "sluice_upstream_connect_duration_seconds"
        case .upstreamConnections: "sluice_upstream_connections"
        case .queueLength: "sluice_upstream_queue_length"
        case .queueWait: "sluice_upstream_queue_wait_seconds"
        case .retries: "sluice_upstream_retries"
        case .administered: "sluice_admin_requests"
        case .breakerState: "sluice_circuit_breaker_state"
        case .breakerTransitions: "sluice_circuit_breaker_transitions"
        case .breakerRejected: "sluice_circuit_breaker_rejected"
        case .instanceHealth: "sluice_instance_health"
        case .instanceHealthChanges: "sluice_instance_health_changes"
        case .healthChecks: "sluice_health_checks"
        case .ejectedInstances: "sluice_service_ejected_instances"
        case .ejections: "sluice_outlier_ejections"
        case .instanceDraining: "sluice_instance_draining"
        case .instanceInFlight: "sluice_instance_requests_in_flight"
        case .retryBudgetRemaining: "sluice_retry_budget_remaining_ratio"
        case .fallbacks: "sluice_fallbacks"
        case .concurrencyLimit: "sluice_concurrency_limit"
        case .concurrencyLimited: "sluice_concurrency_limited"
        case .shed: "sluice_requests_shed"
        case .connections: "sluice_connections"
        case .connectionsTotal: "sluice_connections"
        case .acceptErrors: "sluice_accept_errors"
        case .requestsByProtocol: "sluice_http_requests_by_protocol"
        case .sessionsClosed: "sluice_h2_conn_closed"
        case .streamsReset: "sluice_h2_streams_reset"
        case .handshakes: "sluice_tls_handshakes"
        case .handshakeFailures: "sluice_tls_handshake_failures"
        case .upstreamHandshakeFailures: "sluice_upstream_tls_handshake_failures"
        case .certificateExpiry: "sluice_tls_certificate_expiry_timestamp_seconds"
        case .certificateReloads: "sluice_tls_certificate_reloads"
        case .tunnelsOpen: "sluice_tunnels_open"
        case .tunnels: "sluice_tunnels"
        case .tunnelMessages: "sluice_tunnel_messages"
        case .loopLag: "sluice_worker_loop_lag_seconds"
        case .logDropped: "sluice_log_dropped"
        case .configGeneration: "sluice_config_generation"
        case .configReloads: "sluice_config_reloads"
        case .configSuccessful: "sluice_config_last_reload_successful"
        case .configSuccessTime: "sluice_config_last_reload_success_timestamp_seconds"
        case .metricsSeries: "sluice_metrics_series"
        case .metricsOverflow: "sluice_metrics_overflow"
        case .buildInfo: "sluice_build_info"
        case .processCPU: "process_cpu_seconds"
        case .processResident: "process_resident_memory_bytes"
        case .processVirtual: "process_virtual_memory_bytes"
        case .processDescriptors: "process_open_fds"
        case .processDescriptorsMax: "process_max_fds"
        case .processStart: "process_start_time_seconds"
        }
    }

    /// Whether this is a counter whose name without `_total` is that of a gauge.
    var sharesName: Bool { self == .connectionsTotal }

    var kind: Kind {
        switch self {
        case .requests, .rejects, .upstreamRequests, .retries, .administered, .connectionsTotal, .acceptErrors, .logDropped,
            .configReloads, .metricsOverflow, .processCPU, .breakerTransitions, .breakerRejected, .instanceHealthChanges,
            .healthChecks, .ejections, .fallbacks, .concurrencyLimited, .shed, .requestsByProtocol, .sessionsClosed,
            .streamsReset,
            .handshakes, .handshakeFailures, .upstreamHandshakeFailures, .certificateReloads, .tunnels, .tunnelMessages:
            .counter
        case .requestDuration, .overhead, .requestSize, .responseSize, .upstreamDuration, .upstreamConnect, .queueWait:
            .histogram
        case .inFlight, .upstreamConnections, .queueLength, .connections, .loopLag, .configGeneration, .configSuccessful,
            .configSuccessTime, .metricsSeries, .buildInfo, .processResident, .processVirtual, .processDescriptors,
            .processDescriptorsMax, .processStart, .breakerState, .instanceHealth, .ejectedInstances, .instanceDraining,
            .instanceInFlight, .retryBudgetRemaining, .concurrencyLimit, .certificateExpiry, .tunnelsOpen:
            .gauge
        }
    }

    var help: StaticString {
        switch self {
        case .requests: "Requests that have ended."
        case .requestDuration: "Time from the first byte of a request to the last byte of its answer."
        case .overhead: "Time of a request that was spent in the gateway itself."
        case .requestSize: "Size of requests, head and body."
        case .responseSize: "Size of answers, head and body."
        case .inFlight: "Requests that are being served."
        case .rejects: "Requests that were refused before they could be understood."
        case .upstreamRequests: "Attempts to have a request answered by an instance."
        case .upstreamDuration: "Time of an attempt, from its start to the end of the answer."
        case .upstreamConnect: "Time to connect to an instance."
        case .upstreamConnections: "Connections to instances."
        case .queueLength: "Requests that wait for a connection."
        case .queueWait: "Time that requests waited for a connection, of those that had to."
        case .retries: "Retries, by what made them necessary and what they led to."
        case .administered: "Requests to the admin listener."
        case .breakerState: "State of circuit breakers: 1 for the one that it is in."
        case .breakerTransitions: "Changes of state of circuit breakers."
        case .breakerRejected: "Requests that a circuit breaker turned away."
        case .instanceHealth: "Health of instances: 1 for the one that it has."
        case .instanceHealthChanges: "Changes of the health of instances."
        case .healthChecks: "Active checks by their result, and failures of requests that count as evidence (passive)."
        case .ejectedInstances: "Instances that are out for a while because their answers were bad."
        case .ejections: "Instances that were taken out because their answers were bad."
        case .instanceDraining: "Whether an administrator has taken the instance out."
        case .instanceInFlight: "Requests that the instance has."
        case .retryBudgetRemaining: "Share of the retry budget that is left."
        case .fallbacks: "Requests that something else answered in the place of their service."
        case .concurrencyLimit: "Requests that the service may have in flight now."
        case .concurrencyLimited: "Requests that were refused because of sluice_concurrency_limit."
        case .shed: "Requests that were turned away because there was too much to do."
        case .connections: "Connections of clients."
        case .connectionsTotal: "Connections that clients made, by what became of them."
        case .acceptErrors: "Failures to accept a connection."
        case .requestsByProtocol: "Requests that have ended, by the version of HTTP."
        case .sessionsClosed: "HTTP/2 connections of clients that were ended for a fault."
        case .streamsReset: "HTTP/2 requests of clients that were reset for a fault, on connections that go on."
        case .handshakes: "TLS handshakes with clients that succeeded."
        case .handshakeFailures: "TLS handshakes with clients that failed."
        case .upstreamHandshakeFailures: "TLS handshakes with instances that failed."
        case .certificateExpiry: "When the certificates of a listener end; of several of one subject, the first."
        case .certificateReloads: "Attempts to read certificates and keys anew."
        case .tunnelsOpen: "Tunnels that are open."
        case .tunnels: "Tunnels that were opened."
        case .tunnelMessages: "Messages that went through tunnels."
        case .loopLag: "Longest turn of a worker's event loop since the last scrape."
        case .logDropped: "Log lines that were dropped because their sink was too slow."
        case .configGeneration: "Number of the configuration in force."
        case .configReloads: "Attempts to load a configuration."
        case .configSuccessful: "Whether the last attempt to load a configuration succeeded."
        case .configSuccessTime: "When a configuration was last loaded."
        case .metricsSeries: "Series on this page that have labels."
        case .metricsOverflow: "Records that were counted under __overflow__ since their metric had too many series."
        case .buildInfo: "What is running."
        case .processCPU: "User and system CPU time."
        case .processResident: "Resident memory."
        case .processVirtual: "Virtual memory."
        case .processDescriptors: "Open file descriptors."
        case .processDescriptorsMax: "Limit of open file descriptors."
        case .processStart: "When the process was started."
        }
    }
}
