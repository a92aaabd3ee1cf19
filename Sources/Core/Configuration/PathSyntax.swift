import Primitives

/// The three forms of a path in the file.
enum PathSyntax {
    case literal
    /// May end in `/*` and have `{name}` segments.
    case pattern
    /// As a pattern; what the names stand for is looked up by the builder.
    case rewrite

    /// Longer than any request target that a listener accepts by default.
    static var maximum: Int { 8192 }

    static func read(_ text: String, _ syntax: PathSyntax, expected: String) -> ScalarReading {
        guard text.utf8.first == ASCII.slash else {
            let isWord = !text.isEmpty && text.utf8.first != ASCII.asterisk && !text.utf8.contains(ASCII.colon)
            return .problem(
                "expected \(expected), not \"\(DisplayText.of(text))\"",
                suggestion: isWord ? "/\(DisplayText.of(text))" : "")
        }
        guard text.utf8.count <= maximum else { return .problem("is longer than \(AmountText.of(bytes: maximum))") }
        for c in text.utf8 {
            switch c {
            case ASCII.question: return .problem("a path has no query; match it with match.query")
            case 0x23: return .problem("a path has no fragment (#)")
            case ASCII.backslash: return .problem("a backslash is no separator; write /")
            case 0...0x20, 0x7f: return .problem("has a blank or a control character; write it percent-encoded")
            default: break
            }
        }
        let segments = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        var names: Set<String> = []
        for (i, segment) in segments.enumerated() {
            if segment == "." || segment == ".." { return .problem("\"\(segment)\" segments are resolved before the match") }
            if !hasValidEscapes(segment) { return .problem("\"%\" must be followed by two hexadecimal digits") }
            if syntax != .literal {
                if segment == "*" {
                    guard i == segments.count - 1 else { return .problem("/* can stand only at the end") }
                    continue
                }
                if segment.utf8.contains(ASCII.asterisk) {
                    return .problem("* must be a whole segment at the end, as in /users/*; one segment is written {name}")
                }
                if segment.utf8.contains(0x7b) || segment.utf8.contains(0x7d) {
                    guard let name = templateName(segment) else {
                        return .problem("{name} must be a whole segment; a name has letters, digits and _")
                    }
                    guard names.insert(name).inserted else { return .problem("{\(name)} stands twice") }
                }
            }
        }
        return .value(.text(text))
    }

    private static func hasValidEscapes(_ segment: Substring) -> Bool {
        let bytes = Array(segment.utf8)
        for (i, c) in bytes.enumerated() where c == ASCII.percent {
            guard i + 2 < bytes.count, ASCII.hexValue(bytes[i + 1]) != nil, ASCII.hexValue(bytes[i + 2]) != nil else {
                return false
            }
        }
        return true
    }

    /// The name in `{name}`, or nil.
    static func templateName(_ segment: Substring) -> String? {
        guard segment.hasPrefix("{"), segment.hasSuffix("}"), (3...66).contains(segment.utf8.count) else { return nil }
        let name = segment.dropFirst().dropLast()
        guard let first = name.utf8.first, !ASCII.isDigit(first),
            name.utf8.allSatisfy({ ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.underscore })
        else { return nil }
        return String(name)
    }

    static func templateNames(_ path: String) -> [String] {
        path.split(separator: "/").compactMap(templateName)
    }
}
