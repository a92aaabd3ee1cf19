import Configuration
import Glibc

/// Secrets from the disk, and variables from the process environment or a table in its place.
struct SystemSecretSource: SecretSource {
    /// Stands in for the process environment when there is one.
    var table: [String: String]?

    /// A secret is a key or a password; a certificate bundle is the longest that makes sense.
    static var bytesMaximum: Int { 1 << 20 }

    func environment(_ name: String) -> String? {
        if let table { return table[name] }
        return getenv(name).map { String(cString: $0) }
    }

    var environmentNames: [String] {
        if let table { return Array(table.keys) }
        var names: [String] = []
        // Only our own threads could change it, and none does.
        var entry = environ
        while let text = entry.pointee {
            names.append(String(String(cString: text).prefix { $0 != "=" }))
            entry += 1
        }
        return names
    }

    func file(_ path: String) -> Result<SecretFile, SecretFileFailure> {
        do {
            let file = try FileReader.read(path, maximum: SystemSecretSource.bytesMaximum)
            return .success(SecretFile(bytes: file.bytes, isLoose: file.mode & 0o026 != 0))
        } catch {
            return .failure(SecretFileFailure(reason: error.reason))
        }
    }
}
