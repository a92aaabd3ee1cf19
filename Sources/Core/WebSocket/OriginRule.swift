import HTTPMessages
import Primitives

/// Which pages may open a WebSocket on a route (RFC 6455 §10.2).
///
/// A browser opens one from any page to any host and sends the user's cookies with the handshake; nothing but `Origin` tells the
/// pages apart. Programs that are no browsers send none, and are let in: they could send any.
public struct OriginRule: Sendable {
    /// Nil: pages of the same origin as the request.
    private let list: OriginList?

    /// Pages of the host that the request is for, and no others: what a route without a list has.
    public static var sameOrigin: OriginRule { OriginRule(list: nil) }

    private init(list: OriginList?) { self.list = list }

    /// - Parameter origins: `https://app.example.com`, `https://*.example.com:8443`, `null`, `*`; empty for the same origin. With
    ///   a list, the route's own host is one of those let in only where it is listed.
    /// - Throws: what no browser sends as its origin.
    public init(_ origins: [String]) throws(InvalidOrigin) {
        guard !origins.isEmpty else {
            list = nil
            return
        }
        var list = OriginList()
        for origin in origins {
            guard list.append(origin) else { throw InvalidOrigin(text: origin) }
        }
        self.list = list
    }

    /// Whether the handshake may go on. `Origin` as received decides, also where a middleware has kept it from the backend.
    /// - Parameter scheme: of the request as the client sent it: what a trusted proxy tells, else that of the connection.
    public func admits(_ head: borrowing RequestHead, scheme: Scheme) -> Bool {
        var found: Int?
        for i in 0..<head.headers.count where head.headers.fields[i].id == .origin {
            if found != nil { return false }
            found = i
        }
        guard let found else { return true }
        let origin = head.headers.value(found)
        guard let list else { return OriginRule.isSame(origin, head, scheme) }
        return list.hasAny || list.contains(origin)
    }

    /// Whether host and port are those of the request.
    ///
    /// A page that came unencrypted is kept from an encrypted socket: whoever sits on the wire can make such pages under any
    /// name. The reverse is how it looks behind something that takes the encryption off and does not say so.
    private static func isSame(_ origin: RawSpan, _ head: borrowing RequestHead, _ scheme: Scheme) -> Bool {
        let originScheme: Scheme
        if origin.byteCount > 8, origin.extracting(0..<8).equals(ignoringCase: "https://") {
            originScheme = .https
        } else if origin.byteCount > 7, origin.extracting(0..<7).equals(ignoringCase: "http://") {
            originScheme = .http
        } else {
            return false
        }
        switch (originScheme, scheme) {
        case (.http, .https): return false
        case (.http, .http), (.https, .https), (.https, .http): break
        }
        let authority = origin.extracting((originScheme == .https ? 8 : 7)..<origin.byteCount)
        let host = head.bytes(head.host)
        guard host.byteCount > 0, authority.byteCount >= host.byteCount,
            authority.extracting(0..<host.byteCount).equals(ignoringCase: host),
            let port = port(authority.extracting(host.byteCount..<authority.byteCount), originScheme)
        else { return false }
        return port == (head.port == 0 ? originScheme.defaultPort : head.port)
    }

    /// The port of `:8443`; the scheme's own where there is nothing; nil for anything else.
    private static func port(_ rest: RawSpan, _ scheme: Scheme) -> UInt16? {
        if rest.byteCount == 0 { return scheme.defaultPort }
        guard rest.byteCount > 1, rest.byteCount <= 6, rest[0] == ASCII.colon, rest[1] != ASCII.zero else { return nil }
        var number: UInt32 = 0
        for i in 1..<rest.byteCount {
            guard ASCII.isDigit(rest[i]) else { return nil }
            number = number * 10 + UInt32(rest[i] - ASCII.zero)
        }
        return UInt16(exactly: number)
    }
}

/// A text that is no origin, `*` or `null`.
public struct InvalidOrigin: Error, Equatable, Sendable {
    public let text: String

    public init(text: String) { self.text = text }
}
