import Configuration

/// Collects the keys and values of one mapping, which arrive in turn, and carries out merge keys (`<<`).
struct MappingBuilder {
    private var entries: [Node.Entry] = []
    /// Where each key stands.
    private var keys: [String: Mark] = [:]
    /// What `<<` names; its keys come behind the mapping's own and never replace them.
    private var merged: [Node.Entry] = []
    private var state = State.key

    private enum State {
        case key
        case value(of: String, Mark)
        /// The key was no text or stood before: its value is thrown away.
        case ignored
        case merge
    }

    struct Fault {
        var mark: Mark
        var message: String
    }

    /// Takes the next node, a key or a value in turn.
    mutating func add(_ node: Node, isAlias: Bool) -> Fault? {
        switch state {
        case .key:
            return addKey(node, isAlias: isAlias)
        case .value(let key, let mark):
            entries.append(Node.Entry(key: key, keyMark: mark, value: node))
            state = .key
        case .ignored:
            state = .key
        case .merge:
            state = .key
            return merge(node)
        }
        return nil
    }

    private mutating func addKey(_ node: Node, isAlias: Bool) -> Fault? {
        guard case .scalar(let key, let style) = node.content, !isAlias else {
            state = .ignored
            return Fault(mark: node.mark, message: isAlias ? "an alias cannot be a key" : "a key must be text")
        }
        if let first = keys[key] {
            state = .ignored
            return Fault(mark: node.mark, message: "the key \"\(DisplayText.of(key))\" stands twice, first in line \(first.line)")
        }
        keys[key] = node.mark
        state = key == "<<" && style == .plain ? .merge : .value(of: key, node.mark)
        return nil
    }

    private mutating func merge(_ node: Node) -> Fault? {
        switch node.content {
        case .mapping(let entries):
            merged += entries
        case .sequence(let nodes):
            for element in nodes {
                guard case .mapping(let entries) = element.content else {
                    return Fault(mark: element.mark, message: "<< needs mappings")
                }
                merged += entries
            }
        case .scalar:
            return Fault(mark: node.mark, message: "<< needs a mapping or a list of mappings")
        }
        return nil
    }

    func finished() -> [Node.Entry] {
        guard !merged.isEmpty else { return entries }
        var result = entries
        var keys = keys
        for entry in merged where keys.updateValue(entry.keyMark, forKey: entry.key) == nil { result.append(entry) }
        return result
    }
}
