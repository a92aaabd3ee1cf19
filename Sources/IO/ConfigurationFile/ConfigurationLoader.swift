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

    /// Checks bytes that somebody has sent. Neither the process's environment nor the disk is read, since what a check says of them
    /// would tell them: a value with `${NAME}` is accepted whatever it may be, and a secret's file counts as there.
    public static func load(posted bytes: [UInt8], name: String) -> LoadResult {
        load(bytes, name: name, source: OpaqueSecretSource())
    }

    private static func load(_ bytes: [UInt8], name: String, source: some SecretSource) -> LoadResult {
        let (root, diagnostics) = YAMLReader.read(bytes, file: name)
        return ConfigurationReader.read(root, file: name, bytes: bytes, source: source, earlier: diagnostics)
    }

    /// What the file at `path` says of the admin listener, whatever else is wrong with it.
    public static func adminSettings(path: String) -> AdminSettings {
        do {
            let file = try FileReader.read(path, maximum: YAMLReader.bytesMaximum)
            let (root, isWhole, diagnostics) = YAMLReader.readBeginning(file.bytes, file: path)
            return AdminSettings(
                reading: root, isWhole: isWhole, file: path, faults: diagnostics, source: SystemSecretSource(table: nil))
        } catch {
            let failure = Diagnostic(.error, mark: Mark(file: path), path: "", message: "cannot read the file: \(error.reason)")
            return AdminSettings(
                reading: nil, isWhole: false, file: path, faults: [failure], source: SystemSecretSource(table: nil))
        }
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
