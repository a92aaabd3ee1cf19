/// Why a text is no path pattern.
public enum PathPatternError: Error, Hashable, Sendable, CustomStringConvertible {
    case noLeadingSlash, tooLong, asterisk, query, partialParameter
    case parameterName(String)
    case duplicateParameter(String)
    /// With the form to write instead.
    case notCanonical(String)
    case refused(TargetFault)

    public var description: String {
        switch self {
        case .noLeadingSlash: "does not begin with a slash"
        case .tooLong: "is longer than 8192 bytes or \(PathPattern.segmentsMax) segments"
        case .asterisk: "holds an asterisk elsewhere than in a closing `/*`"
        case .query: "holds a `?` or `#`; a query is matched under `query`"
        case .partialParameter: "holds a brace in a segment that is not `{name}` as a whole"
        case .parameterName(let name): "holds `{\(name)}`, whose name is not letters, digits and `_`, beginning with no digit"
        case .duplicateParameter(let name): "holds `{\(name)}` twice"
        case .notCanonical(let form): "is not in the form in which paths are matched; write `\(form)`"
        case .refused(let fault): "can never match: \(fault.message)"
        }
    }
}
