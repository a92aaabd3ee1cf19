import Primitives

/// Which paths a route is for.
///
/// | text | takes | does not take |
/// |---|---|---|
/// | `/live` | `/live` | `/live/` |
/// | `/api/*` | `/api`, `/api/`, `/api/x/y` | `/apix` |
/// | `/*` | every path | |
/// | `/users/{id}` | `/users/7` | `/users/`, `/users/7/` |
/// | `/users/{id}/*` | `/users/7`, `/users/7/x` | `/users/` |
///
/// Paths are compared byte by byte in canonical form (`CanonicalPath`), so a pattern must be written in that form.
public struct PathPattern: Hashable, Sendable {
    enum Segment: Hashable, Sendable {
        case literal([UInt8])
        /// Takes one segment that is not empty.
        case parameter(String)
    }

    public let text: String
    /// Whether whole segments may follow.
    public let isPrefix: Bool
    let segments: [Segment]

    /// A bound on how deep a look-up may go.
    public static var segmentsMax: Int { 64 }

    public init(_ text: String) throws(PathPatternError) {
        let bytes = Array(text.utf8)
        guard bytes.first == ASCII.slash else { throw .noLeadingSlash }
        guard bytes.count <= 8192 else { throw .tooLong }
        self.text = text
        isPrefix = bytes.suffix(2).elementsEqual([ASCII.slash, ASCII.asterisk])
        let body = isPrefix ? bytes.dropLast(2) : bytes[...]
        var segments = [Segment]()
        if !body.isEmpty {
            for part in body.dropFirst().split(separator: ASCII.slash, omittingEmptySubsequences: false) {
                segments.append(try PathPattern.segment(part, after: segments))
            }
        }
        guard segments.count <= PathPattern.segmentsMax else { throw .tooLong }
        self.segments = segments
        try checkCanonical()
    }

    private static func segment(_ part: ArraySlice<UInt8>, after earlier: [Segment]) throws(PathPatternError) -> Segment {
        guard !part.contains(ASCII.asterisk) else { throw .asterisk }
        guard !part.contains(ASCII.question), !part.contains(UInt8(ascii: "#")) else { throw .query }
        let open = UInt8(ascii: "{")
        let close = UInt8(ascii: "}")
        guard part.contains(open) || part.contains(close) else { return .literal(Array(part)) }
        guard part.first == open, part.last == close else { throw .partialParameter }
        let name = part.dropFirst().dropLast()
        guard !name.contains(open), !name.contains(close) else { throw .partialParameter }
        guard let first = name.first, !ASCII.isDigit(first),
            name.allSatisfy({ ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.underscore })
        else { throw .parameterName(String(decoding: name, as: UTF8.self)) }
        let parameter = Segment.parameter(String(decoding: name, as: UTF8.self))
        guard !earlier.contains(parameter) else { throw .duplicateParameter(String(decoding: name, as: UTF8.self)) }
        return parameter
    }

    /// No request could match a pattern that the canonical form rules out.
    private func checkCanonical() throws(PathPatternError) {
        var buffer = ByteBuffer(capacity: 256)
        for segment in segments {
            buffer.append(ASCII.slash)
            switch segment {
            case .literal(let bytes): buffer.append(bytes)
            case .parameter(let name): buffer.append(name)
            }
        }
        guard buffer.count > 0 else { return }
        let written = 0..<buffer.count
        let path: Range<Int>
        do {
            path = try CanonicalPath.append(written, to: &buffer, mergeSlashes: false).path
        } catch {
            throw .refused(error)
        }
        guard buffer.bytes.extracting(path).equals(buffer.bytes.extracting(written)) else {
            throw .notCanonical(canonicalText())
        }
    }

    private func canonicalText() -> String {
        var result = ""
        for segment in segments {
            switch segment {
            case .parameter(let name): result += "/{\(name)}"
            case .literal(let bytes):
                var buffer = ByteBuffer(capacity: bytes.count + 1)
                buffer.append(ASCII.slash)
                buffer.append(bytes)
                do {
                    let (path, _) = try CanonicalPath.append(0..<buffer.count, to: &buffer, mergeSlashes: false)
                    result += String(decoding: buffer.bytes.extracting(path).array(), as: UTF8.self)
                } catch {
                    return text
                }
            }
        }
        return isPrefix ? result + "/*" : result
    }

    /// The names of the `{…}` segments, from left to right.
    public var parameters: [String] {
        segments.compactMap {
            switch $0 {
            case .literal: nil
            case .parameter(let name): name
            }
        }
    }

    /// The part of a path that the segment `{name}` takes, or nil when there is no such segment.
    public func capture(_ name: String) -> Capture? {
        segments.firstIndex(of: .parameter(name)).map { .segment($0) }
    }

    /// What the closing `/*` takes, without the slash; nil when there is none.
    public var rest: Capture? { isPrefix ? .rest(after: segments.count) : nil }

    /// The path without its `/*` when it has no `{…}` segment: what a route may strip.
    public var literalPrefix: [UInt8]? {
        var result = [UInt8]()
        for segment in segments {
            switch segment {
            case .literal(let bytes): result += [ASCII.slash] + bytes
            case .parameter: return nil
            }
        }
        return result
    }
}
