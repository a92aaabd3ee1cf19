import Primitives

/// `API_V1_PREFIX`: routes below `/api/v1` are served below a prefix, which the backend does not see.
extension OlderNames {
    private static var variableName: String { "API_V1_PREFIX" }
    private static var apiPath: String { "/api/v1" }

    mutating func usePrefix(_ text: String) {
        let mark = Mark(environment: OlderNames.variableName)
        switch ScalarKind.path.read(text) {
        case .problem:
            return validator.diagnostics.error(mark, .root, "expected \(ScalarKind.path.expected)")
        case .value where text.utf8.contains { $0 == ASCII.asterisk || $0 == 0x7b || $0 == 0x7d }:
            return validator.diagnostics.error(mark, .root, "a prefix has no * and no {name}")
        case .value:
            break
        }
        let prefix = text.utf8.last == ASCII.slash ? String(text.dropLast()) : text
        guard !prefix.isEmpty, prefix != OlderNames.apiPath, let routes = root.entry("routes")?.value,
            case .sequence(var nodes) = routes.content
        else { return }
        for i in nodes.indices { move(&nodes[i], i, below: prefix, mark) }
        root.set("routes", .list(nodes, routes.mark))
    }

    private mutating func move(_ route: inout Node, _ index: Int, below prefix: String, _ mark: Mark) {
        guard let written = route.value(at: ["match", "path"]), let path = text(written),
            path == OlderNames.apiPath || path.hasPrefix(OlderNames.apiPath + "/")
        else { return }
        let trail = KeyTrail.root.appending("routes").appending(index)
        var policy = route.entry("path")?.value
        if policy?.isSwitchedOff == true { policy = nil }
        var strip = prefix
        if let given = policy?.entry("strip_prefix").flatMap({ text($0.value) }) {
            switch OlderNames.relation(of: path, to: given) {
            case .always: strip = prefix + given
            case .never: break
            case .sometimes:
                let shown = shown(written)
                return validator.diagnostics.error(
                    mark, trail, "cannot be put before \(shown), of which only a part begins with its strip_prefix"
                )
            }
        }
        // The mark stays: what else is wrong with the path is to be found in the file.
        route.set(["match", "path"], .literal(prefix + path, written.mark))
        note(trail.appending("match").appending("path"), mark.description)
        // A whole path instead of the old one does not hold the prefix, and without a service nobody sees the path.
        guard route.entry("service") != nil, policy?.entry("rewrite") == nil else { return }
        var changed = policy ?? .mapping([], mark)
        changed.set("strip_prefix", .literal(strip, mark))
        route.set("path", changed)
    }

    private enum Relation {
        case always, never, sometimes
    }

    /// Whether the paths that `pattern` matches begin with the segments of `prefix`.
    private static func relation(of pattern: String, to prefix: String) -> Relation {
        let segments = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        let whole = prefix.utf8.last == ASCII.slash ? prefix.dropLast() : prefix[...]
        var relation = Relation.always
        for (i, wanted) in whole.dropFirst().split(separator: "/", omittingEmptySubsequences: false).enumerated() {
            guard i < segments.count else { return .never }
            if segments[i] == "*" { return .sometimes }
            if PathSyntax.templateName(segments[i]) != nil {
                relation = .sometimes
            } else if segments[i] != wanted {
                return .never
            }
        }
        return relation
    }

    /// A scalar as it was written.
    private func shown(_ node: Node) -> String {
        guard case .scalar(let text, _) = node.content else { return "" }
        return DisplayText.of(text)
    }

    /// What a scalar says, `${…}` carried out; nil where that fails, which is reported when the value is checked.
    private func text(_ node: Node) -> String? {
        guard case .scalar(let text, _) = node.content else { return nil }
        let expansion = Expansion(text, allowingVariables: false, environment: validator.environment)
        return expansion.problem.isEmpty ? expansion.text : nil
    }
}
