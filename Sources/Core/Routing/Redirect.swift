import HTTPMessages
import Primitives

/// An answer that sends the client elsewhere (RFC 9110 §15.4), with a `Location` made from the request's canonical parts.
public struct Redirect: Sendable {
    public enum Piece: Hashable, Sendable {
        case text([UInt8])
        case scheme
        /// Without a port. It is the client's word, checked for its syntax only.
        case host
        /// The canonical path.
        case path
        /// A `{name}` segment of the route's path, or what its `/*` took.
        case capture(Capture)
    }

    /// 301, 302, 303, 307 or 308.
    public let status: UInt16
    private let pieces: [Piece]
    private let keepsQuery: Bool

    /// - Parameter keepsQuery: Whether `?` and the request's query follow a target that has no `?` or `#` of its own.
    /// - Throws: when a client could choose where the target leads: nothing but `host` and fixed text may stand in its authority,
    ///   and what follows the authority begins with `/`, `?` or the path.
    public init(to pieces: [Piece], status: UInt16 = 308, keepsQuery: Bool = true) throws(RedirectError) {
        guard [301, 302, 303, 307, 308].contains(status) else { throw .status(status) }
        self.status = status
        self.pieces = pieces
        try Redirect.check(pieces)
        self.keepsQuery = keepsQuery && !pieces.contains { $0.leavesNoRoomForQuery }
    }

    /// Stand-ins for the variables, none of which a fixed text may hold.
    private enum Mark {
        static var scheme: UInt8 { 1 }
        static var host: UInt8 { 2 }
        static var path: UInt8 { 3 }
        static var capture: UInt8 { 4 }
    }

    private static func check(_ pieces: [Piece]) throws(RedirectError) {
        var outline = [UInt8]()
        for piece in pieces {
            switch piece {
            case .text(let bytes):
                guard bytes.allSatisfy(isURLByte) else { throw .invalidByte }
                outline += bytes
            case .scheme: outline.append(Mark.scheme)
            case .host: outline.append(Mark.host)
            case .path: outline.append(Mark.path)
            case .capture: outline.append(Mark.capture)
            }
        }
        if outline.first == ASCII.slash || outline.first == Mark.path {
            // `//` would begin an authority, and `/` before the path makes one of it.
            guard outline.count > 1 else { return }
            let pathFollows = outline[0] == ASCII.slash && outline[1] == Mark.path
            guard outline[1] != ASCII.slash, !pathFollows else { throw .openAuthority }
            return
        }
        var rest = outline[...]
        for scheme in [Array("https://".utf8), Array("http://".utf8), [Mark.scheme] + Array("://".utf8)]
        where rest.starts(with: scheme) {
            rest = rest.dropFirst(scheme.count)
            let end = rest.firstIndex { $0 == ASCII.slash || $0 == ASCII.question || $0 == Mark.path } ?? rest.endIndex
            let authority = rest[..<end]
            guard !authority.isEmpty, authority.allSatisfy(isAuthorityByte) else { throw .openAuthority }
            return
        }
        throw .neitherPathNorURL
    }

    /// Visible ASCII, but for what only ever stands in a URL by mistake. Brackets enclose IPv6 addresses.
    private static func isURLByte(_ c: UInt8) -> Bool {
        guard c > 0x20, c < 0x7f, c != ASCII.backslash else { return false }
        return !TargetByte(c).isEscaped || isBracket(c)
    }

    /// A byte of a host or port that is fixed text, or the mark of the request's host.
    private static func isAuthorityByte(_ c: UInt8) -> Bool {
        c == Mark.host || isBracket(c) || (TargetByte(c).isPlain && c != UInt8(ascii: "@"))
    }

    private static func isBracket(_ c: UInt8) -> Bool { c == UInt8(ascii: "[") || c == UInt8(ascii: "]") }

    /// Appends the `Location` value to the head's storage.
    /// - Throws: when the request has no host or path to put in, or the value would lead to another authority.
    public func appendLocation(to head: inout RequestHead, scheme: Scheme) throws(TargetFault) -> Range<Int> {
        let start = head.headers.storage.count
        for piece in pieces {
            switch piece {
            case .text(let bytes): head.headers.storage.append(bytes)
            case .scheme: head.headers.storage.append(scheme.name)
            case .host:
                guard !head.host.isEmpty else { throw .emptyHost }
                head.headers.storage.appendCopy(of: head.host)
            case .path:
                guard head.bytes(head.path).equalsPrefix("/") else { throw .unknownForm }
                head.headers.storage.appendCopy(of: head.path)
            case .capture(let capture): head.headers.storage.appendCopy(of: capture.range(in: head))
            }
        }
        if keepsQuery, let query = head.query {
            head.headers.storage.append(ASCII.question)
            head.headers.storage.appendCopy(of: query)
        }
        let location = start..<head.headers.storage.count
        // `//host` is a reference to another authority (RFC 3986 §4.2).
        guard !head.bytes(location).equalsPrefix("//"), Redirect.isVisible(head.bytes(location)) else {
            throw .rewrittenPathDiffers
        }
        return location
    }

    private static func isVisible(_ bytes: RawSpan) -> Bool {
        for i in 0..<bytes.byteCount where bytes[i] &- 0x21 >= 0x5e { return false }
        return true
    }
}

extension Redirect.Piece {
    fileprivate var leavesNoRoomForQuery: Bool {
        switch self {
        case .text(let bytes): bytes.contains(ASCII.question) || bytes.contains(UInt8(ascii: "#"))
        case .scheme, .host, .path, .capture: false
        }
    }
}

/// Why a redirect's target or status cannot be used.
public enum RedirectError: Error, Hashable, Sendable, CustomStringConvertible {
    case status(UInt16)
    case invalidByte
    case neitherPathNorURL
    case openAuthority

    public var description: String {
        switch self {
        case .status(let status): "\(status) is not 301, 302, 303, 307 or 308"
        case .invalidByte: "holds a byte that a URL must escape"
        case .neitherPathNorURL: "is neither a path nor an `http://` or `https://` URL"
        case .openAuthority: "lets the client choose the host that it leads to"
        }
    }
}
