/// A value of the file as it was written, with the place where it stands. It knows nothing of what the value ought to be.
public struct Node: Sendable, Equatable {
    public var mark: Mark
    public var content: Content

    public enum Content: Sendable, Equatable {
        case scalar(String, Style)
        case sequence([Node])
        /// In the order of the file; no key stands twice.
        case mapping([Entry])
    }

    /// Only a plain scalar can be nothing: `key:`, `key: ~` and `key: null`.
    public enum Style: Sendable, Equatable {
        case plain, quoted
    }

    public struct Entry: Sendable, Equatable {
        public var key: String
        public var keyMark: Mark
        public var value: Node

        public init(key: String, keyMark: Mark, value: Node) {
            self.key = key
            self.keyMark = keyMark
            self.value = value
        }
    }

    public init(mark: Mark, content: Content) {
        self.mark = mark
        self.content = content
    }

    /// Whether nothing is written here.
    var isNull: Bool {
        guard case .scalar(let text, .plain) = content else { return false }
        return text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
    }

    /// What it is, for a message.
    var kindText: String {
        switch content {
        case .scalar(let text, _): isNull ? "nothing" : "\"\(DisplayText.of(text))\""
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}
