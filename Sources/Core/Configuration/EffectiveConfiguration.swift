import Primitives

/// Every value that is in force, given or default, with where it comes from. Secrets are masked.
///
/// A source is `sluice.yaml:3:14`, followed by the variables that `${…}` read there; `environment NAME`; `older name workers at
/// sluice.yaml:1:1`; or `default`. Blocks that are not written, and switch something on, are left out.
public struct EffectiveConfiguration: Sendable {
    let root: EffectiveValue

    /// - Parameter derived: `Builder.derived`.
    init(tree: Node, older: [String: String], derived: [String: String], source: some SecretSource) {
        root = EffectiveWalk(older: older, derived: derived, source: source).whole(tree)
    }

    /// A file that loads to the same configuration once its secrets are put back, with the source behind each value.
    public func yaml() -> String { EffectiveText.yaml(root) }

    /// `{"configuration": {…}, "sources": {"server.workers": "default"}}`
    public func json() -> JSONValue {
        var sources: [(String, JSONValue)] = []
        EffectiveConfiguration.collect(root, .root, &sources)
        return .object([("configuration", root.json), ("sources", .object(sources))])
    }

    private static func collect(_ value: EffectiveValue, _ trail: KeyTrail, _ sources: inout [(String, JSONValue)]) {
        switch value {
        case .scalar(_, _, let source), .scalars(_, let source):
            sources.append((trail.text, .string(source)))
        case .list(let elements):
            for (i, element) in elements.enumerated() { collect(element, trail.appending(i), &sources) }
        case .mapping(let members):
            for (key, member) in members { collect(member, trail.appending(key), &sources) }
        }
    }
}

/// A value in force.
indirect enum EffectiveValue: Sendable {
    case scalar(String, EffectiveKind, source: String)
    /// A list of single values, written in one line.
    case scalars([(String, EffectiveKind)], source: String)
    case list([EffectiveValue])
    case mapping([(String, EffectiveValue)])

    var json: JSONValue {
        switch self {
        case .scalar(let text, let kind, _): kind.json(text)
        case .scalars(let elements, _): .array(elements.map { $0.1.json($0.0) })
        case .list(let elements): .array(elements.map(\.json))
        case .mapping(let members): .object(members.map { ($0.0, $0.1.json) })
        }
    }
}

/// How a single value is written in JSON.
enum EffectiveKind: Sendable {
    case text
    /// A number or a truth where the text is one, which is how YAML reads it.
    case bare

    init(_ kind: ScalarKind) {
        switch kind {
        case .truth, .onlyTrue, .integer, .countOrAuto, .word, .wordOrInteger, .duration, .size: self = .bare
        default: self = .text
        }
    }

    func json(_ text: String) -> JSONValue {
        switch self {
        case .text: .string(text)
        case .bare:
            switch text.lowercased() {
            case "true": .bool(true)
            case "false": .bool(false)
            default: ScalarKind.wholeNumber(text).map { .number($0) } ?? .string(text)
            }
        }
    }
}
