import Primitives

/// One answer of the admin API in its two forms: for programs, and for people.
public struct Report: Sendable {
    public var json: JSONValue
    /// Lines with their ends, fit for a terminal: no control characters but the line ends.
    public var text: String

    public init(json: JSONValue, text: String) {
        self.json = json
        self.text = text
    }
}

extension Report {
    /// Lines for people, each with its end.
    public static func lines(_ lines: [String]) -> String { lines.map { TerminalText.of($0) + "\n" }.joined() }
}
