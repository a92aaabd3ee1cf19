import Primitives

/// Goes through the tables of keys and a tree side by side, and puts the default in where the tree says nothing.
struct EffectiveWalk {
    /// Where values come from whose mark does not say it: by path.
    let older: [String: String]
    /// What counts for keys that are left out and depend on others: `Builder.derived`.
    let derived: [String: String]
    let source: any SecretSource

    /// Blocks that are in force although nobody wrote them.
    private static var always: Set<String> {
        [
            "server", "limits", "admin", "access_log", "request_id", "headers", "forwarded", "timeouts", "pool", "queue",
            "load_balancer", "outlier_detection", "circuit_breaker", "retry",
        ]
    }

    func whole(_ tree: Node) -> EffectiveValue {
        guard case .mapping(var members) = block(tree, Schema.root, .root) else { return .mapping([]) }
        let file = Members(members)
        let services = Members(file.byName["services"])
        for i in members.indices {
            switch members[i].0 {
            case "listeners": members[i].1 = each(members[i].1) { listener($1, file) }
            case "routes": members[i].1 = each(members[i].1) { route($0, $1, services) }
            default: break
            }
        }
        return .mapping(members)
    }

    /// The members of a mapping by their names.
    struct Members {
        var byName: [String: EffectiveValue] = [:]

        init(_ members: [(String, EffectiveValue)]) {
            byName.reserveCapacity(members.count)
            for (name, value) in members { byName[name] = value }
        }

        init(_ value: EffectiveValue?) {
            if case .mapping(let members)? = value {
                self.init(members)
            } else {
                self.init([])
            }
        }
    }

    private func each(
        _ list: EffectiveValue, _ change: (Int, [(String, EffectiveValue)]) -> [(String, EffectiveValue)]
    ) -> EffectiveValue {
        guard case .list(let elements) = list else { return list }
        return .list(
            elements.enumerated().map { i, element in
                if case .mapping(let members) = element { .mapping(change(i, members)) } else { element }
            })
    }

    // The walk.

    private func value(_ node: Node, _ shape: Shape, _ trail: KeyTrail, _ name: String) -> EffectiveValue? {
        switch (shape, node.content) {
        case (.scalar(let kind), .scalar):
            let shown = text(node, kind, name)
            return .scalar(shown, EffectiveKind(kind), source: source(of: node, trail))
        case (.list(let element, _, _), .sequence(let nodes)):
            return list(nodes, element, trail, name, source(of: node, trail))
        case (.list(let element, true, _), _) where element.accepts(node.content):
            return list([node], element, trail, name, source(of: node, trail))
        case (.either(let shapes), _):
            return shapes.first { $0.accepts(node.content) }.flatMap { value(node, $0, trail, name) }
        case (.object(let object), .mapping):
            return block(node, object, trail)
        case (.map(_, let element, _), .mapping(let entries)):
            return .mapping(
                entries.compactMap { entry in
                    value(entry.value, element, trail.appending(entry.key), entry.key).map { (entry.key, $0) }
                })
        default:
            return nil
        }
    }

    private func list(_ nodes: [Node], _ element: Shape, _ trail: KeyTrail, _ name: String, _ source: String) -> EffectiveValue {
        if case .scalar(let kind) = element {
            return .scalars(nodes.map { (text($0, kind, name), EffectiveKind(kind)) }, source: source)
        }
        return .list(nodes.enumerated().compactMap { value($1, element, trail.appending($0), name) })
    }

    private func block(_ node: Node, _ object: ObjectShape, _ trail: KeyTrail) -> EffectiveValue {
        let isOff = object.canBeDisabled && node.entry("enabled").map { text($0.value, .truth, "") } == "false"
        var given: [String: Node] = [:]
        for entry in node.entries { given[entry.key] = entry.value }
        var members: [(String, EffectiveValue)] = []
        for key in object.keys {
            let below = trail.appending(key.name)
            if let node = given[key.name] {
                if let value = value(node, key.shape, below, key.name) { members.append((key.name, value)) }
            } else if !isOff || EffectiveWalk.isAtRoot(trail), let value = missing(key, below, trail) {
                members.append((key.name, value))
            }
        }
        return .mapping(members)
    }

    private static func isAtRoot(_ trail: KeyTrail) -> Bool {
        if case .key(.root, _) = trail { true } else { false }
    }

    private func missing(_ key: Key, _ below: KeyTrail, _ trail: KeyTrail) -> EffectiveValue? {
        if case .object(let object) = key.shape, EffectiveWalk.always.contains(key.name), EffectiveWalk.holdsDefaults(trail) {
            return defaults(object, below)
        }
        if key.name == "enabled", !EffectiveWalk.isAtRoot(trail) { return nil }
        if case .withoutEffect = key.availability { return nil }
        if EffectiveWalk.isFilledElsewhere(key.name, trail) { return nil }
        return standard(key, below)
    }

    /// What counts for a key that is left out.
    func standard(_ key: Key, _ trail: KeyTrail) -> EffectiveValue? {
        let text = key.isDependent ? derived[trail.text] ?? "" : key.defaultText
        return text.isEmpty ? nil : EffectiveWalk.standard(text, key.shape)
    }

    func defaults(_ object: ObjectShape, _ trail: KeyTrail) -> EffectiveValue {
        block(Node(mark: Mark(file: ""), content: .mapping([])), object, trail)
    }

    /// Whether a block here counts without being written: those of the root, of `server` and of a service.
    private static func holdsDefaults(_ trail: KeyTrail) -> Bool {
        switch trail {
        case .root, .key(.root, "server"), .key(.key(.root, "services"), _): true
        default: false
        }
    }

    /// Values that are those of the file's limits, or of the service, when a listener or a route leaves them out.
    private static func isFilledElsewhere(_ name: String, _ trail: KeyTrail) -> Bool {
        switch trail {
        case .key(.index(.key(.root, "listeners"), _), "limits"): true
        case .key(.index(.key(.root, "routes"), _), "timeouts"), .key(.index(.key(.root, "routes"), _), "circuit_breaker"): true
        default: false
        }
    }

    private static func standard(_ text: String, _ shape: Shape) -> EffectiveValue {
        if text == "{}" { return .mapping([]) }
        let kind = kind(of: shape)
        if text.hasPrefix("["), text.hasSuffix("]") {
            let elements = text.dropFirst().dropLast().split(separator: ", ").map { (JSONSchema.unquoted(String($0)), kind) }
            return .scalars(elements, source: "default")
        }
        return .scalar(JSONSchema.unquoted(text), kind, source: "default")
    }

    private static func kind(of shape: Shape) -> EffectiveKind {
        switch shape {
        case .scalar(let kind): EffectiveKind(kind)
        case .list(let element, _, _): kind(of: element)
        case .either(let shapes): shapes.first.map(kind) ?? .text
        case .object, .map: .text
        }
    }

    // Single values.

    /// As a file would write it: variables of the environment carried out, those of the request left, dollar signs doubled.
    private func text(_ node: Node, _ kind: ScalarKind, _ name: String) -> String {
        guard case .scalar(let written, _) = node.content else { return "" }
        if EffectiveWalk.isSecret(kind, name) { return SecretNames.mask }
        if EffectiveWalk.isFree(kind), variables(written).contains(where: SecretNames.holdsWord) { return SecretNames.mask }
        let expansion = Expansion(written, allowingVariables: kind.hasVariables, environment: source.environment)
        guard expansion.problem.isEmpty else { return written }
        var text = ""
        for piece in expansion.pieces {
            switch piece {
            case .variable(let variable): text += "${\(variable.rawValue)}"
            case .literal(let literal): for c in literal.unicodeScalars { text += c == "$" ? "$$" : String(c) }
            }
        }
        if case .url = kind { return EffectiveWalk.withoutPassword(text) }
        return text
    }

    private static func isSecret(_ kind: ScalarKind, _ name: String) -> Bool {
        switch kind {
        case .secret, .option: true
        // The values of fields and parameters, whose names the author chose.
        case .fieldValue, .fixedFieldValue, .text(_, true): SecretNames.holdsWord(name)
        default: false
        }
    }

    /// Whether anything can stand in it, so that a variable whose name is that of a secret is one.
    private static func isFree(_ kind: ScalarKind) -> Bool {
        switch kind {
        case .fieldValue, .fixedFieldValue, .location, .text(_, true): true
        default: false
        }
    }

    private static func withoutPassword(_ url: String) -> String {
        guard let at = url.lastIndex(of: "@"), let colon = url.firstIndex(of: ":"), url[colon...].hasPrefix("://"),
            let start = url.index(colon, offsetBy: 3, limitedBy: url.endIndex), start <= at
        else { return url }
        return url[..<start] + SecretNames.mask + url[at...]
    }

    /// The names in `${NAME}` and `${NAME:-…}`.
    private func variables(_ text: String) -> [String] {
        guard text.utf8.contains(0x24) else { return [] }
        var asked: [String] = []
        _ = Expansion(text, allowingVariables: true) { name in
            asked.append(name)
            return ""
        }
        return asked
    }

    private func source(of node: Node, _ trail: KeyTrail) -> String {
        if !older.isEmpty, let place = older[trail.text] { return place }
        var mark = node.mark
        guard mark.line > 0 else { return mark.description }
        mark.file = mark.file.split(separator: "/").last.map(String.init) ?? mark.file
        guard case .scalar(let text, _) = node.content else { return mark.description }
        let set = variables(text).filter { source.environment($0)?.isEmpty == false }
        return ([mark.description] + set.map { "environment \($0)" }).joined(separator: ", ")
    }
}
