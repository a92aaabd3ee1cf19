import Primitives

/// Which names belong to secrets: fields, parameters, environment variables.
///
/// A name that holds one of the words anywhere counts: a harmless value that is masked costs less than a secret that is not.
enum SecretWords {
    /// What stands in the place of a secret.
    static var mask: String { "***" }

    static func matches(_ name: String) -> Bool {
        let lower = Array(name.utf8.map(ASCII.lowercased))
        return words.contains { word in
            let word = Array(word.utf8)
            guard lower.count >= word.count else { return false }
            return (0...(lower.count - word.count)).contains { lower[$0..<($0 + word.count)].elementsEqual(word) }
        }
    }

    private static var words: [String] {
        [
            "auth", "token", "secret", "key", "passw", "passphrase", "pwd", "credential", "cookie", "session", "sig", "jwt",
            "saml",
            "assertion",
        ]
    }
}
