/// Rows in columns as wide as their widest cell, two spaces between them, below a line of headings.
struct TextTable {
    private let headings: [String]
    private var rows: [[String]] = []

    init(_ headings: [String]) { self.headings = headings }

    /// A short row is filled up with empty cells; cells beyond the headings are left out.
    mutating func add(_ cells: [String]) {
        let empty = [String](repeating: "", count: max(0, headings.count - cells.count))
        rows.append(cells.prefix(headings.count).map(TerminalText.of) + empty)
    }

    /// Each line with its end; no line ends in spaces.
    var text: String {
        let all = [headings] + rows
        let widths = headings.indices.map { column in all.map { $0[column].unicodeScalars.count }.max() ?? 0 }
        return all.map { Self.line($0, widths) + "\n" }.joined()
    }

    private static func line(_ cells: [String], _ widths: [Int]) -> String {
        var line = ""
        for (column, cell) in cells.enumerated() {
            line += cell
            guard cells[(column + 1)...].contains(where: { !$0.isEmpty }) else { break }
            line += String(repeating: " ", count: widths[column] - cell.unicodeScalars.count + 2)
        }
        return line
    }
}

/// Text of any origin made fit for a line on a terminal.
enum TerminalText {
    /// Control characters, line separators, and those that turn the direction of writing round, as `\u{…}`. Nothing is cut.
    static func of(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x00...0x1f, 0x7f...0x9f, 0x2028...0x202e, 0x2066...0x2069:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
