import Primitives

/// Checks a tree of nodes against the schema: known keys, right types, values in range, `${…}` and secrets read. It goes on
/// after a mistake, so that one run finds all of them.
struct Validator {
    var diagnostics: DiagnosticList
    var source: any SecretSource
    /// The secrets that were read.
    var filesRead: [String] = []
    /// The first value that depends on what an opaque source does not tell, and how many there are.
    var unknown: (mark: Mark, trail: KeyTrail, count: Int)?

    init(diagnostics: DiagnosticList, source: any SecretSource) {
        self.diagnostics = diagnostics
        self.source = source
    }

    /// - Parameter isOff: Whether a block around the node is switched off, so that it asks for no feature.
    mutating func validate(_ node: Node, as shape: Shape, at trail: KeyTrail, isOff: Bool = false) -> Value {
        func invalid() -> Value { Value(mark: node.mark, trail: trail, content: .invalid) }
        if node.isNull {
            diagnostics.error(node.mark, trail, "has no value; expected \(shape.kindText)")
            return invalid()
        }
        switch (shape, node.content) {
        case (.scalar(let kind), .scalar(let text, _)):
            return read(text, as: kind, node.mark, trail)
        case (.list(let element, _, let count), .sequence(let nodes)):
            guard count.contains(nodes.count) else {
                diagnostics.error(node.mark, trail, Validator.wrong(count, nodes.count))
                return invalid()
            }
            var values: [Value] = []
            values.reserveCapacity(nodes.count)
            for (i, child) in nodes.enumerated() {
                values.append(validate(child, as: element, at: trail.appending(i), isOff: isOff))
            }
            return Value(mark: node.mark, trail: trail, content: .list(values))
        case (.list(let element, true, _), _) where element.accepts(node.content):
            return validate(node, as: element, at: trail, isOff: isOff)
        case (.either(let shapes), _):
            if let first = shapes.first(where: { $0.accepts(node.content) }) {
                return validate(node, as: first, at: trail, isOff: isOff)
            }
        case (.object(let object), .mapping(let entries)):
            return validate(entries, of: node, as: object, at: trail, isOff: isOff)
        case (.map(let rule, let element, let maximum), .mapping(let entries)):
            return validate(entries, of: node, rule, element, maximum, at: trail, isOff: isOff)
        default:
            break
        }
        diagnostics.error(node.mark, trail, "expected \(shape.kindText), not \(node.kindText)")
        return invalid()
    }

    private static func wrong(_ count: ClosedRange<Int>, _ given: Int) -> String {
        if given < count.lowerBound {
            return "needs at least \(count.lowerBound == 1 ? "one entry" : "\(count.lowerBound) entries")"
        }
        return "has \(given) entries, which is more than \(count.upperBound)"
    }

    private mutating func validate(
        _ entries: [Node.Entry], of node: Node, as object: ObjectShape, at trail: KeyTrail, isOff: Bool
    ) -> Value {
        var enabled = true
        var knowsEnabled = true
        if object.canBeDisabled, let entry = entries.first(where: { $0.key == "enabled" }),
            case .scalar(let text, _) = entry.value.content
        {
            let expansion = Expansion(text, allowingVariables: false, environment: environment)
            knowsEnabled = !(source.isOpaque && expansion.namesEnvironment)
            if case .value(.truth(false)) = ScalarKind.truth.read(expansion.text) { enabled = false }
            if !knowsEnabled { enabled = false }
        }
        var result: [Value.Entry] = []
        /// Keys that the author probably meant to write: their absence is not reported a second time.
        var meant: Set<String> = []
        for entry in entries {
            let below = trail.appending(entry.key)
            guard let key = object.key(entry.key) else {
                let near = Suggestion.nearest(to: entry.key, among: object.keys.map(\.name))
                meant.insert(near)
                diagnostics.error(
                    entry.keyMark, below, near.isEmpty ? Validator.unknown(object) : "unknown key", suggestion: near)
                continue
            }
            let value = validate(entry.value, as: key.shape, at: below, isOff: isOff || !enabled)
            if !isOff, enabled { checkAvailability(key, entry, value) }
            result.append(Value.Entry(key: entry.key, keyMark: entry.keyMark, value: value))
        }
        for key in object.keys
        where key.isRequired && !meant.contains(key.name) && !entries.contains(where: { $0.key == key.name }) {
            diagnostics.error(node.mark, trail, "the key \"\(key.name)\" is missing")
        }
        checkChoice(object, entries, node, trail, meant)
        if enabled, !object.anyOf.isEmpty, meant.isDisjoint(with: object.anyOf),
            !entries.contains(where: { object.anyOf.contains($0.key) })
        {
            diagnostics.error(node.mark, trail, "one of \(ScalarKind.choice(object.anyOf)) is needed")
        }
        guard knowsEnabled else { return Value(mark: node.mark, trail: trail, content: .invalid) }
        return Value(mark: node.mark, trail: trail, content: .object(result, enabled: enabled))
    }

    private static func unknown(_ object: ObjectShape) -> String {
        "unknown key; known here: " + object.keys.map(\.name).joined(separator: ", ")
    }

    private mutating func checkAvailability(_ key: Key, _ entry: Node.Entry, _ value: Value) {
        guard value.isEnabled else { return }
        if case .list(let elements) = value.content, elements.isEmpty { return }
        switch key.availability {
        case .built, .judgedByBuilder: break
        case .withoutEffect: diagnostics.withoutEffect(key.name, entry.keyMark, value.trail)
        case .refused(let reason): diagnostics.error(entry.keyMark, value.trail, reason)
        }
    }

    private mutating func checkChoice(
        _ object: ObjectShape, _ entries: [Node.Entry], _ node: Node, _ trail: KeyTrail, _ meant: Set<String>
    ) {
        guard !object.exactlyOneOf.isEmpty else { return }
        let chosen = entries.filter { object.exactlyOneOf.contains($0.key) }
        if let first = chosen.first {
            for other in chosen.dropFirst() {
                diagnostics.error(
                    other.keyMark, trail.appending(other.key),
                    "cannot stand beside \"\(first.key)\"; exactly one of \(ScalarKind.choice(object.exactlyOneOf)) is needed")
            }
        } else if meant.isDisjoint(with: object.exactlyOneOf) {
            diagnostics.error(node.mark, trail, "exactly one of \(ScalarKind.choice(object.exactlyOneOf)) is needed")
        }
    }

    private mutating func validate(
        _ entries: [Node.Entry], of node: Node, _ rule: KeyRule, _ element: Shape, _ maximum: Int, at trail: KeyTrail, isOff: Bool
    ) -> Value {
        if entries.count > maximum {
            diagnostics.error(node.mark, trail, Validator.wrong(0...maximum, entries.count))
            return Value(mark: node.mark, trail: trail, content: .invalid)
        }
        var result: [Value.Entry] = []
        result.reserveCapacity(entries.count)
        var seen: Set<String> = []
        for entry in entries {
            let below = trail.appending(entry.key)
            if case .problem(let message, let suggestion) = Validator.check(entry.key, rule) {
                diagnostics.error(entry.keyMark, below, message, suggestion: suggestion)
            } else if Validator.ignoresCase(rule), !seen.insert(entry.key.lowercased()).inserted {
                diagnostics.error(entry.keyMark, below, "stands twice; header names do not depend on case")
            }
            let value = validate(entry.value, as: element, at: below, isOff: isOff)
            result.append(Value.Entry(key: entry.key, keyMark: entry.keyMark, value: value))
        }
        return Value(mark: node.mark, trail: trail, content: .object(result, enabled: true))
    }

    private static func ignoresCase(_ rule: KeyRule) -> Bool {
        switch rule {
        case .fieldName, .changeableFieldName: true
        case .name, .parameter: false
        }
    }

    private static func check(_ key: String, _ rule: KeyRule) -> ScalarReading {
        switch rule {
        case .name:
            return ScalarKind.isName(key)
                ? .value(.text(key)) : .problem("a name has 1 to 128 letters, digits and _ . - : / @")
        case .fieldName:
            return ScalarKind.isToken(key, maximum: 256)
                ? .value(.text(key)) : .problem("\"\(DisplayText.of(key))\" is not a header name")
        case .changeableFieldName(let side):
            return ScalarKind.fieldName(side).read(key)
        case .parameter:
            let isFine = (1...256).contains(key.utf8.count) && key.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
            return isFine ? .value(.text(key)) : .problem("a parameter's name has 1 to 256 bytes and no control characters")
        }
    }
}
