import Primitives

/// One field line: where its name and value stand in the bytes of its block.
public struct Field: Sendable {
    public var nameOffset: UInt32
    public var valueOffset: UInt32
    public var nameCount: UInt16
    public var valueCount: UInt16
    public var id: FieldID
    /// Left out when the block is written.
    public var isRemoved: Bool

    @inlinable
    public init(nameOffset: Int, nameCount: Int, valueOffset: Int, valueCount: Int, id: FieldID) {
        self.nameOffset = UInt32(nameOffset)
        self.valueOffset = UInt32(valueOffset)
        self.nameCount = UInt16(nameCount)
        self.valueCount = UInt16(valueCount)
        self.id = id
        isRemoved = false
    }

    /// For parsers, which have capped the numbers already.
    @inlinable
    public init(nameOffset: UInt32, nameCount: UInt16, valueOffset: UInt32, valueCount: UInt16, id: FieldID) {
        self.nameOffset = nameOffset
        self.valueOffset = valueOffset
        self.nameCount = nameCount
        self.valueCount = valueCount
        self.id = id
        isRemoved = false
    }
}

/// The fields of one message, in their order, with the bytes that they point into.
///
/// A block owns its bytes: the received head is copied in, and what middleware adds is appended behind it, so that a block can
/// wait through a suspension or a retry while the connection's buffer serves others. Cleared, it keeps its memory.
public struct HeaderBlock: ~Copyable {
    public var storage: ByteBuffer
    public private(set) var fields: [Field]

    public init(bytes: Int = 1024, fields: Int = 32) {
        storage = ByteBuffer(capacity: bytes)
        self.fields = []
        self.fields.reserveCapacity(fields)
    }

    public var count: Int { fields.count }

    /// Forgets all fields and bytes; holds on to at most `keeping` bytes of memory.
    public mutating func clear(keeping: Int = 8192) {
        storage.clear(keeping: keeping)
        fields.removeAll(keepingCapacity: true)
    }

    /// Adds a field whose bytes are in the storage already.
    @inline(__always)
    public mutating func append(_ field: Field) { fields.append(field) }

    /// Adds fields whose bytes are in the storage already, or will be.
    public mutating func append(contentsOf more: UnsafeBufferPointer<Field>) { fields.append(contentsOf: more) }

    /// Adds a field at the end. Whoever adds it has made the bytes; the serialiser checks them all the same.
    public mutating func add(_ id: FieldID, name: RawSpan, value: RawSpan) {
        guard name.byteCount <= Int(UInt16.max), value.byteCount <= Int(UInt16.max) else { return }
        let nameOffset = storage.count
        storage.append(name)
        let valueOffset = storage.count
        storage.append(value)
        fields.append(
            Field(
                nameOffset: nameOffset, nameCount: name.byteCount, valueOffset: valueOffset,
                valueCount: value.byteCount, id: id))
    }

    public mutating func add(_ id: FieldID, value: RawSpan) {
        let name = id.name
        add(id, name: RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount), value: value)
    }

    @inline(__always)
    public mutating func remove(at index: Int) { fields[index].isRemoved = true }

    public mutating func removeAll(_ id: FieldID) {
        for i in fields.indices where fields[i].id == id { fields[i].isRemoved = true }
    }

    /// Removes every field of this lower-case name.
    public mutating func removeAll(named lowercase: RawSpan) {
        for i in fields.indices where !fields[i].isRemoved && fields[i].nameCount == lowercase.byteCount {
            if nameEquals(i, lowercase) { fields[i].isRemoved = true }
        }
    }

    /// The same for a name that is known beforehand.
    public mutating func removeAll(lowercaseNamed name: StaticString) {
        removeAll(named: RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount))
    }

    public func nameEquals(_ index: Int, _ lowercase: RawSpan) -> Bool {
        let name = self.name(index)
        guard name.byteCount == lowercase.byteCount else { return false }
        for k in 0..<name.byteCount where ASCII.lowercased(name[k]) != lowercase[k] { return false }
        return true
    }

    /// The index of the first field with this id that has not been removed.
    public func firstIndex(of id: FieldID) -> Int? {
        for i in fields.indices where fields[i].id == id && !fields[i].isRemoved { return i }
        return nil
    }

    /// The index of the first field from `start` on with this lower-case name that has not been removed.
    public func firstIndex(named lowercase: RawSpan, from start: Int = 0) -> Int? {
        var i = start
        while i < fields.count {
            if !fields[i].isRemoved, Int(fields[i].nameCount) == lowercase.byteCount, nameEquals(i, lowercase) { return i }
            i += 1
        }
        return nil
    }

    @_lifetime(borrow self)
    public func name(_ index: Int) -> RawSpan {
        let field = fields[index]
        return bytes(Int(field.nameOffset), Int(field.nameCount))
    }

    @_lifetime(borrow self)
    public func value(_ index: Int) -> RawSpan {
        let field = fields[index]
        return bytes(Int(field.valueOffset), Int(field.valueCount))
    }

    /// Part of the storage.
    @_lifetime(borrow self)
    public func bytes(_ offset: Int, _ count: Int) -> RawSpan {
        storage.bytes.extracting(offset..<(offset + count))
    }
}
