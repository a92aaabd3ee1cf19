import Configuration

/// Reads a configuration file and everything that it names.
public enum ConfigurationLoader {
    /// Reads the file at `path`, the secrets that it names, and the process environment.
    public static func load(path: String) -> LoadResult {
        let source = SystemSecretSource(table: nil)
        do {
            let file = try FileReader.read(path, maximum: YAMLReader.bytesMaximum)
            return load(file.bytes, name: path, source: source)
        } catch {
            let failure = Diagnostic(.error, mark: Mark(file: path), path: "", message: "cannot read the file: \(error.reason)")
            return ConfigurationReader.read(nil, file: path, source: source, earlier: [failure])
        }
    }

    /// Reads `text` as though it were the file `name`; secrets still come from files.
    public static func load(text: String, name: String, environment: [String: String]) -> LoadResult {
        load(bytes: Array(text.utf8), name: name, environment: environment)
    }

    /// Reads bytes of any kind as though they were the file `name`.
    public static func load(bytes: [UInt8], name: String, environment: [String: String]) -> LoadResult {
        load(bytes, name: name, source: SystemSecretSource(table: environment))
    }

    /// Reads bytes that somebody has sent, with the process's own environment.
    public static func load(posted bytes: [UInt8], name: String) -> LoadResult {
        load(bytes, name: name, source: SystemSecretSource(table: nil))
    }

    private static func load(_ bytes: [UInt8], name: String, source: SystemSecretSource) -> LoadResult {
        let (root, diagnostics) = YAMLReader.read(bytes, file: name)
        return ConfigurationReader.read(root, file: name, bytes: bytes, source: source, earlier: diagnostics)
    }

    /// Every value that is in force, and where it comes from. The file and the environment are those of the load, not of now.
    public static func effective(_ origin: ConfigurationOrigin) -> EffectiveConfiguration {
        let (root, _) = YAMLReader.read(origin.bytes, file: origin.file)
        let source = SystemSecretSource(table: origin.environment)
        let start = Mark(file: origin.file, line: 1, column: 1)
        let tree = root ?? Node(mark: start, content: .mapping([]))
        return ConfigurationReader.effective(tree, file: origin.file, source: source)
    }
}
