import Configuration
import Primitives

/// What is wrong with a configuration, as `POST /config/validate` says it.
public enum ProblemReport {
    private static func json(_ problem: Diagnostic) -> JSONValue {
        .object([
            ("severity", .string(problem.severity.rawValue)), ("file", .string(problem.mark.file)),
            ("line", .number(problem.mark.line)), ("column", .number(problem.mark.column)), ("path", .string(problem.path)),
            ("message", .string(problem.message)),
            ("hint", problem.suggestion.isEmpty ? .null : .string(problem.suggestion)),
        ])
    }

    static func list(_ problems: [Diagnostic]) -> JSONValue { .array(problems.map(json)) }

    public static func make(_ problems: [Diagnostic]) -> Report {
        let isValid = !problems.contains { $0.severity == .error }
        let json = JSONValue.object([("valid", .bool(isValid)), ("problems", list(problems))])
        return Report(json: json, text: Report.lines(problems.map { "\($0)" } + (isValid ? ["ok"] : [])))
    }
}
