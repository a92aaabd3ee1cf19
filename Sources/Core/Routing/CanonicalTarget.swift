import HTTPMessages
import Primitives

/// Makes the one host, port, path and query of a request out of its target and its `Host` field (RFC 9112 §3.2, §3.3).
///
/// Every later reader (routes, authorisation, limits, log, upstream) uses these bytes and none reads the target again: where two
/// readers normalise differently, one of them can be talked past.
public enum CanonicalTarget {
    /// Sets `host`, `port`, `path`, `query` and `hasEncodedSlash` of the head. What is canonical as received is pointed at where
    /// it stands; only what differs is appended to the storage. Without a `Host` field (HTTP/1.0) the host is empty.
    ///
    /// A path may come out as `*` (`OPTIONS *`, RFC 9112 §3.2.4); no route takes that.
    /// - Returns: nil, or why the request is refused; the head's canonical parts then mean nothing.
    public static func resolve(_ head: inout RequestHead, policy: TargetPolicy) -> TargetFault? {
        do throws(TargetFault) {
            switch head.method {
            case .connect: throw .connectNotAllowed
            case .trace: throw .traceNotAllowed
            case .get, .head, .post, .put, .delete, .options, .patch, .other: break
            }
            let target = head.targetRange
            guard let first = target.first else { throw .unknownForm }
            head.hasEncodedSlash = false
            switch head.headers.storage[first] {
            case ASCII.slash:
                try setHost(&head, head.hostField)
                try setPathAndQuery(&head, from: first, to: target.upperBound, mergeSlashes: policy.mergeSlashes)
            case ASCII.asterisk:
                guard target.count == 1, case .options = head.method else { throw .unknownForm }
                try setHost(&head, head.hostField)
                head.path = target
                head.query = nil
            default:
                try resolveAbsolute(&head, policy)
            }
            return nil
        } catch {
            return error
        }
    }

    /// Refuses the path, keeps it or decodes it by the rule of the route that took it; sets `path` when it decodes.
    /// `RouteTable.settleEncodedSlashes` also makes sure that the decoded path belongs to the same route.
    static func settleEncodedSlashes(
        _ head: inout RequestHead, rule: EncodedSlashRule, policy: TargetPolicy
    ) throws(TargetFault) {
        guard head.hasEncodedSlash else { return }
        switch rule {
        case .reject: throw .encodedSlash
        case .keep: return
        case .decode:
            head.path = try CanonicalPath.append(
                head.path, to: &head.headers.storage, mergeSlashes: policy.mergeSlashes, separators: .decoded
            ).path
            head.hasEncodedSlash = false
        }
    }

    private static func setHost(_ head: inout RequestHead, _ field: Range<Int>?) throws(TargetFault) {
        guard let field else {
            head.host = 0..<0
            head.port = 0
            return
        }
        setHost(&head, try Authority(head.headers.storage.bytes, field))
    }

    private static func setHost(_ head: inout RequestHead, _ authority: Authority) {
        head.port = authority.port
        head.host = authority.host
        guard authority.hasUpper else { return }
        let start = head.headers.storage.count
        for i in authority.host { head.headers.storage.append(ASCII.lowercased(head.headers.storage[i])) }
        head.host = start..<head.headers.storage.count
    }

    @inline(__always)
    private static func setPathAndQuery(
        _ head: inout RequestHead, from start: Int, to end: Int, mergeSlashes: Bool
    ) throws(TargetFault) {
        let mark: Int
        if let scanned = CanonicalPath.scan(head.headers.storage.bytes, from: start, to: end, mergeSlashes: mergeSlashes) {
            mark = scanned
            head.path = start..<scanned
        } else {
            mark = head.headers.storage.bytes.extracting(start..<end).firstIndex(of: ASCII.question).map { start + $0 } ?? end
            (head.path, head.hasEncodedSlash) = try CanonicalPath.append(
                start..<mark, to: &head.headers.storage, mergeSlashes: mergeSlashes)
        }
        head.query = mark < end ? try checkedQuery(head.headers.storage.bytes, (mark + 1)..<end) : nil
    }

    /// A query is forwarded byte for byte, escapes right or wrong, so that signatures over it hold; it must be visible ASCII.
    private static func checkedQuery(_ bytes: RawSpan, _ range: Range<Int>) throws(TargetFault) -> Range<Int> {
        for i in range {
            let c = bytes[i]
            guard c &- 0x21 < 0x5e, c != UInt8(ascii: "#") else { throw c == UInt8(ascii: "#") ? .fragment : .invalidByte }
        }
        return range
    }

    /// `http://host/path`: its authority replaces the `Host` field, which must say the same (RFC 9112 §3.2.2).
    private static func resolveAbsolute(_ head: inout RequestHead, _ policy: TargetPolicy) throws(TargetFault) {
        let target = head.targetRange
        let start = try authorityStart(head.headers.storage.bytes, target, policy.scheme)
        var end = start
        while end < target.upperBound {
            let c = head.headers.storage[end]
            if c == ASCII.slash || c == ASCII.question || c == ASCII.backslash || c == UInt8(ascii: "#") { break }
            end += 1
        }
        let authority = try Authority(head.headers.storage.bytes, start..<end)
        if let field = head.hostField {
            let other = try Authority(head.headers.storage.bytes, field)
            guard same(authority, other, head.headers.storage.bytes, policy.scheme) else { throw .hostMismatch }
        }
        setHost(&head, authority)
        if end < target.upperBound, head.headers.storage[end] != ASCII.question {
            guard head.headers.storage[end] == ASCII.slash else {
                throw head.headers.storage[end] == ASCII.backslash ? .backslash : .fragment
            }
            return try setPathAndQuery(&head, from: end, to: target.upperBound, mergeSlashes: policy.mergeSlashes)
        }
        // An empty path is `/`; with OPTIONS and no query it is `*` (RFC 9112 §3.2.4).
        let hasQuery = end < target.upperBound
        head.query = hasQuery ? try checkedQuery(head.headers.storage.bytes, (end + 1)..<target.upperBound) : nil
        let path = head.headers.storage.count
        if case .options = head.method, !hasQuery {
            head.headers.storage.append(ASCII.asterisk)
        } else {
            head.headers.storage.append(ASCII.slash)
        }
        head.path = path..<(path + 1)
    }

    private static func authorityStart(
        _ bytes: RawSpan, _ target: Range<Int>, _ scheme: Scheme
    ) throws(TargetFault) -> Int {
        let rest = bytes.extracting(target)
        guard let colon = rest.firstIndex(of: ASCII.colon), colon > 0, colon + 2 < rest.byteCount,
            rest[colon + 1] == ASCII.slash, rest[colon + 2] == ASCII.slash
        else { throw .unknownForm }
        for i in 0..<colon {
            let c = rest[i]
            guard ASCII.isLetter(c) || (i > 0 && (ASCII.isDigit(c) || c == 0x2b || c == ASCII.dash || c == ASCII.dot)) else {
                throw .unknownForm
            }
        }
        guard rest.extracting(0..<colon).equals(ignoringCase: scheme.name) else { throw .schemeMismatch }
        return target.lowerBound + colon + 3
    }

    private static func same(_ a: Authority, _ b: Authority, _ bytes: RawSpan, _ scheme: Scheme) -> Bool {
        guard a.host.count == b.host.count else { return false }
        let portA = a.port == 0 ? scheme.defaultPort : a.port
        let portB = b.port == 0 ? scheme.defaultPort : b.port
        guard portA == portB else { return false }
        for (i, j) in zip(a.host, b.host) where ASCII.lowercased(bytes[i]) != ASCII.lowercased(bytes[j]) { return false }
        return true
    }
}

extension RequestHead {
    /// Where the value of the `Host` field stands.
    fileprivate var hostField: Range<Int>? {
        guard let hostIndex else { return nil }
        let field = headers.fields[hostIndex]
        let start = Int(field.valueOffset)
        return start..<(start + Int(field.valueCount))
    }
}
