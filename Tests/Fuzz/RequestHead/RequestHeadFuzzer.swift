import FuzzSupport
import HTTP1
import HTTPMessages
import Primitives

/// Any bytes as a request's head: the same verdict however they are cut, no byte in an accepted head that another reader could take
/// for a line's end, and the head that is written from it says the same.
@main
enum RequestHeadFuzzer {
    static func main() {
        fuzz { data, size in
            let bytes = input(data, size)
            test(bytes, Limits())
            test(bytes, Limits(requestTargetBytes: 64, fieldBytes: 256, headerBytes: 1024, fieldCount: 5))
            return 0
        }
    }
}

private func parse(_ bytes: [UInt8], _ count: Int, _ limits: Limits) -> (RequestParser.Outcome, HeadSummary) {
    var head = RequestHead()
    let outcome = withPrefix(bytes, count) { RequestParser.parse($0, limits: limits, into: &head) }
    return (outcome, HeadSummary(head))
}

private func test(_ bytes: [UInt8], _ limits: Limits) {
    let (whole, summary) = parse(bytes, bytes.count, limits)
    for cut in cuts(bytes) {
        let (part, partSummary) = parse(bytes, cut, limits)
        guard part != .needMore else { continue }
        precondition(part == whole && partSummary == summary, "the first \(cut) bytes end otherwise than all of them")
    }
    guard case .head(let consumed) = whole else { return }
    precondition(consumed <= bytes.count && summary.bytes.count <= consumed, "more was consumed than there was")
    requireWholeLines(Array(bytes[..<consumed]))
    requireSameWhenWritten(Array(bytes[..<consumed]), limits)
}

private func requireSameWhenWritten(_ bytes: [UInt8], _ limits: Limits) {
    var head = RequestHead()
    _ = RequestParser.parse(bytes.span.bytes, limits: limits, into: &head)
    var out = ByteBuffer(capacity: 1024)
    guard
        HeadSerialiser.startRequest(
            method: head.bytes(head.methodRange), path: head.bytes(head.targetRange), query: nil, into: &out)
    else { return }  // an absolute target, or one that Routing will refuse
    precondition(HeadSerialiser.fields(of: head.headers, into: &out), "a field that was accepted is not written")
    HeadSerialiser.endOfHead(into: &out)
    let written = out.bytes.array()
    var again = RequestHead()
    let outcome = RequestParser.parse(written.span.bytes, limits: Limits(), into: &again)
    if head.version == .http10 { return }  // is written as HTTP/1.1, where other rules hold
    precondition(outcome == .head(consumed: written.count), "what was written is not one head: \(outcome)")
    precondition(again.framing == head.framing && again.method == head.method, "what was written means something else")
    precondition(HeadSummary(again).fields == HeadSummary(head).fields, "what was written has other fields")
}
