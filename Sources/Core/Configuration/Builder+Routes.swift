import Primitives
import Resilience

/// Routes.
extension Builder {
    /// - Parameter names: The names of the routes before this one, with where they stand.
    mutating func buildRoute(_ value: Value, names: inout [String: String]) {
        if let name = value["name"], let text = name.text, let first = names.updateValue(name.trail.text, forKey: text) {
            diagnostics.error(name.mark, name.trail, "the name \"\(name.shown(text))\" is taken by \(first)")
        }
        let isOff = !value.isEnabled
        let match = value["match"].flatMap(routeMatch)
        var timeouts = TimeoutsConfiguration()
        var answer = Maintenance.off
        let action = routeAction(value, timeouts: &timeouts, maintenance: &answer)
        let chain = routeMiddlewares(value["middlewares"], isOff: isOff)
        let policy = pathPolicy(value.block("path"), match: value["match"]?["path"])
        if let given = value.block("timeouts") { timeouts = self.timeouts(given, over: timeouts) }
        let resilience = routeResilience(value, action, timeouts, isOff: isOff)
        let upgrade = self.upgrade(value, isOff: isOff)
        if !isOff { checkUseless(value) }
        guard !isOff, let name = value["name"]?.text, let match, let action, let place = value.entry("match") else { return }
        var route = RouteConfiguration(name: name, match: match, action: action)
        route.middlewares = chain
        route.path = policy
        route.timeouts = timeouts
        if let max = value.block("limits")?["request_body"]?.integer {
            route.requestBody = max == .max ? .unlimited : .bytes(max)
        }
        set(&route.allowBody, value["allow_body"]?.truth)
        route.maintenance = maintenance(value["maintenance"])
        if case .off = route.maintenance { route.maintenance = answer }
        if case .service = action {
            set(&route.priority, priority(value["priority"]))
            route.upgrade = upgrade.protocols
            route.webSocket = upgrade.webSocket
            route.breaker = resilience.breaker
            route.fallback = resilience.fallback
        }
        configuration.routes.append(route)
        places.routes.append(LoadResult.Place(mark: place.value.mark, path: place.value.trail.text))
    }

    private func routeMatch(_ value: Value) -> RouteMatch? {
        guard let path = value["path"]?.text else { return nil }
        var match = RouteMatch(path: path)
        let hosts = value["host"]?.elements.compactMap(\.text) ?? []
        match.hosts = hosts.contains("*") ? [] : hosts
        match.methods = value["methods"]?.elements.compactMap(\.text) ?? []
        match.headers = conditions(value["headers"]).map { ValueCondition(name: $0.name.lowercased(), test: $0.test) }
        match.query = conditions(value["query"])
        return match
    }

    private func conditions(_ value: Value?) -> [ValueCondition] {
        (value?.entries ?? []).map { entry in
            if let present = entry.value["present"]?.truth {
                return ValueCondition(name: entry.key, test: present ? .present : .absent)
            }
            return ValueCondition(name: entry.key, test: .anyOf(entry.value.elements.compactMap(\.text)))
        }
    }

    // The action.

    private mutating func routeAction(
        _ value: Value, timeouts: inout TimeoutsConfiguration, maintenance: inout Maintenance
    ) -> RouteAction? {
        let chosen = value.entries.filter { Schema.actions.contains($0.key) }
        guard chosen.count == 1, let action = chosen.first?.value, !action.isInvalid else { return nil }
        switch chosen[0].key {
        case "service":
            return serviceAction(action, timeouts: &timeouts, maintenance: &maintenance)
        case "redirect":
            guard let to = action["to"], let pieces = to.template else { return nil }
            var redirect = RedirectConfiguration(to: RedirectSyntax.pieces(pieces))
            checkCaptures(to, redirect.to, value["match"]?["path"]?.text)
            set(&redirect.status, action["status"]?.text.flatMap { Int($0) })
            set(&redirect.keepQuery, action["keep_query"]?.truth)
            return .redirect(redirect)
        case "respond":
            return .respond(fixedResponse(action))
        case "health":
            return .health
        case "ready":
            return .ready
        default:
            let allow = action["allow"]?.elements.compactMap(\.addressBlock)
            return .metrics(allow: allow ?? Defaults.metricsAllow.compactMap { AddressBlock($0) })
        }
    }

    private mutating func serviceAction(
        _ value: Value, timeouts: inout TimeoutsConfiguration, maintenance: inout Maintenance
    ) -> RouteAction? {
        guard let name = value.text, let (index, answer) = service(value, name) else { return nil }
        timeouts = configuration.services[index].timeouts
        maintenance = answer
        return .service(index)
    }

    /// The service of this name; nil where there is none, which is reported, or where something is wrong with it.
    mutating func service(_ value: Value, _ name: String) -> (index: Int, maintenance: Maintenance)? {
        switch services[name] {
        case .built(let index, let answer):
            return (index, answer)
        case .broken:
            return nil
        case nil:
            let known = services
            diagnostics.error(
                value.mark, value.trail, "there is no service \"\(value.shown(name))\"",
                suggestion: value.written != nil ? "" : Suggestion.nearest(to: name, among: known.keys.sorted()))
            return nil
        }
    }

    mutating func fixedResponse(_ value: Value) -> FixedResponse {
        var response = FixedResponse()
        set(&response.status, value["status"]?.integer)
        set(&response.contentType, value["content_type"]?.text)
        if let body = value["body"], let text = body.text {
            response.body = Array(text.utf8)
            if [204, 205, 304].contains(response.status), !text.isEmpty {
                diagnostics.error(body.mark, body.trail, "an answer with status \(response.status) has no body (RFC 9110 §15)")
            }
        }
        for entry in value["headers"]?.entries ?? [] {
            if entry.key.lowercased() == "content-type" {
                diagnostics.error(entry.keyMark, entry.value.trail, "Content-Type is set by content_type")
            } else if let text = entry.value.text {
                response.headers.append(HeaderLine(name: entry.key, value: Array(text.utf8)))
            }
        }
        return response
    }

    // The chain.

    private mutating func routeMiddlewares(_ value: Value?, isOff: Bool) -> [Int] {
        var chain: [Int] = []
        var seen: Set<String> = []
        for element in value?.elements ?? [] {
            guard let name = element.text else { continue }
            if !seen.insert(name).inserted {
                diagnostics.error(element.mark, element.trail, "the middleware \"\(element.shown(name))\" is named twice")
                continue
            }
            switch middlewares[name] {
            case .built(let index):
                chain.append(index)
            case .off(let kind, true) where !isOff:
                diagnostics.warning(
                    element.mark, element.trail,
                    "the middleware \"\(element.shown(name))\" (\(kind)) is switched off: the route is open")
            case .unavailable(let kind, true) where !isOff:
                diagnostics.error(
                    element.mark, element.trail,
                    "the middleware \"\(element.shown(name))\" (\(kind)) is not available in this version, and the route would be open"
                )
            case .off, .unavailable, .broken:
                break
            case nil:
                let known = middlewares
                diagnostics.error(
                    element.mark, element.trail, "there is no middleware \"\(element.shown(name))\"",
                    suggestion: element.written != nil ? "" : Suggestion.nearest(to: name, among: known.keys.sorted()))
            }
        }
        return chain
    }

    // The path.

    private mutating func pathPolicy(_ value: Value?, match: Value?) -> PathPolicy {
        var policy = PathPolicy()
        guard let value else { return policy }
        set(&policy.encodedSlash, word(value["encoded_slash"]))
        let strip = value["strip_prefix"]?.text.map(Builder.withoutSlash) ?? ""
        let add = value["add_prefix"]?.text.map(Builder.withoutSlash) ?? ""
        if !strip.isEmpty || !add.isEmpty { policy.rewrite = .prefix(strip: strip, add: add) }
        if let given = value["strip_prefix"], let path = match?.text, !Builder.canBegin(path, with: strip) {
            diagnostics.warning(given.mark, given.trail, "no path of this route begins with \(given.shown(strip))")
        }
        if let rewrite = value["rewrite"], let text = rewrite.text {
            if value.entry("strip_prefix") != nil || value.entry("add_prefix") != nil {
                diagnostics.error(rewrite.mark, rewrite.trail, "cannot stand beside strip_prefix or add_prefix")
            }
            checkCaptures(rewrite, RedirectSyntax.pieces([.literal(Array(text.utf8))]), match?.text)
            policy.rewrite = .replace(text)
        }
        return policy
    }

    /// Whether what `value` takes from the matched path is there.
    private mutating func checkCaptures(_ value: Value, _ pieces: [RedirectPiece], _ pattern: String?) {
        guard let pattern else { return }
        let known = PathSyntax.templateNames(pattern)
        for piece in pieces {
            switch piece {
            case .segment(let name) where !known.contains(name):
                let isOutside = value.written != nil
                diagnostics.error(
                    value.mark, value.trail,
                    isOutside
                        ? "\"\(value.shown(name))\" names a segment that match.path has not"
                        : "match.path has no segment {\(name)}",
                    suggestion: isOutside ? "" : Suggestion.nearest(to: name, among: known))
            case .rest where !pattern.hasSuffix("/*"):
                diagnostics.error(value.mark, value.trail, "/* needs a match.path that ends in /*")
            case .segment, .rest, .literal, .scheme, .host, .path:
                break
            }
        }
    }

    private static func withoutSlash(_ path: String) -> String {
        path.utf8.last == ASCII.slash ? String(path.dropLast()) : path
    }

    /// Whether a path that `pattern` matches can begin with the segments of `prefix`.
    private static func canBegin(_ pattern: String, with prefix: String) -> Bool {
        let segments = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (i, wanted) in prefix.dropFirst().split(separator: "/", omittingEmptySubsequences: false).enumerated() {
            guard i < segments.count else { return false }
            if segments[i] == "*" { return true }
            if PathSyntax.templateName(segments[i]) == nil, segments[i] != wanted { return false }
        }
        return true
    }

    /// Keys that only mean something towards a backend, on a route that has none.
    private mutating func checkUseless(_ value: Value) {
        guard value.entry("service") == nil, value.entries.contains(where: { Schema.actions.contains($0.key) }) else { return }
        for name in ["timeouts", "priority", "circuit_breaker", "fallback", "upgrade", "websocket"] {
            guard let entry = value.entry(name), entry.value.isEnabled, !entry.value.isEmptyList else { continue }
            warn(entry, "has no effect on a route without a service")
        }
        for name in ["strip_prefix", "add_prefix", "rewrite"] {
            guard let entry = value.block("path")?.entry(name) else { continue }
            warn(entry, "has no effect on a route without a service")
        }
    }
}
