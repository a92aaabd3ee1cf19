/// Names and values, one pair a line, the values below each other.
enum TextList {
    static func of(_ pairs: [(name: String, value: String)]) -> String {
        let width = pairs.map { $0.name.unicodeScalars.count }.max() ?? 0
        return pairs.map { name, value in
            let gap = String(repeating: " ", count: width - name.unicodeScalars.count + 2)
            return "\(name)\(gap)\(TerminalText.of(value))\n"
        }.joined()
    }
}
