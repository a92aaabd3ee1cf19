import Primitives

/// The origins that a list lets in, for `cors` and for WebSocket: `https://app.example.com`, `https://*.example.com:8443`,
/// `null`, `*`.
///
/// An origin is compared whole, as browsers serialise it (RFC 6454 §6.2): scheme, host and port, the port only where it is not
/// the scheme's own. Case does not count. A host with a dot at its end is another host, as it is for browsers. All texts stand in
/// one array, so that comparing retains nothing.
public struct OriginList: Sendable {
    private enum Pattern {
        case exact(Range<Int>)
        /// `https://` and `.example.com`: one label or more between them.
        case wildcard(head: Range<Int>, tail: Range<Int>)
    }

    /// `*`: any origin, and requests without one.
    public private(set) var hasAny = false
    /// `null`: what files, sandboxed frames and redirects send, so no site in particular.
    public private(set) var hasNull = false
    /// In lower case.
    private var text = [UInt8]()
    private var patterns = [Pattern]()

    public init() {}

    /// False, and nothing added, for what no browser sends: a path, credentials, no port, an asterisk elsewhere.
    public mutating func append(_ origin: String) -> Bool {
        if origin == "*" { hasAny = true }
        if origin == "null" { hasNull = true }
        if origin == "*" || origin == "null" { return true }
        let bytes = origin.utf8.map(ASCII.lowercased)
        guard let colon = bytes.firstIndex(of: ASCII.colon), OriginList.isScheme(bytes[..<colon]),
            bytes[colon...].starts(with: "://".utf8)
        else { return false }
        let scheme = bytes[..<(colon + 3)]
        var rest = bytes[(colon + 3)...]
        let isWildcard = rest.starts(with: "*.".utf8)
        if isWildcard { rest = rest.dropFirst() }
        guard let port = OriginList.port(of: rest), OriginList.isHost(rest.dropLast(port.count), isTail: isWildcard) else {
            return false
        }
        // Browsers leave the scheme's own port out.
        let isOwnPort =
            scheme.elementsEqual("https://".utf8) && port.elementsEqual(":443".utf8)
            || scheme.elementsEqual("http://".utf8) && port.elementsEqual(":80".utf8)
        if isOwnPort { rest = rest.dropLast(port.count) }
        let start = text.count
        text += scheme
        let middle = text.count
        text += rest
        patterns.append(
            isWildcard ? .wildcard(head: start..<middle, tail: middle..<text.count) : .exact(start..<text.count))
        return true
    }

    /// Whether the value of `Origin` is among them by name; `*` is for the caller to look at.
    public func contains(_ origin: RawSpan) -> Bool {
        if hasNull, origin.equals("null") { return true }
        let text = self.text
        for i in patterns.indices {
            switch patterns[i] {
            case .exact(let range):
                if origin.equals(ignoringCase: text.span.bytes.extracting(range)) { return true }
            case .wildcard(let head, let tail):
                let end = origin.byteCount - tail.count
                if end > head.count, origin.extracting(0..<head.count).equals(ignoringCase: text.span.bytes.extracting(head)),
                    origin.extracting(end..<origin.byteCount).equals(ignoringCase: text.span.bytes.extracting(tail)),
                    OriginList.areLabels(origin.extracting(head.count..<end))
                {
                    return true
                }
            }
        }
        return false
    }

    /// Labels with dots between them: what the asterisk may stand for. Without this, `https://evil.example/.example.com` would
    /// end as a good origin does.
    private static func areLabels(_ host: RawSpan) -> Bool {
        var isStart = true
        for i in 0..<host.byteCount {
            let byte = host[i]
            if byte == ASCII.dot {
                if isStart { return false }
                isStart = true
            } else {
                guard isLabel(byte) else { return false }
                isStart = false
            }
        }
        return !isStart
    }

    private static func isLabel(_ byte: UInt8) -> Bool {
        ASCII.isLetter(byte) || ASCII.isDigit(byte) || byte == ASCII.dash || byte == ASCII.underscore
    }

    /// `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )` (RFC 3986 §3.1).
    private static func isScheme(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let first = bytes.first, ASCII.isLetter(first) else { return false }
        return bytes.allSatisfy {
            ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.dash || $0 == ASCII.dot || $0 == UInt8(ascii: "+")
        }
    }

    /// The port at the end with its colon, empty where there is none; nil for one that is not written as browsers write it.
    private static func port(of bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let colon = bytes.lastIndex(of: ASCII.colon), !bytes[colon...].contains(UInt8(ascii: "]")) else {
            return bytes[bytes.endIndex...]
        }
        let digits = bytes[(colon + 1)...]
        guard (1...5).contains(digits.count), digits.allSatisfy(ASCII.isDigit), digits.first != ASCII.zero,
            digits.reduce(0, { $0 * 10 + Int($1 - ASCII.zero) }) <= 65_535
        else { return nil }
        return bytes[colon...]
    }

    /// A name, an address, or an IPv6 address in brackets; `.example.com` where it is the tail of a wildcard.
    private static func isHost(_ bytes: ArraySlice<UInt8>, isTail: Bool) -> Bool {
        if !isTail, bytes.first == UInt8(ascii: "["), bytes.last == UInt8(ascii: "]") {
            let inner = Array(bytes.dropFirst().dropLast())
            return inner.contains(ASCII.colon) && IPAddress(inner.span.bytes) != nil
        }
        var labels = Array(isTail ? bytes.dropFirst() : bytes)
        if labels.last == ASCII.dot { labels.removeLast() }
        return areLabels(labels.span.bytes)
    }
}
