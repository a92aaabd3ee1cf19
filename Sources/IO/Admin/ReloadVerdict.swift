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
            members.append(("problems", ProblemReport.list(problems)))
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
