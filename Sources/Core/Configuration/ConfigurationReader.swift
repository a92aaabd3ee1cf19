/// Turns a tree of nodes into a configuration, or into everything that is wrong with it.
public enum ConfigurationReader {
    /// - Parameters:
    ///   - root: The file, or nil when its text could not be read; `earlier` then says why.
    ///   - file: How the file is called in diagnostics.
    ///   - earlier: What the reader of the text has found already.
    public static func read(
        _ root: Node?, file: String, source: some SecretSource, earlier: [Diagnostic] = []
    ) -> LoadResult {
        var list = DiagnosticList()
        for diagnostic in earlier { list.append(diagnostic) }
        guard let root else {
            return LoadResult(configuration: nil, diagnostics: list.sorted(), filesRead: [file], places: .init())
        }
        var validator = Validator(diagnostics: list, source: source)
        let value = validator.validate(root, as: .object(Schema.root), at: .root)
        var builder = Builder(diagnostics: validator.diagnostics)
        builder.build(value)
        return LoadResult(
            configuration: builder.diagnostics.hasErrors ? nil : builder.configuration,
            diagnostics: builder.diagnostics.sorted(), filesRead: [file] + validator.filesRead, places: builder.places)
    }
}
