import Primitives

/// Finds the part of a request that it is placed by.
public enum PlacedText {
    /// The value of the first cookie of that name in a `Cookie` field (RFC 6265 §5.4); nil when there is none.
    @_lifetime(copy cookies)
    public static func cookie(named name: RawSpan, in cookies: RawSpan) -> RawSpan? {
        part(named: name, in: cookies, separator: ASCII.semicolon)
    }

    /// The value of the first parameter of that name, as it was sent; nil when there is none.
    @_lifetime(copy query)
    public static func parameter(named name: RawSpan, in query: RawSpan) -> RawSpan? {
        part(named: name, in: query, separator: UInt8(ascii: "&"))
    }

    @_lifetime(copy text)
    private static func part(named name: RawSpan, in text: RawSpan, separator: UInt8) -> RawSpan? {
        var start = 0
        let end = text.byteCount
        while start < end {
            let rest = text.extracting(start..<end)
            let length = rest.firstIndex(of: separator) ?? rest.byteCount
            let pair = rest.extracting(0..<length).trimmingWhitespace()
            start += length + 1
            guard let equals = pair.firstIndex(of: ASCII.equals), pair.extracting(0..<equals).equals(name) else { continue }
            return pair.extracting((equals + 1)..<pair.byteCount)
        }
        return nil
    }
}
