import Primitives

/// Single values: `${…}`, values with variables, secrets.
extension Validator {
    func environment(_ name: String) -> String? { source.environment(name) }

    mutating func read(_ text: String, as kind: ScalarKind, _ mark: Mark, _ trail: KeyTrail) -> Value.Content {
        let expansion = Expansion(text, allowingVariables: kind.hasVariables, environment: environment)
        guard expansion.problem.isEmpty else {
            diagnostics.error(mark, trail, expansion.problem, suggestion: expansion.suggestion)
            return .invalid
        }
        if kind.hasVariables { return readTemplate(expansion, kind, mark, trail) }
        if case .secret = kind { return readSecret(expansion.text, mark, trail) }
        if case .option = kind { return readOption(expansion.text, mark, trail) }
        switch kind.read(expansion.text) {
        case .value(let content):
            return content
        case .problem(let message, let suggestion):
            diagnostics.error(mark, trail, message, suggestion: suggestion)
            return .invalid
        }
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
    private mutating func readOption(_ text: String, _ mark: Mark, _ trail: KeyTrail) -> Value.Content {
        guard text.hasPrefix("file:") || text.hasPrefix("cred:") else {
            if case .problem(let message, _) = ScalarKind.text(maximum: 64 << 10, lines: true).read(text) {
                diagnostics.error(mark, trail, message)
                return .invalid
            }
            return .text(text)
        }
        let content = readSecret(text, mark, trail)
        guard case .secret(let secret) = content else { return content }
        guard let value = String(validating: secret.bytes, as: UTF8.self) else {
            diagnostics.error(mark, trail, "the file is not UTF-8")
            return .invalid
        }
        return .text(value)
    }

    /// The value itself, or the content of a file without the line break at its end.
    private mutating func readSecret(_ text: String, _ mark: Mark, _ trail: KeyTrail) -> Value.Content {
        let path: String
        if text.hasPrefix("file:") {
            path = String(text.dropFirst(5))
        } else if text.hasPrefix("cred:") {
            guard let directory = environment("CREDENTIALS_DIRECTORY"), !text.utf8.contains(ASCII.slash) else {
                diagnostics.error(
                    mark, trail, "cred: needs a name without / and a unit with LoadCredential= (CREDENTIALS_DIRECTORY)")
                return .invalid
            }
            path = directory + "/" + text.dropFirst(5)
        } else {
            if text == SecretWords.mask {
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
        if !filesRead.contains(path) { filesRead.append(path) }
        switch source.file(path) {
        case .failure(let failure):
            diagnostics.error(mark, trail, "cannot read \(DisplayText.of(path)): \(failure.reason)")
            return .invalid
        case .success(let file):
            var bytes = file.bytes
            while let last = bytes.last, last == ASCII.lf || last == ASCII.cr { bytes.removeLast() }
            guard !bytes.isEmpty else {
                diagnostics.error(mark, trail, "\(DisplayText.of(path)) is empty")
                return .invalid
            }
            if file.isLoose {
                diagnostics.warning(
                    mark, trail, "\(DisplayText.of(path)) can be read by others; its mode should be 0640 or stricter")
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
