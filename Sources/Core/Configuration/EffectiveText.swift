import Primitives

/// Writes values in force as YAML that the gateway reads again.
struct EffectiveText {
    private var text = ""

    /// The column in which sources begin, where the line is short enough.
    private static var sourceColumn: Int { 48 }

    static func yaml(_ root: EffectiveValue) -> String {
        var writer = EffectiveText()
        guard case .mapping(let members) = root else { return "" }
        writer.write(members, indent: 0, isFirstPlaced: false)
        return writer.text
    }

    /// - Parameter isFirstPlaced: Whether the first key stands behind a dash, in a line that has begun.
    private mutating func write(_ members: [(String, EffectiveValue)], indent: Int, isFirstPlaced: Bool) {
        for (i, (name, value)) in members.enumerated() {
            let margin = i == 0 && isFirstPlaced ? "" : String(repeating: " ", count: indent)
            let key = "\(margin)\(EffectiveText.scalar(name)):"
            switch value {
            case .scalar(let text, let kind, let source):
                line("\(key) \(EffectiveText.scalar(text, kind))", source)
            case .scalars(let elements, let source):
                line("\(key) [\(elements.map { EffectiveText.scalar($0.0, $0.1) }.joined(separator: ", "))]", source)
            case .mapping(let inner) where inner.isEmpty:
                text += "\(key) {}\n"
            case .mapping(let inner):
                text += "\(key)\n"
                write(inner, indent: indent + 2, isFirstPlaced: false)
            case .list(let elements) where elements.isEmpty:
                text += "\(key) []\n"
            case .list(let elements):
                text += "\(key)\n"
                for element in elements { write(element, indent: indent + 2) }
            }
        }
    }

    /// One element of a list of blocks.
    private mutating func write(_ element: EffectiveValue, indent: Int) {
        text += String(repeating: " ", count: indent) + "- "
        switch element {
        case .mapping(let members) where !members.isEmpty: write(members, indent: indent + 2, isFirstPlaced: true)
        case .scalar(let value, let kind, let source): line(EffectiveText.scalar(value, kind), source)
        case .mapping, .list, .scalars: text += "{}\n"
        }
    }

    private mutating func line(_ line: String, _ source: String) {
        text += line
        let start =
            text.utf8.count
            - (text.utf8.lastIndex(of: ASCII.lf).map { text.utf8.distance(from: text.startIndex, to: $0) + 1 } ?? 0)
        text += String(repeating: " ", count: max(2, EffectiveText.sourceColumn - start))
        text += "# \(DisplayText.of(source))\n"
    }

    private static func scalar(_ text: String, _ kind: EffectiveKind = .text) -> String {
        switch kind.json(text) {
        case .number, .bool: text
        default: isPlain(text) ? text : quoted(text)
        }
    }

    /// Whether every reader of YAML takes it for text as it stands, also within brackets.
    private static func isPlain(_ text: String) -> Bool {
        if isAmount(text) { return true }
        guard let first = text.utf8.first, ASCII.isLetter(first) || first == ASCII.slash, text.utf8.last != ASCII.colon else {
            return false
        }
        guard !["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(text.lowercased()) else { return false }
        return text.utf8.allSatisfy {
            ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.underscore || $0 == ASCII.dash || $0 == ASCII.dot
                || $0 == ASCII.slash || $0 == ASCII.colon || $0 == ASCII.asterisk
        }
    }

    /// `30s`, `10MiB`, `20%`
    private static func isAmount(_ text: String) -> Bool {
        let digits = text.utf8.prefix(while: ASCII.isDigit)
        return !digits.isEmpty && ["ms", "s", "m", "h", "d", "KiB", "MiB", "GiB", "%"].contains(text.dropFirst(digits.count))
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: result += "\\\""
            case 0x5c: result += "\\\\"
            case 0x0a: result += "\\n"
            case 0x09: result += "\\t"
            case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0xfeff:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
