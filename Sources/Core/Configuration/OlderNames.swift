import Primitives

/// Puts the flat names of earlier gateways and the environment variables that they read into their places in the tree, before it
/// is checked.
///
/// A variable wins over the file. An older name beside the newer one is an error, since nobody could say which counts. A value
/// that comes from a variable has a mark that names it.
struct OlderNames {
    var validator: Validator
    /// Where values come from whose mark does not say it: by path.
    private(set) var places: [String: String] = [:]
    var root = Node(mark: Mark(file: ""), content: .mapping([]))
    /// The older names of the file that have a value of the right kind.
    private var found: [String: (entry: Node.Entry, value: Value)] = [:]

    init(_ validator: Validator) { self.validator = validator }

    mutating func apply(to tree: Node) -> Node {
        guard case .mapping(let entries) = tree.content else { return tree }
        root = tree
        let older = Schema.older
        if entries.contains(where: { entry in older.contains { $0.name == entry.key } }) {
            take(entries, older)
            listener(entries)
            process()
            limits()
            services()
            guards()
        }
        if !validator.source.isOpaque { environment() }
        return root
    }

    private mutating func take(_ entries: [Node.Entry], _ older: [Key]) {
        var rest: [Node.Entry] = []
        for entry in entries {
            guard let key = older.first(where: { $0.name == entry.key }) else {
                rest.append(entry)
                continue
            }
            if case .scalar(.secret) = key.shape {
                // It is read where it goes, and only there.
                found[entry.key] = (entry, Value(mark: entry.value.mark, trail: .root, content: .invalid))
                continue
            }
            let value = validator.validate(entry.value, as: key.shape, at: .key(.root, entry.key))
            if !value.isInvalid { found[entry.key] = (entry, value) }
        }
        root.entries = rest
    }

    /// Puts `node` at `path`, unless something stands there already, which is an error.
    private mutating func put(_ name: String, _ node: Node, at path: [String]) {
        guard let entry = found[name]?.entry else { return }
        if let other = root.value(at: path) { return conflict(entry, with: path, other.mark) }
        root.set(path, node)
        note(path, "older name \(name) at \(entry.value.mark)")
    }

    private mutating func put(_ name: String, at path: [String]) {
        if let entry = found[name]?.entry { put(name, entry.value, at: path) }
    }

    private mutating func conflict(_ entry: Node.Entry, with path: [String], _ mark: Mark) {
        validator.diagnostics.error(
            entry.keyMark, .key(.root, entry.key),
            "is an older name of \(OlderNames.trail(path).text), which stands at \(mark); one of them must go")
    }

    mutating func note(_ path: [String], _ source: String) { places[OlderNames.trail(path).text] = source }

    mutating func note(_ trail: KeyTrail, _ source: String) { places[trail.text] = source }

    mutating func forget(_ path: [String]) { places[OlderNames.trail(path).text] = nil }

    static func trail(_ path: [String]) -> KeyTrail { path.reduce(.root) { $0.appending($1) } }

    private mutating func listener(_ written: [Node.Entry]) {
        let given = written.filter { $0.key == "host" || $0.key == "port" }
        guard let first = found["host"] ?? found["port"], given.allSatisfy({ found[$0.key] != nil }) else {
            // One of them is wrong, which has been said, or not known; that there is no listener need not be said as well.
            if let entry = given.first, root.entry("listeners") == nil { addListener("127.0.0.1:0", entry.value.mark) }
            return
        }
        if let listeners = root.entry("listeners") { return conflict(first.entry, with: ["listeners"], listeners.keyMark) }
        let host = found["host"]?.value.text ?? "0.0.0.0"
        let isBare = host.utf8.contains(ASCII.colon) && !host.hasPrefix("[")
        let address = "\(isBare ? "[\(host)]" : host):\(found["port"]?.value.integer ?? 8000)"
        if case .problem(let message, let suggestion) = ScalarKind.listenAddress.read(address) {
            let isOutside = first.value.written != nil
            validator.diagnostics.error(
                first.entry.value.mark, .key(.root, first.entry.key),
                isOutside ? "expected an address, which \"\(first.value.shown(host))\" is not" : message,
                suggestion: isOutside ? "" : suggestion)
            return addListener("127.0.0.1:0", first.entry.value.mark)
        }
        let names = ["host", "port"].compactMap { name in
            found[name].map { "older name \(name) at \($0.entry.value.mark)" }
        }
        addListener(address, first.entry.value.mark)
        let element = KeyTrail.root.appending("listeners").appending(0)
        note(element.appending("name"), names[0])
        note(element.appending("address"), names.joined(separator: ", "))
    }

    private mutating func addListener(_ address: String, _ mark: Mark) {
        root.set(
            "listeners",
            .list([.mapping([("name", .literal("default", mark)), ("address", .literal(address, mark))], mark)], mark))
    }

    private mutating func process() {
        put("workers", at: ["server", "workers"])
        if let (entry, value) = found["log_level"], let text = value.text?.lowercased(),
            let level = Schema.olderLevels.first(where: { $0.0 == text })?.1
        {
            put("log_level", .literal(level.rawValue, entry.value.mark), at: ["server", "log_level"])
        }
        put("metrics_enabled", at: ["admin", "metrics"])
        if let name = ["log_requests", "log_responses"].first(where: { found[$0] != nil }),
            let mark = found[name]?.entry.value.mark
        {
            let isOn = found["log_requests"]?.value.truth ?? true || found["log_responses"]?.value.truth ?? false
            put(name, .literal("\(isOn)", mark), at: ["access_log", "enabled"])
        }
    }

    /// Limits that were those of the gateway as a whole: a middleware, and every route that does something names it first.
    private mutating func limits() {
        for (name, key, unit) in [("rate_limit_per_minute", "ip", "m"), ("max_requests_per_second", "global", "s")] {
            guard let count = found[name]?.value.integer, let mark = free(name, ["middlewares", name])?.value.mark else {
                continue
            }
            let limit: [(String, String)] = [("key", key), ("rate", "\(count)/\(unit)"), ("burst", "\(count)")]
            for (field, text) in limit { put(name, .literal(text, mark), at: ["middlewares", name, "rate_limit", field]) }
            prepend(name, mark)
        }
    }

    private mutating func prepend(_ name: String, _ mark: Mark) {
        guard case .sequence(var routes)? = root.entry("routes")?.value.content, let whole = root.entry("routes")?.value.mark
        else { return }
        for i in routes.indices where routes[i].isMapping {
            guard ["health", "ready", "metrics"].allSatisfy({ routes[i].entry($0) == nil }) else { continue }
            var chain: [Node] = []
            switch routes[i].entry("middlewares")?.value.content {
            case .sequence(let nodes)?: chain = nodes
            case .scalar?: chain = routes[i].entry("middlewares").map { [$0.value] } ?? []
            case .mapping?: continue
            case nil: note(.key(.index(.key(.root, "routes"), i), "middlewares"), "older name \(name) at \(mark)")
            }
            let isNamed = chain.contains { $0.content == .scalar(name, .plain) || $0.content == .scalar(name, .quoted) }
            if isNamed { continue }
            let place = routes[i].entry("middlewares")?.value.mark ?? mark
            routes[i].set("middlewares", .list([.literal(name, mark)] + chain, place))
        }
        root.set("routes", .list(routes, whole))
    }

    /// What a block of a service means when it is there, and when it says `enabled: false`.
    private enum BlockKind {
        /// Nothing but its values; switched off it is as though it were not there.
        case values
        /// What it is about is on because of it.
        case switchedOnByBeingThere
        /// What it is about is on without it as well.
        case onUnlessSwitchedOff
    }

    /// What every service has that says nothing else.
    private mutating func services() {
        let moves: [(name: String, block: String, key: String, kind: BlockKind)] = [
            ("request_timeout", "timeouts", "response", .values), ("connection_pool_size", "pool", "max_connections", .values),
            ("health_check_interval", "health_check", "interval", .switchedOnByBeingThere),
            ("circuit_breaker_threshold", "circuit_breaker", "failure_threshold", .onUnlessSwitchedOff),
        ]
        guard var services = root.entry("services")?.value, services.isMapping else { return }
        var entries = services.entries
        for move in moves {
            guard let old = found[move.name]?.entry else { continue }
            var isUsed = false
            for i in entries.indices where entries[i].value.isMapping {
                var block = entries[i].value.entry(move.block)?.value
                switch (move.kind, block.map(\.isSwitchedOff)) {
                case (.switchedOnByBeingThere, nil), (.switchedOnByBeingThere, true), (.onUnlessSwitchedOff, true): continue
                case (.values, true): block = nil
                case (.values, _), (.switchedOnByBeingThere, false), (.onUnlessSwitchedOff, _): break
                }
                isUsed = true
                if block?.entry(move.key) != nil { continue }
                var filled = block ?? Node(mark: old.value.mark, content: .mapping([]))
                filled.set(move.key, old.value)
                entries[i].value.set(move.block, filled)
                note(["services", entries[i].key, move.block, move.key], "older name \(move.name) at \(old.value.mark)")
            }
            if case .switchedOnByBeingThere = move.kind, !isUsed {
                validator.diagnostics.warning(
                    old.keyMark, .key(.root, old.key),
                    "has no effect: no service has a \(move.block) of which this could be a part")
            }
        }
        services.entries = entries
        root.set("services", services)
    }

    private mutating func guards() {
        if let entry = free("jwt_secret", ["middlewares", "jwt"]) {
            addJWT(entry.value)
            for key in ["algorithms", "secret"] {
                note(["middlewares", "jwt", "jwt", key], "older name jwt_secret at \(entry.value.mark)")
            }
        }
        if free("api_key_header", ["middlewares", "api_key"]) != nil {
            put("api_key_header", at: ["middlewares", "api_key", "api_key", "header"])
        }
    }

    /// What the file says under an older name, unless something else stands at `path`, which is an error.
    private mutating func free(_ name: String, _ path: [String]) -> Node.Entry? {
        guard let entry = found[name]?.entry else { return nil }
        guard let other = root.value(at: path) else { return entry }
        conflict(entry, with: path, other.mark)
        return nil
    }

    mutating func addJWT(_ secret: Node) {
        let algorithms = Node.list([.literal("HS256", secret.mark)], secret.mark)
        root.set(["middlewares", "jwt", "jwt"], .mapping([("algorithms", algorithms), ("secret", secret)], secret.mark))
    }
}
