import Primitives

/// Single values: `${…}`, values with variables, secrets.
extension Validator {
    /// An opaque source has no value, and is not asked whether it has.
    func environment(_ name: String) -> String? { source.isOpaque ? "" : source.environment(name) }

    mutating func read(_ text: String, as kind: ScalarKind, _ mark: Mark, _ trail: KeyTrail) -> Value {
        let expansion = Expansion(text, allowingVariables: kind.hasVariables, environment: environment)
        var value = Value(mark: mark, trail: trail, content: .invalid)
        guard expansion.problem.isEmpty else {
            diagnostics.error(mark, trail, expansion.problem, suggestion: expansion.suggestion)
            return value
        }
        if source.isOpaque, expansion.namesEnvironment {
            noteUnknown(mark, trail)
            return value
        }
        if let name = mark.environmentName {
            value.written = "${\(name)}"
        } else if expansion.holdsEnvironment {
            value.written = text
        }
        if kind.hasVariables {
            value.content = readTemplate(expansion, kind, mark, trail)
        } else if case .secret = kind {
            value.content = readSecret(expansion.text, value, mark, trail)
        } else if case .option = kind {
            readOption(expansion.text, written: text, &value)
        } else {
            switch kind.read(expansion.text) {
            case .value(let content): value.content = content
            case .problem(let message, let suggestion):
                if let written = value.written {
                    // The message might quote a secret, and what is meant might be its beginning.
                    diagnostics.error(mark, trail, "expected \(kind.expected), which \"\(DisplayText.of(written))\" is not")
                } else {
                    diagnostics.error(mark, trail, message, suggestion: suggestion)
                }
            }
        }
        return value
    }

    private mutating func noteUnknown(_ mark: Mark, _ trail: KeyTrail) {
        unknown = (unknown?.mark ?? mark, unknown?.trail ?? trail, (unknown?.count ?? 0) + 1)
    }

    private mutating func readTemplate(
        _ expansion: Expansion, _ kind: ScalarKind, _ mark: Mark, _ trail: KeyTrail
    ) -> Value.Content {
        var pieces: [HeaderValuePiece] = []
        for piece in expansion.pieces {
            switch piece {
            case .variable(let variable):
                pieces.append(.variable(variable))
            case .literal(let text):
                if case .problem(let message, _) = kind.read(text) {
                    diagnostics.error(mark, trail, message)
                    return .invalid
                }
                if !text.isEmpty { pieces.append(.literal(Array(text.utf8))) }
            }
        }
        if case .location = kind, let problem = RedirectSyntax.problem(pieces) {
            diagnostics.error(mark, trail, problem)
            return .invalid
        }
        return .template(pieces)
    }

    /// Text as it is, or the content of a secret's file.
    private mutating func readOption(_ text: String, written: String, _ value: inout Value) {
        guard text.hasPrefix("file:") || text.hasPrefix("cred:") else {
            if case .problem(let message, _) = ScalarKind.text(maximum: 64 << 10, lines: true).read(text) {
                diagnostics.error(value.mark, value.trail, message)
            } else {
                value.content = .text(text)
            }
            return
        }
        guard case .secret(let secret) = readSecret(text, value, value.mark, value.trail) else { return }
        if source.isOpaque { return noteUnknown(value.mark, value.trail) }
        value.written = written
        if let text = String(validating: secret.bytes, as: UTF8.self) {
            value.content = .text(text)
        } else {
            diagnostics.error(value.mark, value.trail, "the file is not UTF-8")
        }
    }

    /// The value itself, or the content of a file without the line break at its end.
    private mutating func readSecret(_ text: String, _ value: Value, _ mark: Mark, _ trail: KeyTrail) -> Value.Content {
        let path: String
        var shown = value.shown(String(text.dropFirst(5)))
        if text.hasPrefix("file:") {
            path = String(text.dropFirst(5))
        } else if text.hasPrefix("cred:") {
            let directory = source.isOpaque ? "/" : source.environment("CREDENTIALS_DIRECTORY")
            guard let directory, !text.utf8.contains(ASCII.slash) else {
                diagnostics.error(
                    mark, trail, "cred: needs a name without / and a unit with LoadCredential= (CREDENTIALS_DIRECTORY)")
                return .invalid
            }
            path = directory + "/" + text.dropFirst(5)
            if value.written == nil { shown = DisplayText.of(text) }
        } else {
            if text == SecretNames.mask {
                diagnostics.error(mark, trail, "*** stands for a secret that was not shown; write the secret itself")
                return .invalid
            }
            if text.isEmpty { diagnostics.error(mark, trail, "is empty") }
            return text.isEmpty ? .invalid : .secret(Secret(Array(text.utf8)))
        }
        guard path.hasPrefix("/"), !path.utf8.contains(0) else {
            diagnostics.error(mark, trail, "file: needs an absolute path")
            return .invalid
        }
        if !source.isOpaque, !filesRead.contains(path) { filesRead.append(path) }
        switch source.file(path) {
        case .failure(let failure):
            diagnostics.error(mark, trail, "cannot read \(shown): \(failure.reason)")
            return .invalid
        case .success(let file):
            var bytes = file.bytes
            while let last = bytes.last, last == ASCII.lf || last == ASCII.cr { bytes.removeLast() }
            guard !bytes.isEmpty else {
                diagnostics.error(mark, trail, "\(shown) is empty")
                return .invalid
            }
            if file.isLoose {
                diagnostics.warning(
                    mark, trail, "\(shown) can be read by others; its mode should be 0640 or stricter")
            }
            return .secret(Secret(bytes))
        }
    }
}

extension ScalarKind {
    /// Whether `${…}` of the request may stand in it.
    var hasVariables: Bool {
        switch self {
        case .fieldValue, .location: true
        default: false
        }
    }
}
