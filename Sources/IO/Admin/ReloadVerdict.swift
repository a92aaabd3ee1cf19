import Configuration
import Primitives

/// What came of a reload.
public struct ReloadVerdict: Sendable {
    public enum Result: String, Sendable {
        case applied, unchanged, refused
    }

    public var result: Result
    /// Of the configuration that is in force now.
    public var generation: Int
    public var changes: [ConfigurationChange]
    public var warnings: [Diagnostic]
    /// What is wrong, where it was refused; warnings among them.
    public var problems: [Diagnostic]

    public init(
        result: Result, generation: Int, changes: [ConfigurationChange] = [], warnings: [Diagnostic] = [],
        problems: [Diagnostic] = []
    ) {
        self.result = result
        self.generation = generation
        self.changes = changes
        self.warnings = warnings
        self.problems = problems
    }

    /// More changes than these are only counted in the log.
    private static var summaryMax: Int { 10 }

    /// The changes in one line.
    public var summary: String {
        let shown = changes.prefix(Self.summaryMax).map { "\($0)" }.joined(separator: "; ")
        return changes.count > Self.summaryMax ? "\(shown); and \(changes.count - Self.summaryMax) more" : shown
    }

    /// One sentence.
    public var message: String {
        switch result {
        case .applied: "generation \(generation) serves"
        case .unchanged: "nothing changed; generation \(generation) goes on serving"
        case .refused: "the configuration was refused; generation \(generation) goes on serving"
        }
    }

    public var report: Report {
        var members: [(String, JSONValue)] = [("result", .string(result.rawValue)), ("generation", .number(generation))]
        var lines: [String] = []
        switch result {
        case .applied, .unchanged:
            members.append(("changes", .array(changes.map(Self.json))))
            members.append(("warnings", .array(warnings.map { .string("\($0)") })))
            lines = warnings.map { "\($0)" } + changes.map { "\($0)" } + [message]
        case .refused:
            members.append(("problems", .array(problems.map(ProblemReport.json))))
            lines = problems.map { "\($0)" } + [message]
        }
        return Report(json: .object(members), text: Report.lines(lines))
    }

    private static func json(_ change: ConfigurationChange) -> JSONValue {
        .object([
            ("change", .string(change.kind.rawValue)), ("path", .string(change.path)),
            ("from", change.from.map { .string($0) } ?? .null), ("to", change.to.map { .string($0) } ?? .null),
        ])
    }
}

extension Report {
    /// Lines for people, each with its end.
    public static func lines(_ lines: [String]) -> String { lines.map { TerminalText.of($0) + "\n" }.joined() }
}

/// What is wrong with a configuration, as `POST /config/validate` says it.
public enum ProblemReport {
    static func json(_ problem: Diagnostic) -> JSONValue {
        .object([
            ("severity", .string(problem.severity.rawValue)), ("file", .string(problem.mark.file)),
            ("line", .number(problem.mark.line)), ("column", .number(problem.mark.column)), ("path", .string(problem.path)),
            ("message", .string(problem.message)),
            ("hint", problem.suggestion.isEmpty ? .null : .string("did you mean \"\(problem.suggestion)\"?")),
        ])
    }

    public static func make(_ problems: [Diagnostic]) -> Report {
        let isValid = !problems.contains { $0.severity == .error }
        let json = JSONValue.object([("valid", .bool(isValid)), ("problems", .array(problems.map(json)))])
        return Report(json: json, text: Report.lines(problems.map { "\($0)" } + (isValid ? ["ok"] : [])))
    }
}
