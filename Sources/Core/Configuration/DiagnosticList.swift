/// Collects what is wrong with a file, all of it and not just the first, but no more than a person would read.
public struct DiagnosticList: Sendable {
    /// More errors, and more warnings, than this are only counted.
    public static var maximum: Int { 50 }

    private var errors: [Diagnostic] = []
    private var warnings: [Diagnostic] = []
    private var uncountedErrors = 0
    private var uncountedWarnings = 0
    /// The features without effect that the file uses: the index of the first warning, and the uses after it.
    private var features: [String: (index: Int, more: Int)] = [:]

    public init() {}

    public var hasErrors: Bool { !errors.isEmpty }

    /// Message and suggestion are only worked out for a diagnostic that is kept.
    mutating func error(
        _ mark: Mark, _ trail: KeyTrail, _ message: @autoclosure () -> String, suggestion: @autoclosure () -> String = ""
    ) {
        guard errors.count < DiagnosticList.maximum else {
            uncountedErrors += 1
            return
        }
        errors.append(Diagnostic(.error, mark: mark, path: trail.text, message: message(), suggestion: suggestion()))
    }

    mutating func warning(_ mark: Mark, _ trail: KeyTrail, _ message: @autoclosure () -> String) {
        guard warnings.count < DiagnosticList.maximum else {
            uncountedWarnings += 1
            return
        }
        warnings.append(Diagnostic(.warning, mark: mark, path: trail.text, message: message()))
    }

    /// One warning for each feature, however often it is used.
    mutating func withoutEffect(_ feature: String, _ mark: Mark, _ trail: KeyTrail) {
        if let seen = features[feature] {
            features[feature] = (seen.index, seen.more + 1)
        } else if warnings.count < DiagnosticList.maximum {
            features[feature] = (warnings.count, 0)
            warnings.append(
                Diagnostic(
                    .warning, mark: mark, path: trail.text,
                    message: "\(feature) is accepted, but has no effect in this version"))
        }
    }

    public mutating func append(_ diagnostic: Diagnostic) {
        switch diagnostic.severity {
        case .error where errors.count < DiagnosticList.maximum: errors.append(diagnostic)
        case .error: uncountedErrors += 1
        case .warning where warnings.count < DiagnosticList.maximum: warnings.append(diagnostic)
        case .warning: uncountedWarnings += 1
        }
    }

    /// In the order of the file, errors and warnings together; behind them how many of each were left out.
    public func sorted() -> [Diagnostic] {
        var result = warnings
        for (_, use) in features where use.more > 0 {
            result[use.index].message += use.more == 1 ? " (used in 1 more place)" : " (used in \(use.more) more places)"
        }
        result += errors
        // Stable: two at the same place stay in the order in which they were found.
        let order = result.indices.sorted { a, b in
            result[a].mark < result[b].mark || result[a].mark == result[b].mark && a < b
        }
        var sorted = order.map { result[$0] }
        if let last = sorted.last?.mark {
            if uncountedErrors > 0 {
                sorted.append(Diagnostic(.error, mark: last, path: "", message: "\(uncountedErrors) more errors are not shown"))
            }
            if uncountedWarnings > 0 {
                sorted.append(
                    Diagnostic(
                        .warning, mark: last, path: "",
                        message: "\(uncountedWarnings) more warnings are not shown"))
            }
        }
        return sorted
    }
}
