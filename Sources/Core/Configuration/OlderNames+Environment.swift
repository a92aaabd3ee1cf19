import Primitives

/// The environment variables of earlier gateways. One that is empty counts as not set.
extension OlderNames {
    mutating func environment() {
        if let debug = variable("DEBUG"), ["true", "1", "yes", "on"].contains(debug.lowercased()) {
            set("DEBUG", "debug", at: ["server", "log_level"])
        }
        if let secret = variable("SECRET_KEY") { useSecretKey(secret) }
        if let rate = variable("RATE_LIMIT_PER_SECOND") { useRate(rate) }
        if let minutes = variable("ACCESS_TOKEN_EXPIRE_MINUTES") { useLifetime(minutes) }
        useStore()
        for name in validator.source.environmentNames.sorted() where name.hasSuffix("_SERVICE_URL") { useService(name) }
        if let prefix = variable("API_V1_PREFIX") { usePrefix(prefix) }
    }

    private func variable(_ name: String) -> String? {
        validator.source.environment(name).flatMap { $0.isEmpty ? nil : $0 }
    }

    private mutating func set(_ name: String, _ text: String, at path: [String]) {
        root.set(path, .literal(text, Mark(environment: name)))
        forget(path)
    }

    private mutating func error(_ name: String, _ message: String, suggestion: String = "") {
        validator.diagnostics.error(Mark(environment: name), .root, message, suggestion: suggestion)
    }

    private mutating func warning(_ name: String, _ message: String) {
        validator.diagnostics.warning(Mark(environment: name), .root, message)
    }

    private mutating func number(_ name: String, _ text: String, _ range: ClosedRange<Int>) -> Int? {
        guard let number = ScalarKind.wholeNumber(text), range.contains(number) else {
            error(name, "expected a whole number between \(range.lowerBound) and \(range.upperBound)")
            return nil
        }
        return number
    }

    private mutating func useSecretKey(_ secret: String) {
        guard let middleware = root.value(at: ["middlewares", "jwt"]) else {
            return addJWT(.literal(secret, Mark(environment: "SECRET_KEY")))
        }
        guard middleware.value(at: ["jwt", "secret"]) != nil else {
            return warning("SECRET_KEY", "has no effect: the middleware \"jwt\" has no secret that it could replace")
        }
        set("SECRET_KEY", secret, at: ["middlewares", "jwt", "jwt", "secret"])
    }

    /// The rate of every limit that says none itself.
    private mutating func useRate(_ text: String) {
        let name = "RATE_LIMIT_PER_SECOND"
        guard let rate = number(name, text, 1...1_000_000_000) else { return }
        let limits = (root.entry("middlewares")?.value.entries ?? []).filter {
            $0.value.entry("rate_limit")?.value.isMapping == true && $0.value.value(at: ["rate_limit", "rate"]) == nil
        }
        if limits.isEmpty { warning(name, "has no effect: no rate_limit leaves its rate out") }
        for limit in limits { set(name, "\(rate)/s", at: ["middlewares", limit.key, "rate_limit", "rate"]) }
    }

    private mutating func useLifetime(_ text: String) {
        let name = "ACCESS_TOKEN_EXPIRE_MINUTES"
        guard number(name, text, 1...525_600) != nil else { return }
        validator.diagnostics.withoutEffect("the lifetime of access tokens", Mark(environment: name), .root)
    }

    /// The address of the store; what else the file's URL says stays.
    private mutating func useStore() {
        let host = variable("REDIS_HOST")
        var port = variable("REDIS_PORT")
        if port?.hasPrefix("tcp://") == true {
            warning("REDIS_PORT", "has no effect: it is the address that Kubernetes gives to a service named redis, not a port")
            port = nil
        }
        guard let name = host != nil ? "REDIS_HOST" : port != nil ? "REDIS_PORT" : nil else { return }
        var scheme = "redis"
        var authority = (host: "localhost", port: "6379")
        var rest = "/0"
        if case .scalar(let written, _)? = root.value(at: ["store", "url"])?.content {
            let url = Expansion(written, allowingVariables: false, environment: validator.environment).text
            if let known = ["redis", "rediss"].first(where: { url.hasPrefix($0 + "://") }) {
                scheme = known
                let behind = url.dropFirst(known.utf8.count + 3)
                let given = behind.prefix { $0 != "/" && $0 != "?" }
                rest = String(behind.dropFirst(given.count))
                if let (host, isBracketed, port) = ScalarKind.splitPort(given) {
                    authority = (isBracketed ? "[\(host)]" : String(host), "\(port)")
                } else if !given.isEmpty {
                    authority.host = String(given)
                }
            }
        }
        if let host {
            let isV6 = IPAddress(host).map { !$0.isV4 } ?? false
            guard isV6 || IPAddress(host) != nil || ScalarKind.hostName(host[...]) != nil else {
                return error("REDIS_HOST", "expected a host name or an address")
            }
            authority.host = isV6 ? "[\(host)]" : host
        }
        if let port {
            guard let number = number("REDIS_PORT", port, 1...65_535) else { return }
            authority.port = "\(number)"
        }
        set(name, "\(scheme)://\(authority.host):\(authority.port)\(rest)", at: ["store", "url"])
    }

    /// The one instance of a service: `USER_DATA_SERVICE_URL` is that of `user_data` or `user-data`.
    private mutating func useService(_ variableName: String) {
        let prefix = variableName.dropLast("_SERVICE_URL".utf8.count)
        guard !prefix.isEmpty, prefix.utf8.allSatisfy({ ASCII.isUpper($0) || ASCII.isDigit($0) || $0 == ASCII.underscore }),
            let url = variable(variableName)
        else { return }
        let wanted = prefix.lowercased()
        let services = root.entry("services")?.value.entries ?? []
        let matches = services.filter { OlderNames.flattened($0.key) == wanted }
        if matches.count > 1 {
            let names = matches.map { DisplayText.of($0.key) }.joined(separator: " and ")
            return error(variableName, "could mean the services \(names)")
        }
        let mark = Mark(environment: variableName)
        root.set(
            ["services", matches.first?.key ?? wanted, "instances"], .list([.mapping([("url", .literal(url, mark))], mark)], mark)
        )
    }

    private static func flattened(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 == ASCII.dash ? ASCII.underscore : ASCII.lowercased($0) }, as: UTF8.self)
    }
}
