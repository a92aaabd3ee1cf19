import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Testing

/// What the tests of this target share: heads read by the parser, and heads written as they would go over the wire.

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ span: RawSpan) -> String { String(decoding: span.array(), as: UTF8.self) }

/// A request of these lines; host, port, path and query are filled in as routing does for targets that need no rewriting.
func request(_ lines: String...) -> RequestHead {
    let input = bytes(lines.joined(separator: "\r\n") + "\r\n\r\n")
    var head = RequestHead()
    let outcome = RequestParser.parse(input.span.bytes, limits: Limits(), into: &head)
    #expect(outcome == .head(consumed: input.count))
    let target = text(head.bytes(head.targetRange))
    let pathCount = target.utf8.firstIndex(of: ASCII.question).map { target.utf8.distance(from: target.startIndex, to: $0) }
    let start = head.targetRange.lowerBound
    head.path = start..<(start + (pathCount ?? target.utf8.count))
    if let pathCount { head.query = (start + pathCount + 1)..<head.targetRange.upperBound }
    if let index = head.hostIndex {
        let field = head.headers.fields[index]
        let offset = Int(field.valueOffset)
        let parts = text(head.headers.value(index)).split(separator: ":")
        if let name = parts.first { head.host = offset..<(offset + name.utf8.count) }
        if parts.count == 2, let port = UInt16(parts[1]) { head.port = port }
    }
    return head
}

/// Adds the field `Name: value` as the parser would, also one that it refuses.
func add(_ line: String, to headers: inout HeaderBlock) {
    let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = bytes(String(parts[0]))
    let value = bytes(parts.count > 1 ? String(parts[1]) : "")
    headers.add(FieldID(lowercasing: name.span.bytes), name: name.span.bytes, value: value.span.bytes.trimmingWhitespace())
}

func response(_ lines: String..., to method: HTTPMessages.Method = .get) -> ResponseHead {
    let input = bytes(lines.joined(separator: "\r\n") + "\r\n\r\n")
    var head = ResponseHead()
    let outcome = ResponseParser.parse(input.span.bytes, limits: .response, requestMethod: method, into: &head)
    #expect(outcome == .head(consumed: input.count))
    return head
}

/// 2023-11-14T22:13:20.123Z, a Tuesday.
let someTime: UInt64 = 1_700_000_000_123_456_789

func context(
    peer: String = "198.51.100.7", port: UInt16 = 40_000, unixSocket: Bool = false, scheme: Scheme = .http,
    sink: (any ResumptionSink)? = nil, exchange: UInt64 = 1
) -> RequestContext {
    let names = NameTable(
        listeners: [bytes("web")], routes: [bytes("users"), bytes("live")], services: [bytes("accounts")],
        instances: [bytes("10.0.0.5:8080"), bytes("10.0.0.6:8080")])
    var context = RequestContext(
        peerAddress: IPAddress(peer) ?? IPAddress(v4: 0), peerPort: port, peerIsUnixSocket: unixSocket, scheme: scheme,
        listenerIndex: 0, names: names, resumptionSink: sink)
    context.begin(
        at: Instant(nanoseconds: 5), unixNanoseconds: someTime, seed: 42, bodyLimit: 10_485_760, exchangeToken: exchange)
    return context
}

func blocks(_ texts: String...) -> [AddressBlock] {
    texts.compactMap { text in
        let block = AddressBlock(text)
        #expect(block != nil)
        return block
    }
}

func entrance(
    trusted: [AddressBlock] = blocks("10.0.0.0/8"), style: Pipeline.ForwardedStyle = .x,
    underscores: Entrance.UnderscorePolicy = .drop
) -> Entrance {
    Entrance(.init(trustedProxies: trusted, style: style, underscores: underscores, pseudonym: bytes("sluice-1234")))
}

/// The fields that are left, one a line.
func fieldLines(_ headers: borrowing HeaderBlock) -> [String] {
    var lines = [String]()
    for i in 0..<headers.count where !headers.fields[i].isRemoved {
        lines.append(text(headers.name(i)) + ": " + text(headers.value(i)))
    }
    return lines
}

func fieldLines(_ head: borrowing RequestHead) -> [String] { fieldLines(head.headers) }
func fieldLines(_ head: borrowing ResponseHead) -> [String] { fieldLines(head.headers) }

/// The head of the upstream request as it goes over the wire, in lines.
func upstreamLines(
    _ forwarding: Forwarding, _ head: borrowing RequestHead, _ context: borrowing RequestContext,
    authority: String = "10.0.0.5:8080", closes: Bool = false
) -> [String] {
    var out = ByteBuffer(capacity: 64)
    let name = bytes(authority)
    let target = text(head.bytes(head.targetRange))
    let path = bytes(target.hasPrefix("/") || target == "*" ? text(head.bytes(head.path)) : "/")
    let isStarted =
        if let query = head.query {
            HeadSerialiser.startRequest(
                method: head.bytes(head.methodRange), path: path.span.bytes, query: head.bytes(query), into: &out)
        } else {
            HeadSerialiser.startRequest(method: head.bytes(head.methodRange), path: path.span.bytes, query: nil, into: &out)
        }
    #expect(isStarted)
    #expect(HeadSerialiser.fields(of: head.headers, into: &out))
    #expect(forwarding.appendFields(to: &out, head: head, context: context, authority: name.span.bytes, closes: closes))
    HeadSerialiser.endOfHead(into: &out)
    return lines(out)
}

/// The head for the client as it goes over the wire, in lines.
func clientLines(
    _ forwarding: ResponseForwarding, _ head: borrowing ResponseHead, _ context: borrowing RequestContext,
    delivery: ResponseDelivery, isForwarded: Bool = true
) -> [String] {
    var out = ByteBuffer(capacity: 64)
    #expect(HeadSerialiser.startResponse(status: head.status, into: &out))
    #expect(HeadSerialiser.fields(of: head.headers, into: &out))
    #expect(
        forwarding.appendFields(
            to: &out, head: head, context: context, delivery: delivery, isForwarded: isForwarded))
    HeadSerialiser.endOfHead(into: &out)
    return lines(out)
}

func lines(_ out: borrowing ByteBuffer) -> [String] {
    var result = [String]()
    var line = [UInt8]()
    for byte in out.bytes.array() {
        line.append(byte)
        if byte == ASCII.lf {
            #expect(line.count >= 2 && line[line.count - 2] == ASCII.cr)
            result.append(String(decoding: line.dropLast(2), as: UTF8.self))
            line = []
        }
    }
    #expect(line.isEmpty)
    return result
}
