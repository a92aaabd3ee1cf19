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
