/// What a value of the file must be. The tables in `Schema+….swift` are made of these; the validator and the JSON Schema in
/// `config/` both follow them, so that neither can know a key that the other does not.
indirect enum Shape {
    case scalar(ScalarKind)
    /// `orOne`: a single element may stand without brackets.
    case list(Shape, orOne: Bool = false, count: ClosedRange<Int>)
    case object(ObjectShape)
    /// Keys that the author chooses.
    case map(KeyRule, Shape, maximum: Int)
    /// The first that a scalar, a list or a mapping can be.
    case either([Shape])

    /// Whether a node of this kind can be one at all.
    func accepts(_ content: Node.Content) -> Bool {
        switch (self, content) {
        case (.scalar, .scalar), (.list, .sequence), (.object, .mapping), (.map, .mapping): true
        case (.list(let element, true, _), _): element.accepts(content)
        case (.either(let shapes), _): shapes.contains { $0.accepts(content) }
        default: false
        }
    }

    /// What is expected, for a message.
    var kindText: String {
        switch self {
        case .scalar(let kind): kind.expected
        case .list(let element, true, _): "\(element.kindText), or a list of such"
        case .list: "a list"
        case .object, .map: "a mapping"
        case .either(let shapes): shapes.map(\.kindText).joined(separator: ", or ")
        }
    }
}

/// A mapping with keys that are known.
struct ObjectShape {
    var keys: [Key]
    /// When not empty, exactly one of these keys must be there.
    var exactlyOneOf: [String]
    /// When not empty, at least one of these keys must be there, unless the block is switched off.
    var anyOf: [String]
    /// Whether it may say `enabled: false`.
    var canBeDisabled: Bool

    /// - Parameter whenOff: What `enabled: false` means.
    init(
        _ keys: [Key], exactlyOneOf: [String] = [], anyOf: [String] = [], canBeDisabled: Bool = true,
        whenOff: String = "With false the block is checked, and otherwise treated as though it had not been written."
    ) {
        self.keys = keys
        self.exactlyOneOf = exactlyOneOf
        self.anyOf = anyOf
        self.canBeDisabled = canBeDisabled
        if canBeDisabled {
            self.keys.append(Key("enabled", .scalar(.truth), default: "true", whenOff))
        }
    }

    func key(_ name: String) -> Key? { keys.first { $0.name == name } }
}

struct Key {
    var name: String
    var shape: Shape
    var isRequired: Bool
    /// As one would write it; empty where leaving the key out means that there is none.
    var defaultText: String
    /// What it does, in one or two sentences.
    var summary: String
    var availability: Availability
    /// Whether other keys decide what counts where it is left out. The builder says it (`Builder.derived`); `defaultText` is what
    /// counts where they have their defaults.
    var isDependent = false

    init(
        _ name: String, _ shape: Shape, required: Bool = false, default defaultText: String = "", _ summary: String,
        _ availability: Availability = .built
    ) {
        self.name = name
        self.shape = shape
        isRequired = required
        self.defaultText = defaultText
        self.summary = summary
        self.availability = availability
    }

    /// The same, where its default depends on other keys.
    var dependent: Key {
        var key = self
        key.isDependent = true
        return key
    }
}

/// Whether this version can do what a key asks for. A block with `enabled: false` asks for nothing.
enum Availability {
    case built
    /// Checked, warned about, ignored.
    case withoutEffect
    /// An error, where ignoring it would leave something open that the author wanted closed.
    case refused(String)
    /// Depends on the value or on who uses it; the builder says.
    case judgedByBuilder
}

/// What the keys of a map may be.
enum KeyRule {
    /// Letters, digits and `_ . - : / @`, up to 128: the names of services and middlewares are labels of metrics.
    case name
    /// A field name (RFC 9110 §5.1), known or not.
    case fieldName
    /// A field name that the gateway does not manage itself.
    case changeableFieldName(MessageSide)
    /// Anything of 1 to 256 bytes without control characters.
    case parameter
}
