import Primitives
import Telemetry

/// Values of the configuration that may be secrets, by the name of the field or parameter that holds them.
enum MaskedValue {
    static func of(_ value: String, named name: String) -> String { isSecret(name) ? "***" : value }

    /// A harmless value that is masked costs less than a secret that is not.
    static func isSecret(_ name: String) -> Bool {
        let bytes = name.utf8.map(ASCII.lowercased)
        let text = String(decoding: bytes, as: UTF8.self)
        return ["auth", "cookie", "cred", "bearer"].contains { text.contains($0) } || SecretNames.matches(bytes.span.bytes)
    }
}
