import Primitives

/// Fields that have no `FieldID`, since only a few requests ask for them: they are found by their lower-case name.
extension HeaderBlock {
    /// How often a field is there that has not been removed.
    public enum Occurrence: Equatable, Sendable {
        case none
        /// Its index.
        case once(Int)
        case repeated
    }

    public func occurrence(of lowercase: StaticString) -> Occurrence {
        guard let index = firstIndex(named: lowercase) else { return .none }
        return firstIndex(named: lowercase, from: index + 1) == nil ? .once(index) : .repeated
    }

    /// The index of the first field from `start` on with this lower-case name that has not been removed.
    public func firstIndex(named lowercase: StaticString, from start: Int = 0) -> Int? {
        var i = start
        while i < count {
            if !fields[i].isRemoved, Int(fields[i].nameCount) == lowercase.utf8CodeUnitCount,
                name(i).equals(ignoringCase: lowercase)
            {
                return i
            }
            i += 1
        }
        return nil
    }

    /// Adds a field that has no id.
    public mutating func add(named name: StaticString, value: RawSpan) {
        add(
            .other, name: RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount), value: value
        )
    }

    public mutating func add(named name: StaticString, value: StaticString) {
        add(named: name, value: RawSpan(_unsafeStart: UnsafeRawPointer(value.utf8Start), byteCount: value.utf8CodeUnitCount))
    }

    /// Adds a field that has no id and whose value `compose` appends to the storage.
    public mutating func addComposed(named name: StaticString, _ compose: (inout ByteBuffer) -> Void) {
        let nameOffset = storage.count
        storage.append(name)
        let valueOffset = storage.count
        compose(&storage)
        append(
            Field(
                nameOffset: nameOffset, nameCount: valueOffset - nameOffset, valueOffset: valueOffset,
                valueCount: storage.count - valueOffset, id: .other))
    }
}
