import Primitives

/// Writes the tables of keys as a JSON Schema (draft 2020-12), for editors.
///
/// It knows shapes, words and ranges of numbers; names that refer to something, ranges of durations and sizes, and choices
/// that depend on other keys are checked by the gateway alone.
public enum JSONSchema {
    /// The text of `config/sluice.schema.json`.
    public static var text: String {
        var root = object(Schema.root)
        root.insert(("$schema", .string("https://json-schema.org/draft/2020-12/schema")), at: 0)
        root.insert(("title", .string("Sluice configuration")), at: 1)
        older(&root)
        root.append(("$defs", .object(definitions)))
        return JSONValue.object(root).pretty() + "\n"
    }

    /// The older names stand beside the others, and can stand for the listeners.
    private static func older(_ root: inout Members) {
        guard let i = root.firstIndex(where: { $0.0 == "properties" }), case .object(var properties) = root[i].1 else { return }
        for key in Schema.older {
            var members: Members = [("description", .string("Older name: " + key.summary)), ("deprecated", .bool(true))]
            members += shape(key.shape)
            properties.append((key.name, .object(members)))
        }
        root[i].1 = .object(properties)
        root.removeAll { $0.0 == "required" }
        root.append(
            (
                "anyOf",
                .array(["listeners", "host", "port"].map { .object([("required", .array([.string($0)]))]) })
            ))
    }

    private typealias Members = [(String, JSONValue)]

    private static var definitions: Members {
        [
            (
                "variable",
                .object([
                    ("description", .string("Read from the environment: ${NAME} or ${NAME:-default}.")),
                    ("type", .string("string")), ("pattern", .string("\\$\\{[A-Z_]")),
                ])
            )
        ]
    }

    private static func shape(_ shape: Shape) -> Members {
        switch shape {
        case .scalar(let kind):
            return scalar(kind)
        case .list(let element, let orOne, let count):
            var list: Members = [("type", .string("array")), ("items", .object(JSONSchema.shape(element)))]
            if count.lowerBound > 0 { list.append(("minItems", .number(count.lowerBound))) }
            list.append(("maxItems", .number(count.upperBound)))
            return orOne ? [("anyOf", .array([.object(list), .object(JSONSchema.shape(element))]))] : list
        case .object(let object):
            return JSONSchema.object(object)
        case .map(let rule, let element, let maximum):
            return [
                ("type", .string("object")), ("propertyNames", .object([("pattern", .string(pattern(rule)))])),
                ("additionalProperties", .object(JSONSchema.shape(element))), ("maxProperties", .number(maximum)),
            ]
        case .either(let shapes):
            return [("anyOf", .array(shapes.map { .object(JSONSchema.shape($0)) }))]
        }
    }

    private static func object(_ object: ObjectShape) -> Members {
        var properties: Members = []
        for key in object.keys {
            var members: Members = [("description", .string(description(key)))]
            members += shape(key.shape)
            if !key.defaultText.isEmpty { members.append(("default", defaultValue(key.defaultText))) }
            properties.append((key.name, .object(members)))
        }
        var result: Members = [
            ("type", .string("object")), ("additionalProperties", .bool(false)), ("properties", .object(properties)),
        ]
        let required = object.keys.filter(\.isRequired).map { JSONValue.string($0.name) }
        if !required.isEmpty { result.append(("required", .array(required))) }
        if !object.exactlyOneOf.isEmpty {
            result.append(("oneOf", .array(object.exactlyOneOf.map(needed))))
        }
        if !object.anyOf.isEmpty {
            // Switched off it needs nothing.
            result.append(("anyOf", .array((object.anyOf + ["enabled"]).map(needed))))
        }
        return result
    }

    private static func needed(_ key: String) -> JSONValue { .object([("required", .array([.string(key)]))]) }

    private static func description(_ key: Key) -> String {
        switch key.availability {
        case .built, .judgedByBuilder: key.summary + range(key.shape)
        case .withoutEffect: key.summary + range(key.shape) + " Without effect in this version."
        case .refused(let reason): key.summary + range(key.shape) + " Refused: " + reason + "."
        }
    }

    private static func range(_ shape: Shape) -> String {
        switch shape {
        case .scalar(.duration(let range, let off)):
            " \(AmountText.of(range.lowerBound)) to \(AmountText.of(range.upperBound))\(off ? ", or off" : "")."
        case .scalar(.size(let range, let zero)):
            " \(AmountText.of(bytes: range.lowerBound)) to \(AmountText.of(bytes: range.upperBound))\(zero ? ", or 0" : "")."
        case .scalar(.ratio(let range, _)):
            " \(AmountText.of(permille: range.lowerBound)) to \(AmountText.of(permille: range.upperBound))."
        case .scalar(.factor(let range)):
            " \(AmountText.factor(range.lowerBound)) to \(AmountText.factor(range.upperBound))."
        default:
            ""
        }
    }

    private static func scalar(_ kind: ScalarKind) -> Members {
        switch kind {
        case .truth: orVariable([("type", .string("boolean"))])
        case .onlyTrue: [("const", .bool(true))]
        case .integer(let range): orVariable(number(range))
        case .countOrAuto(let range):
            [("anyOf", .array([.object([("const", .string("auto"))]), .object(number(range)), variable]))]
        case .word(let words): orVariable([("enum", .array(words.flatMap(alternatives)))])
        case .wordOrInteger(let words, let range):
            orVariable([("anyOf", .array([.object([("enum", .array(words.flatMap(alternatives)))]), .object(number(range))]))])
        case .duration(_, let off):
            orVariable([
                ("type", .array([.string("string"), .string("integer")])),
                ("pattern", .string("^([0-9]+(ms|s|m|h|d)?\(off ? "|off" : ""))$")),
            ])
        case .size:
            orVariable([
                ("type", .array([.string("string"), .string("integer")])),
                ("pattern", .string("^[0-9]+([bB]|[kKmMgG]([iI][bB])?)?$")),
            ])
        case .ratio, .factor:
            orVariable([
                ("type", .array([.string("string"), .string("number")])), ("pattern", .string("^[0-9]+(\\.[0-9]+)?%?$")),
            ])
        case .rate: orVariable(string("^[0-9]+/(s|m|h|d)$"))
        case .logOutput(let off):
            orVariable(
                string(
                    "^(\((LogOutput.words(off: off) + ["/.+", "syslog\\+(udp|tcp)://.+", "syslog\\+unix:/.+"]).joined(separator: "|")))$"
                ))
        case .listenAddress: orVariable(string("^(.+:[0-9]+|unix:/.+)$"))
        case .instanceURL: orVariable(string("^(https?://[^/?#@]+/?|unix:/.+)$"))
        case .method: orVariable(string("^[A-Z0-9!#$%&'*+.^_`|~-]+$"))
        case .pathPattern, .path, .rewritePath: orVariable(string("^/[^?#\\\\ ]*$"))
        case .target: orVariable(string("^/[!\"$-\\[\\]-~]*$"))
        case .name: orVariable(text("^\(nameCharacters){1,128}$"))
        case .token: orVariable(text("^\(tokenCharacters){1,128}$"))
        case .fieldName: orVariable(string("^\(tokenCharacters){1,256}$"))
        case .hostField: orVariable(text("^[A-Za-z0-9_.:\\[\\]-]{1,264}$"))
        case .hostPattern: orVariable(string("^(\\*|(\\*\\.)?[A-Za-z0-9_.-]+|\\[[0-9A-Fa-f:.]+\\])$"))
        case .hostName: orVariable(string("^([A-Za-z0-9_.-]+|\\[[0-9A-Fa-f:.]+\\])$"))
        case .addressBlock: orVariable(string("^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"))
        case .filePath(let words): orVariable(string("^(\((words + ["/.+"]).joined(separator: "|")))$"))
        case .url(let schemes): orVariable(string("^(\(schemes.joined(separator: "|")))://[^@ ]+$"))
        case .origin: orVariable(string("^(\\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/?#@ ]+)$"))
        case .text(let maximum, false): text("^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]{1,\(maximum)}$")
        case .text(let maximum, true): plainText + [("maxLength", .number(maximum))]
        case .fieldValue, .fixedFieldValue, .location:
            text("^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]{0,8192}$")
        case .secret: plainText + [("minLength", .number(1))]
        case .file: orVariable(text("^[^\\u0000-\\u001f\\u007f]{0,4094}[^\\u0000-\\u001f\\u007f/]$"))
        case .upgrade: orVariable(string("^\(tokenCharacters)+(/\(tokenCharacters)+)?$"))
        case .certificateName:
            orVariable(string("^(\(ClientCertificateName.Kind.allCases.map(\.rawValue).joined(separator: "|"))):.+$"))
        case .fingerprint: orVariable(text("^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$"))
        case .option: plainText
        }
    }

    private static var nameCharacters: String { "[A-Za-z0-9_.:/@-]" }
    private static var tokenCharacters: String { "[A-Za-z0-9!#$%&'*+.^_`|~-]" }

    /// A scalar that is text for the gateway, whatever YAML makes of it.
    private static var plainText: Members {
        [("type", .array([.string("string"), .string("number"), .string("boolean")]))]
    }

    /// The pattern counts where YAML reads text.
    private static func text(_ pattern: String) -> Members { plainText + [("pattern", .string(pattern))] }

    /// A word, and where it is a number the number, which is how an editor reads it.
    private static func alternatives(_ word: String) -> [JSONValue] {
        if let number = Int(word) { return [.number(number), .string(word)] }
        if word.utf8.contains(ASCII.dot), let number = Double(word) { return [.decimal(number), .string(word)] }
        return [.string(word)]
    }

    private static var variable: JSONValue { .object([("$ref", .string("#/$defs/variable"))]) }

    private static func orVariable(_ members: Members) -> Members { [("anyOf", .array([.object(members), variable]))] }

    private static func string(_ pattern: String) -> Members { [("type", .string("string")), ("pattern", .string(pattern))] }

    private static func number(_ range: ClosedRange<Int>) -> Members {
        [("type", .string("integer")), ("minimum", .number(range.lowerBound)), ("maximum", .number(range.upperBound))]
    }

    private static func pattern(_ rule: KeyRule) -> String {
        switch rule {
        case .name: "^\(nameCharacters){1,128}$"
        case .fieldName, .changeableFieldName: "^\(tokenCharacters){1,256}$"
        case .parameter: "^.{1,256}$"
        }
    }

    private static func defaultValue(_ text: String) -> JSONValue {
        if text == "true" || text == "false" { return .bool(text == "true") }
        if text == "{}" { return .object([]) }
        if let number = Int(text) { return .number(number) }
        if text.hasPrefix("["), text.hasSuffix("]") {
            let inner = text.dropFirst().dropLast()
            return .array(inner.split(separator: ", ").map { .string(unquoted(String($0))) })
        }
        return .string(unquoted(text))
    }

    /// A default of the tables without its quotes.
    static func unquoted(_ text: String) -> String {
        text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"") ? String(text.dropFirst().dropLast()) : text
    }
}
