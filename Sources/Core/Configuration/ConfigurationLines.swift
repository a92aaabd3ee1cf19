import Primitives

/// The single values of a configuration, with their paths, for comparing two of them.
enum ConfigurationLines {
    static func text(_ names: [String]) -> String { "[\(names.joined(separator: ", "))]" }

    private static func text(_ blocks: [AddressBlock]) -> String { text(blocks.map(\.text)) }

    /// What stands at the root: server, admin, access_log and limits.
    static func process(_ configuration: GatewayConfiguration) -> [ConfigurationLine] {
        let server = configuration.server
        let admin = configuration.admin
        let log = configuration.accessLog
        var via = "auto"
        if case .named(let name) = server.via { via = name }
        var lines = [
            ConfigurationLine("server.workers", AmountText.of(server.workers)),
            ConfigurationLine("server.log_level", server.logLevel.rawValue),
            ConfigurationLine("server.drain_timeout", AmountText.of(server.drainTimeout)),
            ConfigurationLine("server.drain_delay", AmountText.of(server.drainDelay)),
            ConfigurationLine("server.log_output", server.logOutput.text),
            ConfigurationLine("server.trusted_proxies", text(server.trustedProxies)),
            ConfigurationLine("server.via", via),
            ConfigurationLine("server.merge_slashes", "\(server.mergeSlashes)"),
            ConfigurationLine("server.request_id.header", server.requestID.header),
            ConfigurationLine("server.request_id.trust", server.requestID.trust.rawValue),
            ConfigurationLine("server.headers.underscores", server.headers.underscores.rawValue),
            ConfigurationLine("server.headers.timestamp", "\(server.headers.timestamp)"),
            ConfigurationLine("server.forwarded.style", server.forwardedStyle.rawValue),
            ConfigurationLine("admin.enabled", "\(admin.enabled)"),
            ConfigurationLine("admin.address", admin.address.text),
            ConfigurationLine("admin.hosts", text(admin.hosts)),
            ConfigurationLine("admin.metrics", "\(admin.metrics)"),
            ConfigurationLine("access_log.format", log.format.rawValue),
            ConfigurationLine("access_log.output", log.output.text),
            ConfigurationLine("access_log.request_headers", text(log.requestHeaders)),
            ConfigurationLine("access_log.redact", text(log.redact)),
        ]
        if let encryption = admin.tls { lines += tls("admin.tls", encryption) }
        if let path = server.pidFile { lines.append(ConfigurationLine("server.pid_file", path)) }
        if !admin.token.isEmpty {
            lines.append(ConfigurationLine("admin.token", bytes(admin.token.bytes), isSecret: true))
        }
        return lines + limits(configuration.limits)
    }

    /// Bytes that need not be text, told apart.
    static func bytes(_ bytes: [UInt8]) -> String {
        String(validating: bytes, as: UTF8.self) ?? bytes.map { "\\\($0)" }.joined()
    }

    static func limits(_ limits: LimitsConfiguration) -> [ConfigurationLine] {
        [
            ConfigurationLine("limits.request_target_bytes", AmountText.of(bytes: limits.requestTargetBytes)),
            ConfigurationLine("limits.request_header_bytes", AmountText.of(bytes: limits.requestHeaderBytes)),
            ConfigurationLine("limits.request_field_bytes", AmountText.of(bytes: limits.requestFieldBytes)),
            ConfigurationLine("limits.request_headers", "\(limits.requestHeaders)"),
            ConfigurationLine("limits.request_body", AmountText.of(bytes: limits.requestBodyBytes)),
            ConfigurationLine("limits.header_timeout", AmountText.of(limits.headerTimeout)),
            ConfigurationLine("limits.body_idle_timeout", AmountText.of(limits.bodyIdleTimeout)),
            ConfigurationLine("limits.body_min_rate", AmountText.of(bytes: limits.bodyMinRate)),
            ConfigurationLine("limits.write_timeout", AmountText.of(limits.writeTimeout)),
            ConfigurationLine("limits.keepalive_timeout", AmountText.of(limits.keepaliveTimeout)),
            ConfigurationLine("limits.requests_per_connection", "\(limits.requestsPerConnection)"),
            ConfigurationLine("limits.connections", AmountText.of(limits.connections)),
            ConfigurationLine("limits.connections_per_client", "\(limits.connectionsPerClient)"),
            ConfigurationLine("limits.connection_max_age", AmountText.of(limits.connectionMaxAge)),
        ]
    }

    static func listener(_ listener: ListenerConfiguration) -> [ConfigurationLine] {
        var lines = [ConfigurationLine("address", listener.address.text)]
        if let trusted = listener.proxyProtocol { lines.append(ConfigurationLine("proxy_protocol.trusted", text(trusted))) }
        lines.append(ConfigurationLine("protocols", text(listener.protocols.names.map(\.rawValue))))
        if let encryption = listener.tls { lines += tls("tls", encryption) }
        if listener.protocols.h2 || listener.protocols.h2c { lines += http2(listener.http2) }
        return lines + limits(listener.limits)
    }

    // Middlewares.

    static func middleware(_ middleware: MiddlewareConfiguration) -> [ConfigurationLine] {
        switch middleware.kind {
        case .headers(let rules):
            return headers("headers.request", rules.request) + headers("headers.response", rules.response)
        case .bodySize(let max):
            return [ConfigurationLine("body_size.max", AmountText.of(bytes: max))]
        case .cors(let cors):
            return [
                ConfigurationLine("cors.allow_origins", text(cors.allowOrigins)),
                ConfigurationLine("cors.allow_methods", text(cors.allowMethods)),
                ConfigurationLine("cors.allow_headers", text(cors.allowHeaders)),
                ConfigurationLine("cors.expose_headers", text(cors.exposeHeaders)),
                ConfigurationLine("cors.allow_credentials", "\(cors.allowCredentials)"),
                ConfigurationLine("cors.max_age", AmountText.of(cors.maxAge)),
            ]
        case .ipAccess(let allow, let deny):
            return [
                ConfigurationLine("ip_access.allow", text(allow)), ConfigurationLine("ip_access.deny", text(deny)),
            ]
        case .clientCertificate(let rules):
            return [
                ConfigurationLine("client_cert.subjects", text(rules.subjects)),
                ConfigurationLine("client_cert.sans", text(rules.sans.map(\.text))),
                ConfigurationLine("client_cert.fingerprints", text(rules.fingerprints)),
            ]
        case .custom(let type, let options):
            return [ConfigurationLine("custom.type", type)]
                + options.map { ConfigurationLine("custom.options.\($0.name)", $0.value, isSecret: true) }
        }
    }

    private static func headers(_ path: String, _ changes: HeaderChanges) -> [ConfigurationLine] {
        var lines: [ConfigurationLine] = []
        if !changes.remove.isEmpty { lines.append(ConfigurationLine("\(path).remove", text(changes.remove))) }
        for (key, rules) in [("set", changes.set), ("add", changes.add)] {
            for rule in rules {
                // Whether it came from a variable is not known here, so no value of a field is told.
                lines.append(ConfigurationLine("\(path).\(key).\(rule.name)", value(rule.value), isSecret: true))
            }
        }
        return lines
    }

    private static func value(_ pieces: [HeaderValuePiece]) -> String {
        pieces.map { piece in
            switch piece {
            case .literal(let literal): bytes(literal)
            case .variable(let variable): "${\(variable.rawValue)}"
            }
        }.joined()
    }

    // Routes.

    static func route(_ route: RouteConfiguration, in configuration: GatewayConfiguration) -> [ConfigurationLine] {
        var lines = match(route.match) + action(route.action, configuration)
        lines.append(ConfigurationLine("middlewares", text(route.middlewares.map { configuration.middlewares[$0].name })))
        lines.append(ConfigurationLine("path.encoded_slash", route.path.encodedSlash.rawValue))
        switch route.path.rewrite {
        case .none: break
        case .prefix(let strip, let add):
            if !strip.isEmpty { lines.append(ConfigurationLine("path.strip_prefix", strip)) }
            if !add.isEmpty { lines.append(ConfigurationLine("path.add_prefix", add)) }
        case .replace(let path): lines.append(ConfigurationLine("path.rewrite", path))
        }
        lines += timeouts(route.timeouts)
        switch route.requestBody {
        case .ofListener: break
        case .bytes(let count): lines.append(ConfigurationLine("limits.request_body", AmountText.of(bytes: count)))
        case .unlimited: lines.append(ConfigurationLine("limits.request_body", "0"))
        }
        lines.append(ConfigurationLine("allow_body", "\(route.allowBody)"))
        lines.append(ConfigurationLine("upgrade", text(route.upgrade)))
        if let webSocket = route.webSocket {
            lines.append(ConfigurationLine("websocket.origins", text(webSocket.origins)))
            lines.append(ConfigurationLine("websocket.idle_timeout", AmountText.of(webSocket.idleTimeout)))
        }
        lines.append(ConfigurationLine("priority", "\(route.priority.name)"))
        if let policy = route.breaker { lines += breaker(policy) }
        if let given = route.fallback { lines += fallback(given, in: configuration) }
        switch route.maintenance {
        case .off: lines.append(ConfigurationLine("maintenance", "false"))
        case .on(let message, let retryAfter):
            lines.append(ConfigurationLine("maintenance", "true"))
            lines.append(ConfigurationLine("maintenance.message", message))
            lines.append(ConfigurationLine("maintenance.retry_after", AmountText.of(retryAfter)))
        }
        return lines
    }

    private static func match(_ match: RouteMatch) -> [ConfigurationLine] {
        [
            ConfigurationLine("match.host", text(match.hosts)), ConfigurationLine("match.path", match.path),
            ConfigurationLine("match.methods", text(match.methods)),
        ] + match.headers.map { condition("match.headers", $0) } + match.query.map { condition("match.query", $0) }
    }

    private static func condition(_ path: String, _ condition: ValueCondition) -> ConfigurationLine {
        let path = "\(path).\(condition.name)"
        switch condition.test {
        case .present: return ConfigurationLine(path, "{present: true}")
        case .absent: return ConfigurationLine(path, "{present: false}")
        case .anyOf(let values): return ConfigurationLine(path, text(values), isSecret: SecretNames.holdsWord(condition.name))
        }
    }

    private static func action(_ action: RouteAction, _ configuration: GatewayConfiguration) -> [ConfigurationLine] {
        switch action {
        case .service(let index):
            return [ConfigurationLine("service", configuration.services[index].name)]
        case .redirect(let redirect):
            return [
                ConfigurationLine("redirect.to", redirect.to.map(text).joined()),
                ConfigurationLine("redirect.status", "\(redirect.status)"),
                ConfigurationLine("redirect.keep_query", "\(redirect.keepQuery)"),
            ]
        case .respond(let response): return fixedResponse("respond", response)
        case .health: return [ConfigurationLine("health", "true")]
        case .ready: return [ConfigurationLine("ready", "true")]
        case .metrics(let allow): return [ConfigurationLine("metrics.allow", text(allow))]
        }
    }

    static func fixedResponse(_ path: String, _ response: FixedResponse) -> [ConfigurationLine] {
        [
            ConfigurationLine("\(path).status", "\(response.status)"),
            ConfigurationLine("\(path).content_type", response.contentType),
            // Long, or not to be told: that it changed is enough.
            ConfigurationLine("\(path).body", bytes(response.body), isSecret: true),
        ] + response.headers.map { ConfigurationLine("\(path).headers.\($0.name)", bytes($0.value), isSecret: true) }
    }

    private static func text(_ piece: RedirectPiece) -> String {
        switch piece {
        case .literal(let literal): bytes(literal)
        case .scheme: "${scheme}"
        case .host: "${host}"
        case .path: "${path}"
        case .segment(let name): "{\(name)}"
        case .rest: "*"
        }
    }
}
