import FuzzSupport
import HTTP1
import HTTPMessages
import Primitives

/// Any bytes as a response's head, in answer to a GET and to a HEAD: the same verdict however they are cut, and no byte in an
/// accepted head that another reader could take for a line's end.
@main
enum ResponseHeadFuzzer {
    static func main() {
        fuzz { data, size in
            let bytes = input(data, size)
            test(bytes, .get, .response)
            test(bytes, .head, Limits(fieldBytes: 256, headerBytes: 1024, fieldCount: 5))
            return 0
        }
    }
}

private func parse(_ bytes: [UInt8], _ count: Int, _ method: Method, _ limits: Limits) -> (ResponseParser.Outcome, HeadSummary) {
    var head = ResponseHead()
    let outcome = withPrefix(bytes, count) { ResponseParser.parse($0, limits: limits, requestMethod: method, into: &head) }
    return (outcome, HeadSummary(head))
}

private func test(_ bytes: [UInt8], _ method: Method, _ limits: Limits) {
    let (whole, summary) = parse(bytes, bytes.count, method, limits)
    for cut in cuts(bytes) {
        let (part, partSummary) = parse(bytes, cut, method, limits)
        guard part != .needMore else { continue }
        precondition(part == whole && partSummary == summary, "the first \(cut) bytes end otherwise than all of them")
    }
    guard case .head(let consumed) = whole else { return }
    precondition(consumed <= bytes.count, "more was consumed than there was")
    requireWholeLines(Array(bytes[..<consumed]))
    requireSameWhenWritten(Array(bytes[..<consumed]), method, limits)
}

private func requireSameWhenWritten(_ bytes: [UInt8], _ method: Method, _ limits: Limits) {
    var head = ResponseHead()
    _ = ResponseParser.parse(bytes.span.bytes, limits: limits, requestMethod: method, into: &head)
    var out = ByteBuffer(capacity: 1024)
    precondition(
        HeadSerialiser.startResponse(status: head.status, reason: head.bytes(head.reason), into: &out)
            && HeadSerialiser.fields(of: head.headers, into: &out), "a head that was accepted is not written")
    HeadSerialiser.endOfHead(into: &out)
    if head.version == .http10 { return }  // is written as HTTP/1.1, where other rules hold
    let written = out.bytes.array()
    var again = ResponseHead()
    let outcome = ResponseParser.parse(written.span.bytes, limits: .response, requestMethod: method, into: &again)
    precondition(outcome == .head(consumed: written.count), "what was written is not one head: \(outcome)")
    precondition(again.framing == head.framing && again.status == head.status, "what was written means something else")
    precondition(HeadSummary(again).fields == HeadSummary(head).fields, "what was written has other fields")
}
