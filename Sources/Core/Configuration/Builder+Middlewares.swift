import Primitives

/// Middlewares.
extension Builder {
    /// Those that keep somebody out: a route that names one must not be open because it is missing.
    private static var guards: [String] { ["jwt", "api_key", "authorize", "ip_access", "client_cert", "custom"] }

    mutating func buildMiddleware(_ entry: Value.Entry) {
        let value = entry.value
        let present = value.entries.filter { $0.key != "enabled" }
        guard !value.isInvalid, let first = present.first, present.count == 1 else {
            middlewares[entry.key] = .broken
            return
        }
        let kind = first.key
        let body = first.value
        places.middlewares[entry.key] = LoadResult.Place(mark: body.mark, path: body.trail.text)
        switch kind {
        case "jwt": checkJWT(body)
        case "authorize": checkAuthorize(body)
        case "rate_limit": checkRateLimit(body)
        case "cors": checkCORS(body)
        default: break
        }
        guard value.isEnabled, body.isEnabled else {
            middlewares[entry.key] = .off(kind: kind, guards: Builder.guards.contains(kind))
            return
        }
        switch kind {
        case "headers":
            var rules = HeaderRules()
            rules.request = changes(body.block("request"))
            rules.response = changes(body.block("response"))
            add(entry.key, .headers(rules))
        case "body_size":
            if let max = body["max"]?.integer { add(entry.key, .bodySize(max: max)) } else { middlewares[entry.key] = .broken }
        case "cors":
            if let methods = body["allow_methods"] { corsMethods[configuration.middlewares.count] = methods.elements }
            add(entry.key, .cors(cors(body)))
        case "ip_access":
            let allow = body["allow"]?.elements.compactMap(\.addressBlock) ?? []
            let deny = body["deny"]?.elements.compactMap(\.addressBlock) ?? []
            if allow.isEmpty, deny.isEmpty, !hasInvalid(body, ["allow", "deny"]) {
                diagnostics.error(body.mark, body.trail, "allow or deny must name somebody")
            }
            add(entry.key, .ipAccess(allow: allow, deny: deny))
        case "client_cert":
            var rules = ClientCertificateRules()
            rules.subjects = body["subjects"]?.elements.compactMap(\.text) ?? []
            rules.sans = body["sans"]?.elements.compactMap { $0.text.flatMap(ScalarKind.certificateName) } ?? []
            rules.fingerprints = body["fingerprints"]?.elements.compactMap(\.text) ?? []
            add(entry.key, .clientCertificate(rules))
        case "custom":
            let options = (body["options"]?.entries ?? []).compactMap { option in
                option.value.text.map { CustomOption(name: option.key, value: $0, isSecret: option.value.written != nil) }
            }
            guard let type = body["type"]?.text else {
                middlewares[entry.key] = .broken
                return
            }
            add(entry.key, .custom(type: type, options: options))
        default:
            diagnostics.withoutEffect(kind, first.keyMark, body.trail)
            middlewares[entry.key] = .unavailable(kind: kind, guards: Builder.guards.contains(kind))
        }
    }

    func hasInvalid(_ value: Value, _ keys: [String]) -> Bool {
        value.entries.contains { entry in
            keys.contains(entry.key) && (entry.value.isInvalid || entry.value.elements.contains(where: \.isInvalid))
        }
    }

    private func cors(_ value: Value) -> CORSConfiguration {
        var cors = CORSConfiguration(allowOrigins: value["allow_origins"]?.elements.compactMap(\.text) ?? [])
        if let methods = value["allow_methods"] { cors.allowMethods = methods.elements.compactMap(\.text) }
        cors.allowHeaders = value["allow_headers"]?.elements.compactMap(\.text) ?? []
        cors.exposeHeaders = value["expose_headers"]?.elements.compactMap(\.text) ?? []
        set(&cors.allowCredentials, value["allow_credentials"]?.truth)
        set(&cors.maxAge, value["max_age"]?.duration)
        return cors
    }

    private mutating func add(_ name: String, _ kind: MiddlewareKind) {
        middlewares[name] = .built(configuration.middlewares.count)
        configuration.middlewares.append(MiddlewareConfiguration(name: name, kind: kind))
    }

    private func changes(_ value: Value?) -> HeaderChanges {
        var changes = HeaderChanges()
        guard let value else { return changes }
        changes.remove = value["remove"]?.elements.compactMap(\.text) ?? []
        changes.set = rules(value["set"])
        changes.add = rules(value["add"])
        return changes
    }

    private func rules(_ value: Value?) -> [HeaderRule] {
        (value?.entries ?? []).compactMap { entry in entry.value.template.map { HeaderRule(name: entry.key, value: $0) } }
    }

    private mutating func checkJWT(_ value: Value) {
        let sources = ["jwks_url", "jwks_file", "public_key_file", "secret"]
        let given = value.entries.filter { sources.contains($0.key) }
        if given.count != 1 {
            diagnostics.error(
                given.dropFirst().first?.keyMark ?? value.mark, value.trail,
                "exactly one of \(ScalarKind.choice(sources)) is needed")
        }
        let algorithms = value["algorithms"]?.elements.compactMap { element in element.text.map { (element, $0) } } ?? []
        let symmetric = algorithms.filter { $0.1.hasPrefix("HS") }
        if let first = symmetric.first, symmetric.count < algorithms.count {
            diagnostics.error(first.0.mark, first.0.trail, "HS algorithms and those with a public key cannot be mixed")
        } else if given.count == 1, let algorithm = algorithms.first, (given[0].key == "secret") == symmetric.isEmpty {
            diagnostics.error(
                given[0].keyMark, given[0].value.trail,
                symmetric.isEmpty ? "\(algorithm.1) needs a public key" : "\(algorithm.1) needs a secret, not a public key")
        }
        if let secret = value["secret"], case .secret(let key) = secret.content, key.bytes.count < 32 {
            diagnostics.error(secret.mark, secret.trail, "a secret needs at least 32 bytes, this one has \(key.bytes.count)")
        }
        if let url = value["jwks_url"], let text = url.text, text.hasPrefix("http://") {
            diagnostics.warning(url.mark, url.trail, "keys are fetched without encryption")
        }
    }

    private mutating func checkAuthorize(_ value: Value) {
        if value.entries.allSatisfy({ $0.key == "enabled" }) {
            diagnostics.error(value.mark, value.trail, "one of scopes_any, scopes_all, roles_any or permissions is needed")
        }
    }

    private mutating func checkRateLimit(_ value: Value) {
        guard let key = value["key"], let text = key.text, !Schema.rateLimitKeys.contains(text) else { return }
        if text.hasPrefix("header:"), ScalarKind.isToken(String(text.dropFirst(7)), maximum: 256) { return }
        diagnostics.error(
            key.mark, key.trail, "expected \(ScalarKind.choice(Schema.rateLimitKeys + ["header:NAME"]))",
            suggestion: key.written != nil ? "" : Suggestion.nearest(to: text, among: Schema.rateLimitKeys))
    }

    private mutating func checkCORS(_ value: Value) {
        if value.isEnabled, let null = value["allow_origins"]?.elements.first(where: { $0.text == "null" }) {
            diagnostics.warning(null.mark, null.trail, "null is the origin of every sandboxed page, whoever wrote it")
        }
        guard value["allow_credentials"]?.truth == true else { return }
        for origin in value["allow_origins"]?.elements ?? [] where origin.text == "*" || origin.text == "null" {
            diagnostics.error(
                origin.mark, origin.trail,
                "\(origin.text == "*" ? "*" : "null") cannot stand with allow_credentials: every site could act for the user")
        }
        for key in ["allow_methods", "allow_headers", "expose_headers"] {
            for any in value[key]?.elements ?? [] where any.text == "*" {
                diagnostics.error(any.mark, any.trail, "* is no wildcard for browsers beside allow_credentials; name them")
            }
        }
    }

    /// A method that scripts are told they may use, and that is then refused with 405. Routes may share a middleware, and one may take
    /// what another one refuses; only what all of them refuse is reported.
    mutating func checkCORSMethods() {
        for (index, methods) in corsMethods.sorted(by: { $0.key < $1.key }) {
            let routes = configuration.routes.filter { $0.middlewares.contains(index) }
            if routes.isEmpty || !knowsAll { continue }
            for method in methods {
                guard let name = method.text, name != "*", !routes.contains(where: { Builder.takes($0.match, name) }) else {
                    continue
                }
                let whose =
                    routes.count == 1 ? "the route \(routes[0].name) does not take" : "none of its \(routes.count) routes takes"
                diagnostics.warning(method.mark, method.trail, "cors allows \(method.shown(name)), which \(whose)")
            }
        }
    }

    /// A route without methods takes those that HTTP's own documents know.
    private static func takes(_ match: RouteMatch, _ method: String) -> Bool {
        if match.methods.isEmpty { return ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"].contains(method) }
        return match.methods.contains(method) || method == "HEAD" && match.methods.contains("GET")
    }
}
