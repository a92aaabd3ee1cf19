import Primitives

/// Values of the configuration that may be secrets, by the name of the field or parameter that holds them.
enum MaskedValue {
    static func of(_ value: String, named name: String) -> String { isSecret(name) ? SecretNames.mask : value }

    /// A harmless value that is masked costs less than a secret that is not.
    static func isSecret(_ name: String) -> Bool { SecretNames.holdsWord(name) }
}
