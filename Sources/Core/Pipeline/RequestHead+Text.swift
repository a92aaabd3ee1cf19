import HTTPMessages
import Primitives

/// The request line as strings, for middleware; they allocate.
///
/// Path and host are the canonical ones, by which the route was found. They are bytes that a client chose: what is not UTF-8 in
/// them shows as U+FFFD, so compare, log and forward, but do not build file names from them.
extension RequestHead {
    /// The method as received: `GET`.
    public var methodText: String { String(decoding: bytes(methodRange).array(), as: UTF8.self) }

    /// The path in its canonical form, without the query; escapes that mean something stay escaped.
    public var pathText: String { String(decoding: bytes(path).array(), as: UTF8.self) }

    /// The query as received, without the `?`; nil when there is none.
    public var queryText: String? { query.map { String(decoding: bytes($0).array(), as: UTF8.self) } }

    /// The host in lower case, without the port.
    public var hostText: String { String(decoding: bytes(host).array(), as: UTF8.self) }

    /// The value of the first parameter of this name in the query, decoded; nil when there is none, or it is not UTF-8.
    ///
    /// Escapes are decoded as for the query conditions of routes: a percent sign that begins no escape and a plus stand for
    /// themselves. A parameter without `=` is empty.
    public func queryValue(_ name: String) -> String? {
        guard let query else { return nil }
        let wanted = Array(name.utf8)
        for pair in bytes(query).array().split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: ASCII.equals) ?? pair.endIndex
            guard PercentText.bytes(pair[..<equals]) == wanted else { continue }
            return String(validating: PercentText.bytes(pair[equals...].dropFirst()), as: UTF8.self)
        }
        return nil
    }
}
