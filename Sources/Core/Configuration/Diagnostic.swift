/// One thing that is wrong with a configuration, or that its author should know.
public struct Diagnostic: Sendable, Equatable, CustomStringConvertible {
    public enum Severity: String, Sendable, Equatable {
        /// Nothing of the file is applied.
        case error
        /// The file is applied.
        case warning
    }

    public var severity: Severity
    public var mark: Mark
    /// The key that is meant: `routes[3].match.path`; empty for the file as a whole.
    public var path: String
    /// A sentence without a full stop.
    public var message: String
    /// What was probably meant; empty when nothing comes close.
    public var suggestion: String

    public init(_ severity: Severity, mark: Mark, path: String, message: String, suggestion: String = "") {
        self.severity = severity
        self.mark = mark
        self.path = path
        self.message = message
        self.suggestion = suggestion
    }

    /// `gateway.yaml:12:5: error: routes[3].match: unknown key "paht" (did you mean "path"?)`
    public var description: String {
        let place = path.isEmpty ? "" : "\(path): "
        let hint = suggestion.isEmpty ? "" : " (did you mean \"\(suggestion)\"?)"
        return "\(mark): \(severity.rawValue): \(place)\(message)\(hint)"
    }
}
