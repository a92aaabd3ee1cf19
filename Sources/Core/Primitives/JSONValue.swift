/// A JSON value to be written (RFC 8259), its members in the order given. Off the hot path.
public indirect enum JSONValue: Sendable {
    case null
    case string(String)
    case number(Int)
    /// Written with at most three digits behind the point.
    case decimal(Double)
    case bool(Bool)
    case array([JSONValue])
    case object([(String, JSONValue)])

    /// All of it in one line.
    public var text: String {
        switch self {
        case .null: "null"
        case .string(let text): JSONValue.quoted(text)
        case .number(let number): "\(number)"
        case .decimal(let number): JSONValue.decimalText(number)
        case .bool(let truth): "\(truth)"
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { "\(JSONValue.quoted($0.0)): \($0.1.text)" }.joined(separator: ", ") + "}"
        }
    }

    /// Indented by two spaces; what is short stands in one line.
    public func pretty(indent: String = "") -> String {
        let flat = text
        if flat.utf8.count + indent.utf8.count <= 100 { return flat }
        let deeper = indent + "  "
        switch self {
        case .null, .string, .number, .decimal, .bool:
            return flat
        case .array(let elements):
            return "[\n" + elements.map { deeper + $0.pretty(indent: deeper) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            let lines = members.map { "\(deeper)\(JSONValue.quoted($0.0)): \($0.1.pretty(indent: deeper))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func decimalText(_ number: Double) -> String {
        guard number.isFinite, number.magnitude < 1e15 else { return "null" }
        let thousandths = (number * 1000).rounded()
        return thousandths == number.rounded() * 1000 ? "\(Int(number.rounded()))" : "\(thousandths / 1000)"
    }

    private static func quoted(_ text: String) -> String {
        var buffer = ByteBuffer(capacity: text.utf8.count + 2)
        buffer.append(UInt8(ascii: "\""))
        JSONText.append(escaping: text, into: &buffer)
        buffer.append(UInt8(ascii: "\""))
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }
}
