import Primitives

/// What the `Connection` fields of a message name (RFC 9110 §7.6.1).
struct ConnectionOptions: OptionSet {
    let rawValue: UInt8

    static var close: ConnectionOptions { ConnectionOptions(rawValue: 1) }
    static var keepAlive: ConnectionOptions { ConnectionOptions(rawValue: 2) }
    static var upgrade: ConnectionOptions { ConnectionOptions(rawValue: 4) }
    static var te: ConnectionOptions { ConnectionOptions(rawValue: 8) }
    /// Anything else: a field to be removed, or text that is no token and so names none.
    static var other: ConnectionOptions { ConnectionOptions(rawValue: 16) }

    mutating func insert(listIn value: RawSpan) {
        // What nearly all messages that have the field say.
        if value.equals(ignoringCase: "keep-alive") {
            insert(.keepAlive)
            return
        }
        var rest = ListElements(value)
        while let range = rest.next() {
            let element = value.extracting(range)
            if element.equals(ignoringCase: "close") {
                insert(.close)
            } else if element.equals(ignoringCase: "keep-alive") {
                insert(.keepAlive)
            } else if element.equals(ignoringCase: "upgrade") {
                insert(.upgrade)
            } else if element.equals(ignoringCase: "te") {
                insert(.te)
            } else {
                insert(.other)
            }
        }
    }
}

/// The elements of a comma-separated list without quoted strings, trimmed, empty ones skipped (RFC 9110 §5.6.1).
struct ListElements: ~Escapable {
    private let value: RawSpan
    private var position = 0

    @_lifetime(copy value)
    init(_ value: RawSpan) { self.value = value }

    @_lifetime(self: copy self)
    mutating func next() -> Range<Int>? {
        while position < value.byteCount {
            var start = position
            var end = start
            while end < value.byteCount, value[end] != ASCII.comma { end += 1 }
            position = end + 1
            while start < end, value[start] == ASCII.space || value[start] == ASCII.tab { start += 1 }
            while end > start, value[end - 1] == ASCII.space || value[end - 1] == ASCII.tab { end -= 1 }
            if start < end { return start..<end }
        }
        return nil
    }
}
