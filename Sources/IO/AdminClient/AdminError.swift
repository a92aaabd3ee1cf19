/// Why there is no answer of a daemon, in lines for people that say what to do.
public struct AdminError: Error, Equatable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// What was given on the command line or in the environment is no address.
        case usage
        /// The file of the configuration or of the token does not say whom to ask or what to show.
        case configuration
        /// Nobody takes the connection.
        case unreachable
        /// The connection cannot be encrypted as the configuration or the command line says.
        case encryption
        case noAnswer
    }

    public let kind: Kind
    public let lines: [String]

    public init(_ kind: Kind, _ line: String) { self.init(kind, [line]) }

    public init(_ kind: Kind, _ lines: [String]) {
        self.kind = kind
        self.lines = lines
    }

    public var description: String { lines.joined(separator: "\n") }
}
