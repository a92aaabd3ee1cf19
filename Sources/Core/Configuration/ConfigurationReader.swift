/// Turns a tree of nodes into a configuration, or into everything that is wrong with it.
public enum ConfigurationReader {
    /// - Parameters:
    ///   - root: The file, or nil when its text could not be read; `earlier` then says why.
    ///   - file: How the file is called in diagnostics.
    ///   - bytes: The text of the file, for `LoadResult.origin`.
    ///   - earlier: What the reader of the text has found already.
    public static func read(
        _ root: Node?, file: String, bytes: [UInt8] = [], source: some SecretSource, earlier: [Diagnostic] = []
    ) -> LoadResult {
        var list = DiagnosticList()
        for diagnostic in earlier { list.append(diagnostic) }
        guard let root else {
            return LoadResult(configuration: nil, diagnostics: list.sorted(), filesRead: [file], places: .init())
        }
        let recorder = RecordingSource(source)
        var older = OlderNames(Validator(diagnostics: list, source: recorder))
        let tree = older.apply(to: root)
        var validator = older.validator
        let value = validator.validate(tree, as: .object(Schema.root), at: .root)
        var builder = Builder(diagnostics: validator.diagnostics, knowsAll: validator.unknown == nil)
        builder.build(value)
        if let unknown = validator.unknown {
            builder.diagnostics.warning(
                unknown.mark, unknown.trail,
                (unknown.count == 1 ? "a value comes" : "\(unknown.count) values come")
                    + " from the environment or a file, which are not read here; what depends on it is not checked")
        }
        var result = LoadResult(
            configuration: builder.diagnostics.hasErrors || validator.unknown != nil ? nil : builder.configuration,
            diagnostics: builder.diagnostics.sorted(), filesRead: [file] + validator.filesRead, places: builder.places)
        result.origin = ConfigurationOrigin(file: file, bytes: bytes, environment: recorder.values)
        return result
    }

    /// What is in force, told from the same tree and the variables that were read with it.
    public static func effective(_ root: Node, file: String, source: some SecretSource) -> EffectiveConfiguration {
        var older = OlderNames(Validator(diagnostics: DiagnosticList(), source: source))
        let tree = older.apply(to: root)
        var validator = Validator(diagnostics: DiagnosticList(), source: WithoutFiles(inner: source))
        let value = validator.validate(tree, as: .object(Schema.root), at: .root)
        var builder = Builder(diagnostics: DiagnosticList(), knowsAll: false, derives: true)
        builder.build(value)
        return EffectiveConfiguration(tree: tree, older: older.places, derived: builder.derived, source: source)
    }
}

/// The same environment, and no files: what is in force does not depend on what a secret says.
private struct WithoutFiles<Source: SecretSource>: SecretSource {
    let inner: Source

    var environmentNames: [String] { inner.environmentNames }

    func environment(_ name: String) -> String? { inner.environment(name) }
    func file(_ path: String) -> Result<SecretFile, SecretFileFailure> { .failure(SecretFileFailure(reason: "not read here")) }
}
