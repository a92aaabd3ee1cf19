/// Changes to a tree before it is checked.
extension Node {
    /// Text that means itself, also where it holds a dollar sign.
    static func literal(_ text: String, _ mark: Mark) -> Node {
        var escaped = ""
        for character in text.unicodeScalars {
            escaped.unicodeScalars.append(character)
            if character == "$" { escaped.unicodeScalars.append(character) }
        }
        return Node(mark: mark, content: .scalar(escaped, .quoted))
    }

    static func mapping(_ entries: [(String, Node)], _ mark: Mark) -> Node {
        Node(mark: mark, content: .mapping(entries.map { Entry(key: $0.0, keyMark: $0.1.mark, value: $0.1) }))
    }

    static func list(_ nodes: [Node], _ mark: Mark) -> Node { Node(mark: mark, content: .sequence(nodes)) }

    /// Empty for anything but a mapping.
    var entries: [Entry] {
        get {
            if case .mapping(let entries) = content { return entries }
            return []
        }
        set { content = .mapping(newValue) }
    }

    var isMapping: Bool {
        if case .mapping = content { return true }
        return false
    }

    /// Whether it is a block that says `enabled: false` in so many words.
    var isSwitchedOff: Bool {
        guard case .scalar(let text, _)? = entry("enabled")?.value.content else { return false }
        return text.lowercased() == "false"
    }

    func entry(_ key: String) -> Entry? { entries.first { $0.key == key } }

    /// Puts `value` in the place of what the key has, or behind the last key.
    mutating func set(_ key: String, _ value: Node) {
        guard case .mapping(var entries) = content else { return }
        content = .mapping([])
        if let i = entries.firstIndex(where: { $0.key == key }) {
            entries[i].value = value
        } else {
            entries.append(Entry(key: key, keyMark: value.mark, value: value))
        }
        content = .mapping(entries)
    }

    /// Sets a value below a chain of blocks, which are made where they are missing. Nothing is changed when one of them is no block.
    mutating func set(_ path: some Collection<String>, _ value: Node) {
        guard let key = path.first, isMapping else { return }
        let rest = path.dropFirst()
        guard !rest.isEmpty else { return set(key, value) }
        var child = entry(key)?.value ?? Node(mark: value.mark, content: .mapping([]))
        child.set(rest, value)
        set(key, child)
    }

    func value(at path: some Collection<String>) -> Node? {
        guard let key = path.first else { return self }
        return entry(key)?.value.value(at: path.dropFirst())
    }
}
