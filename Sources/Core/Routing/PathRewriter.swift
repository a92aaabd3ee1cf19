import HTTPMessages
import Primitives

/// Makes the path that a backend is asked for out of the path that a route took. The query is not touched.
public struct PathRewriter: Sendable {
    private enum Piece {
        case text([UInt8])
        case capture(Capture)
    }

    private enum Change {
        case prefix(strip: [UInt8], add: [UInt8])
        case replace([Piece])
    }

    private let change: Change

    /// Takes `strip` off the front, where it is there and a segment ends behind it, then puts `add` before. Either may be
    /// empty. `/` remains where nothing else does. A path without the prefix is sent on with `add` alone.
    public init(strip: String, add: String) throws(PathRewriterError) {
        change = .prefix(strip: try PathRewriter.checkedPrefix(strip), add: try PathRewriter.checkedPrefix(add))
    }

    /// Replaces the whole path: `/v2/users/{id}` with the route's `{…}` segments (also inside a segment), and a closing `/*`
    /// for what the route's `/*` took.
    public init(replacement text: String, of pattern: PathPattern) throws(PathRewriterError) {
        var bytes = Array(text.utf8)[...]
        guard bytes.first == ASCII.slash else { throw .noLeadingSlash(text) }
        let hasRest = bytes.suffix(2).elementsEqual([ASCII.slash, ASCII.asterisk])
        if hasRest { bytes = bytes.dropLast() }
        var pieces = [Piece]()
        while let open = bytes.firstIndex(of: UInt8(ascii: "{")) {
            guard let close = bytes[open...].firstIndex(of: UInt8(ascii: "}")) else { throw .notCanonical(text) }
            let name = String(decoding: bytes[(open + 1)..<close], as: UTF8.self)
            guard let capture = pattern.capture(name) else { throw .unknownParameter(name) }
            pieces.append(.text(Array(bytes[..<open])))
            pieces.append(.capture(capture))
            bytes = bytes[(close + 1)...]
        }
        pieces.append(.text(Array(bytes)))
        if hasRest {
            guard let rest = pattern.rest else { throw .nothingForRest }
            pieces.append(.capture(rest))
        }
        try PathRewriter.check(pieces, text)
        change = .replace(pieces)
    }

    private static func checkedPrefix(_ text: String) throws(PathRewriterError) -> [UInt8] {
        guard !text.isEmpty else { return [] }
        let bytes = Array(text.utf8)
        guard bytes.first == ASCII.slash else { throw .noLeadingSlash(text) }
        guard bytes.last != ASCII.slash else { throw .trailingSlash(text) }
        try check([.text(bytes)], text)
        return bytes
    }

    private static func check(_ pieces: [Piece], _ text: String) throws(PathRewriterError) {
        var buffer = ByteBuffer(capacity: 256)
        for piece in pieces {
            switch piece {
            case .text(let bytes): buffer.append(bytes)
            case .capture: buffer.append(UInt8(ascii: "x"))
            }
        }
        guard !buffer.bytes.equalsPrefix("//"), CanonicalPath.isCanonical(0..<buffer.count, in: &buffer) else {
            throw .notCanonical(text)
        }
    }

    /// What a rewrite made.
    public struct Rewritten: Equatable, Sendable {
        /// Where the upstream path stands in the head's storage.
        public var path: Range<Int>
        /// How many bytes of `head.path` were stripped from its front: the value of `X-Forwarded-Prefix`; 0 for none.
        public var strippedBytes: Int
    }

    /// Appends the upstream path to the head's storage; the head's own path stays.
    /// - Throws: `rewrittenPathDiffers` (400) when the result is not canonical: a backend would then act on a path that no route
    ///   was matched with. Also when it begins with `//`, which some backends take for an authority.
    public func rewrite(_ head: inout RequestHead) throws(TargetFault) -> Rewritten {
        let start = head.headers.storage.count
        var strippedBytes = 0
        switch change {
        case .prefix(let strip, let add):
            if PathRewriter.has(head, strip) { strippedBytes = strip.count }
            let rest = (head.path.lowerBound + strippedBytes)..<head.path.upperBound
            head.headers.storage.append(add)
            head.headers.storage.appendCopy(of: rest)
            if head.headers.storage.count == start { head.headers.storage.append(ASCII.slash) }
        case .replace(let pieces):
            for piece in pieces {
                switch piece {
                case .text(let bytes): head.headers.storage.append(bytes)
                case .capture(let capture): head.headers.storage.appendCopy(of: capture.range(in: head))
                }
            }
        }
        let path = start..<head.headers.storage.count
        guard CanonicalPath.isCanonical(path, in: &head.headers.storage), !head.bytes(path).equalsPrefix("//") else {
            throw .rewrittenPathDiffers
        }
        return Rewritten(path: path, strippedBytes: strippedBytes)
    }

    /// Whether the path begins with the whole segments of `prefix`.
    private static func has(_ head: borrowing RequestHead, _ prefix: [UInt8]) -> Bool {
        let path = head.bytes(head.path)
        guard path.byteCount >= prefix.count, path.extracting(0..<prefix.count).equals(prefix.span.bytes) else { return false }
        return path.byteCount == prefix.count || path[prefix.count] == ASCII.slash
    }
}

/// Why a rewrite cannot be done.
public enum PathRewriterError: Error, Hashable, Sendable, CustomStringConvertible {
    case noLeadingSlash(String)
    case trailingSlash(String)
    case notCanonical(String)
    case unknownParameter(String)
    case nothingForRest

    public var description: String {
        switch self {
        case .noLeadingSlash(let text): "`\(text)` does not begin with a slash"
        case .trailingSlash(let text): "`\(text)` ends with a slash; a prefix ends with a segment"
        case .notCanonical(let text): "`\(text)` is not a path in canonical form"
        case .unknownParameter(let name): "`{\(name)}` is not a segment of the route's path"
        case .nothingForRest: "ends in `/*`, but the route's path does not"
        }
    }
}

extension RawSpan {
    func equalsPrefix(_ text: StaticString) -> Bool {
        byteCount >= text.utf8CodeUnitCount && extracting(0..<text.utf8CodeUnitCount).equals(text)
    }
}
