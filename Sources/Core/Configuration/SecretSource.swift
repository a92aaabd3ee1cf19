/// What a configuration takes from outside its file. The daemon reads the environment and the disk; a test hands in a table.
public protocol SecretSource {
    /// The value of an environment variable, nil when it is not set.
    func environment(_ name: String) -> String?
    /// The names of all variables that are set, in no order.
    var environmentNames: [String] { get }
    /// The content of a file.
    func file(_ path: String) -> Result<SecretFile, SecretFileFailure>
    /// Whether what is outside the file is not to be known: the text was sent by somebody who must not learn it. No variable has a
    /// value then, nor is it said to have none, and `file` is a placeholder.
    var isOpaque: Bool { get }
}

extension SecretSource {
    public var isOpaque: Bool { false }
}

public struct SecretFile: Sendable {
    public var bytes: [UInt8]
    /// Whether its mode lets others than its owner and group read it, or its group write it: looser than 0640.
    public var isLoose: Bool

    public init(bytes: [UInt8], isLoose: Bool) {
        self.bytes = bytes
        self.isLoose = isLoose
    }
}

/// Why a file could not be read, in the words of the system: `No such file or directory`.
public struct SecretFileFailure: Error, Sendable {
    public var reason: String

    public init(reason: String) { self.reason = reason }
}
