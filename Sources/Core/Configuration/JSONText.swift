/// A JSON value to be written (RFC 8259), its members in the order given.
indirect enum JSONText {
    case string(String)
    case number(Int)
    case bool(Bool)
    case array([JSONText])
    case object([(String, JSONText)])

    /// Indented by two spaces; what is short stands in one line.
    func pretty(indent: String = "") -> String {
        let flat = flat
        if flat.utf8.count + indent.utf8.count <= 100 { return flat }
        let deeper = indent + "  "
        switch self {
        case .string, .number, .bool:
            return flat
        case .array(let elements):
            return "[\n" + elements.map { deeper + $0.pretty(indent: deeper) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            let lines = members.map { "\(deeper)\(JSONText.quoted($0.0)): \($0.1.pretty(indent: deeper))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private var flat: String {
        switch self {
        case .string(let text): JSONText.quoted(text)
        case .number(let number): "\(number)"
        case .bool(let truth): "\(truth)"
        case .array(let elements): "[" + elements.map(\.flat).joined(separator: ", ") + "]"
        case .object(let members): "{" + members.map { "\(JSONText.quoted($0.0)): \($0.1.flat)" }.joined(separator: ", ") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case let control where control.value < 0x20:
                let digits = String(control.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
