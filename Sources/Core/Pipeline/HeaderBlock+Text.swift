import HTTPMessages
import Primitives

/// Fields as strings, for middleware; they allocate.
extension HeaderBlock {
    /// The value of the first field with this name, in any case; nil when there is none or it is not UTF-8.
    public func text(_ name: String) -> String? {
        let lowercase = name.utf8.map(ASCII.lowercased)
        guard let index = firstIndex(named: lowercase.span.bytes) else { return nil }
        return String(validating: value(index).array(), as: UTF8.self)
    }

    /// The values of all fields with this name, in their order; those that are not UTF-8 are left out.
    public func texts(_ name: String) -> [String] {
        let lowercase = name.utf8.map(ASCII.lowercased)
        var found: [String] = []
        var next = 0
        while let index = firstIndex(named: lowercase.span.bytes, from: next) {
            if let value = String(validating: value(index).array(), as: UTF8.self) { found.append(value) }
            next = index + 1
        }
        return found
    }

    /// Whether there is a field of this name, in any case.
    public func has(_ name: String) -> Bool {
        let lowercase = name.utf8.map(ASCII.lowercased)
        return firstIndex(named: lowercase.span.bytes) != nil
    }

    /// Removes all fields of this name, in any case. Those that carry the message (`Host`, `Content-Length`, …) are written by the
    /// gateway whatever is removed here.
    public mutating func remove(_ name: String) {
        let lowercase = name.utf8.map(ASCII.lowercased)
        removeAll(named: lowercase.span.bytes)
    }

    /// Adds a field; false, and no field, when the name is no token, the value has control bytes, or the field is the gateway's.
    @discardableResult
    public mutating func add(_ name: String, _ value: String) -> Bool {
        let nameBytes = Array(name.utf8)
        let valueBytes = Array(value.utf8)
        let valueSpan = valueBytes.span.bytes
        guard isToken(nameBytes.span.bytes), valueSpan.isFieldValue,
            nameBytes.count <= Int(UInt16.max), valueBytes.count <= Int(UInt16.max)
        else { return false }
        let id = FieldID(lowercasing: nameBytes.span.bytes)
        guard !FieldSet.gatewayOwned.contains(id) else { return false }
        add(id, name: nameBytes.span.bytes, value: valueSpan)
        return true
    }

    /// Removes the fields of this name and adds one; false, and nothing changed, where `add` would refuse it.
    @discardableResult
    public mutating func set(_ name: String, _ value: String) -> Bool {
        let before = count
        guard add(name, value) else { return false }
        let lowercase = name.utf8.map(ASCII.lowercased)
        for i in 0..<before where nameEquals(i, lowercase.span.bytes) { remove(at: i) }
        return true
    }

    /// Removes the fields from `index` on that the gateway alone may write, whatever id they were added under.
    public mutating func removeGatewayOwned(from index: Int) {
        for i in index..<count {
            var id = fields[i].id
            if id == .other { id = FieldID(lowercasing: name(i)) }
            if FieldSet.gatewayOwned.contains(id) { remove(at: i) }
        }
    }
}
