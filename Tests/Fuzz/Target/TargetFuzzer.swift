import FuzzSupport
import HTTP1
import HTTPMessages
import Primitives
import Routing

/// A request target and a Host, parted by a line feed: what is canonical stays as it is when it is read again, as a backend
/// will, and holds nothing that two readers could take for different paths.
@main
enum TargetFuzzer {
    static func main() {
        fuzz { data, size in
            let bytes = input(data, size)
            let parts = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
            let target = Array(parts[0])
            let host = parts.count > 1 ? Array(parts[1]) : Array("a.example".utf8)
            for mergeSlashes in [false, true] {
                for method in ["GET", "OPTIONS"] { test(method, target, host, TargetPolicy(mergeSlashes: mergeSlashes)) }
            }
            return 0
        }
    }
}

private struct Canonical: Equatable {
    var path: [UInt8]
    var query: [UInt8]?
    var host: [UInt8]
    var port: UInt16
    var hasEncodedSlash: Bool
}

private func resolve(_ request: [UInt8], _ policy: TargetPolicy) -> Canonical? {
    var head = RequestHead()
    guard case .head = RequestParser.parse(request.span.bytes, limits: Limits(), into: &head) else { return nil }
    guard CanonicalTarget.resolve(&head, policy: policy) == nil else { return nil }
    return Canonical(
        path: head.bytes(head.path).array(), query: head.query.map { head.bytes($0).array() },
        host: head.bytes(head.host).array(),
        port: head.port, hasEncodedSlash: head.hasEncodedSlash)
}

private func test(_ method: String, _ target: [UInt8], _ host: [UInt8], _ policy: TargetPolicy) {
    let request = Array(method.utf8) + [32] + target + Array(" HTTP/1.1\r\nHost: ".utf8) + host + Array("\r\n\r\n".utf8)
    guard let first = resolve(request, policy) else { return }
    requireUnambiguous(first, policy)
    var out = ByteBuffer(capacity: 256)
    let method = Array(method.utf8)
    if let query = first.query {
        precondition(
            HeadSerialiser.startRequest(
                method: method.span.bytes, path: first.path.span.bytes, query: query.span.bytes, into: &out),
            "a canonical target is not written")
    } else {
        precondition(
            HeadSerialiser.startRequest(method: method.span.bytes, path: first.path.span.bytes, query: nil, into: &out),
            "a canonical target is not written")
    }
    let authority = first.host + (first.port == 0 ? [] : Array(":\(first.port)".utf8))
    precondition(HeadSerialiser.field("Host", value: authority.span.bytes, into: &out), "a canonical host is not written")
    HeadSerialiser.endOfHead(into: &out)
    var expected = first
    // Also set where `..` took the segment with the escape away.
    if !holdsEncodedSlash(first.path) { expected.hasEncodedSlash = false }
    let second = resolve(out.bytes.array(), policy)
    precondition(second == expected, "the canonical form is not its own: \(first) becomes \(String(describing: second))")
}

private func holdsEncodedSlash(_ path: [UInt8]) -> Bool {
    let text = String(decoding: path, as: UTF8.self)
    return text.contains("%2F") || text.contains("%5C")
}

private func requireUnambiguous(_ target: Canonical, _ policy: TargetPolicy) {
    if target.path == [ASCII.asterisk] { return }
    precondition(target.path.first == ASCII.slash, "a path without its slash")
    precondition(target.path.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a path with a byte that no target may hold")
    for byte in "\\#?\"<>^`{|}[]".utf8 { precondition(!target.path.contains(byte), "a path with \(byte)") }
    let segments = target.path.dropFirst().split(separator: ASCII.slash, omittingEmptySubsequences: false).map(Array.init)
    for (i, segment) in segments.enumerated() {
        precondition(segment != [ASCII.dot] && segment != [ASCII.dot, ASCII.dot], "a dot segment is left")
        if policy.mergeSlashes, i + 1 < segments.count { precondition(!segment.isEmpty, "an empty segment is left") }
    }
    var i = 0
    while i < target.path.count {
        if target.path[i] == ASCII.percent {
            precondition(i + 2 < target.path.count, "half an escape")
            guard let high = ASCII.hexValue(target.path[i + 1]), let low = ASCII.hexValue(target.path[i + 2]) else {
                preconditionFailure("not an escape")
            }
            let byte = high << 4 | low
            precondition(byte >= 0x20 && byte != 0x7f, "an escaped control byte")
            precondition(!isUnreserved(byte), "an escape that means the same without it")
            if byte == ASCII.slash || byte == ASCII.backslash {
                precondition(target.hasEncodedSlash, "an escaped slash that is not told of")
            }
        }
        i += 1
    }
    for byte in target.query ?? [] { precondition(byte > 0x20 && byte < 0x7f && byte != 0x23, "a query with \(byte)") }
    for byte in target.host { precondition(byte > 0x20 && byte < 0x7f && !ASCII.isUpper(byte), "a host with \(byte)") }
}

private func isUnreserved(_ byte: UInt8) -> Bool {
    ASCII.isLetter(byte) || ASCII.isDigit(byte) || byte == 0x2d || byte == 0x2e || byte == 0x5f || byte == 0x7e
}
