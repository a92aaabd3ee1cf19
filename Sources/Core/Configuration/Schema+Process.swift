import Primitives

/// The tables of keys: the file as a whole, the process, listeners and limits.
enum Schema {
    static var root: ObjectShape {
        ObjectShape(
            [
                Key("server", .object(server), "The process as a whole."),
                Key(
                    "listeners", .list(.object(listener), count: 1...256), required: true,
                    "The addresses on which clients are served."),
                Key("admin", .object(admin), "The admin listener: metrics, health and management."),
                Key(
                    "store", .object(store), "A Redis that several gateways share. Left out: the state is kept in memory.",
                    .withoutEffect),
                Key(
                    "limits", .object(limits(ofListener: false)),
                    "What a client may take, on every listener that says nothing else."),
                Key("access_log", .object(accessLog), "One line for each request."),
                Key(
                    "middlewares", .map(.name, .object(middleware), maximum: 10_000),
                    "Named steps that routes put into their chains."),
                Key("services", .map(.name, .object(service), maximum: 10_000), "Named groups of backends."),
                Key(
                    "routes", .list(.object(route), count: 0...100_000),
                    "Which requests go where. The most specific match wins, whatever its place here."),
            ], canBeDisabled: false)
    }

    static var server: ObjectShape {
        ObjectShape(
            [
                Key(
                    "workers", .scalar(.countOrAuto(1...1024)), default: AmountText.of(Defaults.workers),
                    "Threads that serve requests; auto is the number of processors."),
                Key(
                    "log_level", .scalar(.word(LogLevel.allCases.map(\.rawValue))), default: Defaults.logLevel.rawValue,
                    "The least serious message that is logged."),
                Key(
                    "drain_timeout", .scalar(.duration(anyTime)), default: AmountText.of(Defaults.drainTimeout),
                    "How long running requests may go on after SIGTERM."),
                Key(
                    "drain_delay", .scalar(.duration(.zero ... .seconds(3600))), default: AmountText.of(Defaults.drainDelay),
                    "How long /ready says 503 after SIGTERM before the listeners close, so that a balancer sees it."),
                Key("pid_file", .scalar(.filePath()), "A file that holds the process id while it runs. Left out: none."),
                Key(
                    "log_output", .scalar(.logOutput(off: false)), default: Defaults.logOutput.text,
                    "Where the messages of the process go."),
                Key(
                    "trusted_proxies", .list(.scalar(.addressBlock), orOne: true, count: 0...10_000), default: "[]",
                    "Addresses of proxies before this one, whose X-Forwarded-* fields and request ids are believed."),
                Key(
                    "via", .scalar(.token), default: "auto",
                    "The name of this gateway in the Via field; auto makes one up at each start."),
                Key(
                    "merge_slashes", .scalar(.truth), default: "\(Defaults.mergeSlashes)",
                    "Whether // in a path is read as /, for the match and for the backend. It is decided before a route is known."
                ),
                Key("request_id", .object(requestID), "The id that follows a request through logs and backends."),
                Key("headers", .object(headerPolicy), "What is done with header fields as such."),
                Key("forwarded", .object(forwarded), "The fields that tell a backend who the client is."),
            ], canBeDisabled: false)
    }

    static var requestID: ObjectShape {
        ObjectShape(
            [
                Key("header", .scalar(.token), default: Defaults.requestIDHeader, "The field that carries the id."),
                Key(
                    "trust", .scalar(.word(RequestIDTrust.allCases.map(\.rawValue))), default: Defaults.requestIDTrust.rawValue,
                    "Whose id is taken over; everybody else gets a new one."),
            ], canBeDisabled: false)
    }

    static var headerPolicy: ObjectShape {
        ObjectShape(
            [
                Key(
                    "underscores", .scalar(.word(UnderscorePolicy.allCases.map(\.rawValue))),
                    default: Defaults.underscores.rawValue,
                    "What becomes of fields with an underscore in their name. Twins of names with a meaning are always refused."),
                Key(
                    "timestamp", .scalar(.truth), default: "\(Defaults.timestampHeader)",
                    "Whether the backend gets X-Timestamp, the time of the request in RFC 3339 with milliseconds."),
            ], canBeDisabled: false)
    }

    static var forwarded: ObjectShape {
        ObjectShape(
            [
                Key(
                    "style", .scalar(.word(ForwardedStyle.allCases.map(\.rawValue))), default: Defaults.forwardedStyle.rawValue,
                    "What is written: x is X-Forwarded-For, -Proto, -Host, -Port and X-Real-IP, rfc7239 is Forwarded. Both are read."
                )
            ], canBeDisabled: false)
    }

    static var listener: ObjectShape {
        ObjectShape([
            Key("name", .scalar(.name), required: true, "Its name in logs and metrics."),
            Key(
                "address", .scalar(.listenAddress), required: true,
                "Where it listens: 0.0.0.0:8000, [::]:8000 or unix:/path. Port 0 lets the kernel choose."),
            Key(
                "protocols", .list(.scalar(.word(ListenerProtocols.Name.allCases.map(\.rawValue))), orOne: true, count: 1...3),
                default: "[http/1.1]",
                "The protocols that it speaks, the preferred one first. With tls http/1.1 and h2, left out [h2, http/1.1]; without "
                    + "it http/1.1 and h2c, left out [http/1.1]."
            ).dependent,
            Key(
                "proxy_protocol", .object(proxyProtocol),
                "Whether each connection begins with a PROXY header, version 1 or 2, that says who the client is."),
            Key(
                "limits", .object(limits(ofListener: true)),
                "What a client may take here; what is left out is as in the file's limits."),
            Key("tls", .object(tls), "Encryption. Left out: plain text."),
            Key("http2", .object(http2), "What one connection may take that speaks h2 or h2c."),
        ])
    }

    static var proxyProtocol: ObjectShape {
        ObjectShape([
            Key(
                "trusted", .list(.scalar(.addressBlock), orOne: true, count: 0...10_000),
                "Peers whose header is believed; others are refused. Left out: server.trusted_proxies.")
        ])
    }

    static var admin: ObjectShape {
        ObjectShape([
            Key(
                "address", .scalar(.listenAddress), default: Defaults.adminAddress.text,
                "Where it listens. An address that others can reach needs a token, or tls with client_auth."),
            Key("tls", .object(tls), "Encryption. Left out: plain text."),
            Key("token", .scalar(.secret), "What callers show as Authorization: Bearer …. At least 16 bytes."),
            Key(
                "hosts", .list(.scalar(.hostName), orOne: true, count: 0...64), default: "[]",
                "Names under which callers may reach it, beside its address and localhost."),
            Key("metrics", .scalar(.truth), default: "\(Defaults.adminMetrics)", "Whether it serves /metrics."),
        ])
    }

    static var store: ObjectShape {
        ObjectShape([
            Key(
                "url", .scalar(.url(schemes: ["redis", "rediss", "unix"])), required: true,
                "redis://host:port/database, rediss:// with TLS, or unix:///path."),
            Key("username", .scalar(.text()), "The Redis user."),
            Key("password", .scalar(.secret), "Its password."),
            Key("connect_timeout", .scalar(.duration(anyTime)), default: "500ms", "How long connecting may take."),
            Key(
                "command_timeout", .scalar(.duration(anyTime)), default: "50ms",
                "How long a command may take before local state is used."),
            Key("key_prefix", .scalar(.name), default: "sluice", "What the names of all keys begin with."),
        ])
    }

    /// From a millisecond to thirty days.
    static var anyTime: ClosedRange<TimeAmount> { .milliseconds(1) ... .seconds(30 * 86_400) }

    static func limits(ofListener: Bool) -> ObjectShape {
        ObjectShape([
            Key(
                "request_target_bytes", .scalar(.size(64...(1 << 20))),
                default: AmountText.of(bytes: Defaults.requestTargetBytes),
                "The request target; 414 beyond."),
            Key(
                "request_header_bytes", .scalar(.size(1024...(1 << 20))),
                default: AmountText.of(bytes: Defaults.requestHeaderBytes),
                "The whole header block; 431 beyond."),
            Key(
                "request_field_bytes", .scalar(.size(256...65_535)), default: AmountText.of(bytes: Defaults.requestFieldBytes),
                "One field line; 431 beyond."),
            Key(
                "request_headers", .scalar(.integer(1...10_000)), default: "\(Defaults.requestHeaders)",
                "Field lines in a request; 431 beyond."),
            Key(
                "request_body", .scalar(.size(1...(1 << 50), zeroIsUnlimited: true)),
                default: AmountText.of(bytes: Defaults.requestBodyBytes),
                "The body; 413 beyond. 0 is no limit."),
            Key(
                "header_timeout", .scalar(.duration(anyTime)), default: AmountText.of(Defaults.headerTimeout),
                "From the first byte of a request to the end of its header block; 408 beyond."),
            Key(
                "body_idle_timeout", .scalar(.duration(anyTime)), default: AmountText.of(Defaults.bodyIdleTimeout),
                "Without a byte of the body; 408 beyond."),
            Key(
                "body_min_rate", .scalar(.size(0...(1 << 30))), default: AmountText.of(bytes: Defaults.bodyMinRate),
                "Bytes per second below which a body is given up with 408; 0 switches it off."),
            Key(
                "write_timeout", .scalar(.duration(anyTime)), default: AmountText.of(Defaults.writeTimeout),
                "Without the client taking a byte of the answer; the connection is closed."),
            Key(
                "keepalive_timeout", .scalar(.duration(anyTime)), default: AmountText.of(Defaults.keepaliveTimeout),
                "Between two requests on a connection; it is closed."),
            Key(
                "requests_per_connection", .scalar(.integer(1...1_000_000_000)), default: "\(Defaults.requestsPerConnection)",
                "Requests on a connection before it is closed."),
            Key(
                "connections", .scalar(.countOrAuto(1...10_000_000)), default: AmountText.of(Defaults.connections),
                "Client connections of the whole process; auto is 80 % of the descriptor limit, less what backends may take.",
                ofListener ? .refused("counts for the whole process and stands in the file's own limits") : .built),
            Key(
                "connections_per_client", .scalar(.integer(1...10_000_000)), default: "\(Defaults.connectionsPerClient)",
                "Connections of one client address, for IPv6 of one /64."),
            Key(
                "connection_max_age", .scalar(.duration(.seconds(1) ... .seconds(30 * 86_400), off: true)),
                default: AmountText.of(Defaults.connectionMaxAge),
                "How old a connection may become; it is closed after its running request."),
        ])
    }

    static var accessLog: ObjectShape {
        ObjectShape([
            Key(
                "format", .scalar(.word(AccessLogFormat.allCases.map(\.rawValue))), default: Defaults.accessLogFormat.rawValue,
                "json, or the combined format of Apache and nginx."),
            Key("output", .scalar(.logOutput(off: true)), default: Defaults.accessLogOutput.text, "Where the lines go."),
            Key(
                "request_headers", .list(.scalar(.token), orOne: true, count: 0...64), default: "[]",
                "Fields of the request that are logged; the values of those that hold secrets stay masked."),
            Key(
                "redact", .list(.scalar(.text(maximum: 256)), orOne: true, count: 0...256), default: "[]",
                "Fields and query parameters whose values are masked, beside those that are known to hold secrets."),
        ])
    }
}
