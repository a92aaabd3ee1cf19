/// Notes which environment variables are asked for, and what they say.
final class RecordingSource: SecretSource {
    private let base: any SecretSource
    private(set) var values: [String: String] = [:]

    init(_ base: any SecretSource) { self.base = base }

    var isOpaque: Bool { base.isOpaque }
    var environmentNames: [String] { base.environmentNames }

    func environment(_ name: String) -> String? {
        let value = base.environment(name)
        if let value { values[name] = value }
        return value
    }

    func file(_ path: String) -> Result<SecretFile, SecretFileFailure> { base.file(path) }
}
