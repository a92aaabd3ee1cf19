/// What a configuration was made from, kept so that what is in force can be told later: a tree of nodes would be many times larger.
public struct ConfigurationOrigin: Sendable, Equatable {
    /// How the file is called in diagnostics.
    public var file: String
    public var bytes: [UInt8]
    /// The environment variables that were asked for and are set. Secrets may be among them.
    public var environment: [String: String]

    public init(file: String, bytes: [UInt8], environment: [String: String]) {
        self.file = file
        self.bytes = bytes
        self.environment = environment
    }
}
