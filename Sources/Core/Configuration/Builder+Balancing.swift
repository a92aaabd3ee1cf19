import Balancing
import Primitives

/// How a service chooses an instance.
extension Builder {
    /// - Parameter value: `load_balancer`, or nil where it is not written.
    mutating func buildBalancer(_ value: Value?, _ service: inout ServiceConfiguration, isOff: Bool) {
        guard let value else { return }
        let isOff = isOff || !value.isEnabled
        var policy = Balancer.Policy()
        let algorithm = value["algorithm"]?.text
        set(&policy.algorithm, Schema.algorithms.first { $0.name == algorithm }?.algorithm)
        set(&policy.loadBound, value["bound"]?.permille.map { Double($0) / 1000 })
        var health = service.health
        if let share = value["degraded_weight"]?.permille {
            policy.degradedWeight = Double(share) / 1000
            health.degradedShare = share
        }
        if let window = value["slow_start"]?.duration, window != .forever {
            policy.slowStart = SlowStart(window: window)
            health.slowStart = window
        }
        var source: HashSource?
        if case .consistentHash = policy.algorithm {
            source = hashSource(value, isOff: isOff)
            // `user` has no effect yet: there is nothing to place a request by.
            if source == nil { policy.algorithm = .roundRobin }
            derive(value.trail, "bound", Schema.loadBalancer.key("bound")?.defaultText)
        } else if !isOff, value.entry("algorithm") == nil || algorithm != nil {
            for key in ["hash_on", "hash_name", "bound"] {
                if let entry = value.entry(key) { warn(entry, "has no effect without the algorithm consistent_hash") }
            }
        }
        let cookie = value["sticky"].flatMap { sticky($0, isOff: isOff) }
        guard value.isEnabled else { return }
        service.balancer = policy
        service.health = health
        service.hashSource = source
        service.sticky = cookie
    }

    private mutating func hashSource(_ value: Value, isOff: Bool) -> HashSource? {
        guard let on = value.entry("hash_on") else {
            diagnostics.error(value.mark, value.trail, "consistent_hash needs hash_on: header, cookie, query or path")
            return nil
        }
        guard let word = on.value.text else { return nil }
        let shown = on.value.shown(word)
        if word == "path" || word == "user" {
            if let name = value.entry("hash_name") {
                diagnostics.error(name.keyMark, name.value.trail, "hash_on \(shown) has no name")
            }
            if word == "path" { return .path }
            if !isOff { diagnostics.withoutEffect("hash_on \(shown)", on.value.mark, on.value.trail) }
            return nil
        }
        guard let given = value.entry("hash_name") else {
            diagnostics.error(on.value.mark, on.value.trail, "hash_on \(shown) needs hash_name")
            return nil
        }
        guard let name = given.value.text else { return nil }
        if word == "query" { return .query(name) }
        guard ScalarKind.isToken(name, maximum: 256) else {
            diagnostics.error(
                given.value.mark, given.value.trail, "\"\(given.value.shown(name))\" is not the name of a \(word)")
            return nil
        }
        return word == "header" ? .header(name.lowercased()) : .cookie(name)
    }

    private mutating func sticky(_ value: Value, isOff: Bool) -> StickyConfiguration? {
        if let secret = value["secret"], let bytes = secret.secret?.bytes.count, bytes < Defaults.stickySecretBytes {
            diagnostics.error(
                secret.mark, secret.trail, "a secret needs at least \(Defaults.stickySecretBytes) bytes, this one has \(bytes)")
        }
        guard let cookie = value["cookie"], let name = cookie.text else { return nil }
        var sticky = StickyConfiguration(cookie: name)
        sticky.secret = value["secret"]?.secret
        set(&sticky.maxAge, value["max_age"]?.duration)
        set(&sticky.isHTTPOnly, value["http_only"]?.truth)
        set(&sticky.isSecure, value["secure"]?.truth)
        let word = value["same_site"]?.text
        set(&sticky.sameSite, Schema.sameSites.first { $0.name == word }?.value)
        if let age = value["max_age"], sticky.maxAge.nanoseconds % 1_000_000_000 != 0 {
            diagnostics.error(age.mark, age.trail, "must be whole seconds, as Max-Age has them (RFC 6265 §4.1.1)")
        }
        if let path = value["path"], let text = path.text {
            sticky.path = text
            if text.utf8.contains(where: { $0 == ASCII.semicolon || $0 > 0x7e }) {
                diagnostics.error(path.mark, path.trail, "the path of a cookie is ASCII without ; (RFC 6265 §4.1.1)")
            }
        }
        if case .none = sticky.sameSite {
            if let secure = value["secure"], secure.truth == false, !isOff, value.isEnabled {
                diagnostics.warning(
                    secure.mark, secure.trail, "same_site none needs secure, which browsers insist on: it is true all the same")
            }
            sticky.isSecure = true
        }
        derive(value.trail, "secure", "\(sticky.isSecure)")
        if !hasInvalid(value, ["secure", "path", "same_site"]) { checkPrefix(cookie, name, sticky) }
        return value.isEnabled ? sticky : nil
    }

    /// Browsers drop a cookie whose name promises more than its attributes keep, without a word.
    private mutating func checkPrefix(_ cookie: Value, _ name: String, _ sticky: StickyConfiguration) {
        let lower = name.lowercased()
        let isHost = lower.hasPrefix("__host-")
        guard isHost || lower.hasPrefix("__secure-") else { return }
        if !sticky.isSecure || isHost && sticky.path != "/" {
            diagnostics.error(
                cookie.mark, cookie.trail,
                "browsers refuse a cookie of the name \(cookie.shown(name)) without secure: true\(isHost ? " and path: /" : "")")
        }
    }
}
