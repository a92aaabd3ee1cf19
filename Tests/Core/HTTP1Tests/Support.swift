import HTTP1
import HTTPMessages
import Primitives

/// A field as text, one byte per scalar, so that no byte is lost in the comparison.
struct FieldText: Equatable, CustomStringConvertible {
    var name: String
    var value: String
    var id: FieldID = .other

    var description: String { "\(name): \(value)" }
}

func latin1(_ bytes: RawSpan) -> String {
    var text = ""
    for byte in bytes.array() { text.unicodeScalars.append(Unicode.Scalar(byte)) }
    return text
}

func fieldTexts(_ block: borrowing HeaderBlock) -> [FieldText] {
    var result = [FieldText]()
    for i in 0..<block.count where !block.fields[i].isRemoved {
        result.append(FieldText(name: latin1(block.name(i)), value: latin1(block.value(i)), id: block.fields[i].id))
    }
    return result
}

/// What became of a request's bytes, in a form that can be compared and printed.
enum RequestVerdict: Equatable {
    case incomplete
    case request(RequestText, consumed: Int)
    case refused(RequestFault)
}

struct RequestText: Equatable {
    var method: Method
    var methodText: String
    var target: String
    var version: HTTPVersion
    var fields: [FieldText]
    var framing: BodyFraming
    var keepAlive: Bool
    var expectsContinue: Bool
    var acceptsTrailers: Bool
    var hostIndex: Int?
    var hasConnectionOptions: Bool
    var wantsUpgrade: Bool
    /// The storage: it must be the head as received.
    var head: String
}

func parseRequest(_ bytes: [UInt8], limits: Limits = Limits()) -> RequestVerdict {
    var head = RequestHead()
    switch RequestParser.parse(bytes.span.bytes, limits: limits, into: &head) {
    case .needMore: return .incomplete
    case .refused(let fault): return .refused(fault)
    case .head(let consumed):
        let text = RequestText(
            method: head.method, methodText: latin1(head.bytes(head.methodRange)), target: latin1(head.bytes(head.targetRange)),
            version: head.version, fields: fieldTexts(head.headers), framing: head.framing, keepAlive: head.wantsKeepAlive,
            expectsContinue: head.expectsContinue, acceptsTrailers: head.acceptsTrailers, hostIndex: head.hostIndex,
            hasConnectionOptions: head.hasConnectionOptions, wantsUpgrade: head.wantsUpgrade,
            head: latin1(head.headers.storage.bytes))
        return .request(text, consumed: consumed)
    }
}

func parseRequest(_ text: String, limits: Limits = Limits()) -> RequestVerdict { parseRequest(bytes(text), limits: limits) }

/// A request with a good request line and Host, and these lines behind them.
func request(_ lines: String..., version: String = "1.1", method: String = "GET") -> String {
    "\(method) / HTTP/\(version)\r\nHost: a\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
}

func fault(_ text: String, limits: Limits = Limits()) -> RequestFault? {
    switch parseRequest(text, limits: limits) {
    case .refused(let fault): fault
    case .incomplete, .request: nil
    }
}

func accepted(_ text: String, limits: Limits = Limits()) -> RequestText? {
    switch parseRequest(text, limits: limits) {
    case .request(let request, _): request
    case .incomplete, .refused: nil
    }
}

/// The bytes of a text whose scalars stand for one byte each.
func bytes(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }

/// The verdict when the bytes come in pieces that end at `cuts`, parsing after each as a connection does.
func parseInPieces(_ bytes: [UInt8], cuts: [Int], limits: Limits = Limits()) -> RequestVerdict {
    for cut in cuts + [bytes.count] {
        let verdict = parseRequest(Array(bytes[..<cut]), limits: limits)
        if verdict != .incomplete { return verdict }
    }
    return .incomplete
}

enum ResponseVerdict: Equatable {
    case incomplete
    case response(ResponseText, consumed: Int)
    case refused(ResponseFault)
}

struct ResponseText: Equatable {
    var status: UInt16
    var version: HTTPVersion
    var reason: String
    var fields: [FieldText]
    var framing: BodyFraming
    var allowsReuse: Bool
    var hasConnectionOptions: Bool
    var declaredLength: UInt64?
}

func parseResponse(_ bytes: [UInt8], to method: Method = .get, limits: Limits = .response) -> ResponseVerdict {
    var head = ResponseHead()
    switch ResponseParser.parse(bytes.span.bytes, limits: limits, requestMethod: method, into: &head) {
    case .needMore: return .incomplete
    case .refused(let fault): return .refused(fault)
    case .head(let consumed):
        let text = ResponseText(
            status: head.status, version: head.version, reason: latin1(head.bytes(head.reason)),
            fields: fieldTexts(head.headers), framing: head.framing, allowsReuse: head.allowsReuse,
            hasConnectionOptions: head.hasConnectionOptions, declaredLength: head.declaredLength)
        return .response(text, consumed: consumed)
    }
}

func response(_ text: String, to method: Method = .get, limits: Limits = .response) -> ResponseText? {
    switch parseResponse(bytes(text), to: method, limits: limits) {
    case .response(let response, _): response
    case .incomplete, .refused: nil
    }
}

func responseFault(_ text: String, limits: Limits = .response) -> ResponseFault? {
    switch parseResponse(bytes(text), limits: limits) {
    case .refused(let fault): fault
    case .incomplete, .response: nil
    }
}

/// What a body reader made of bytes that came in pieces.
struct BodyVerdict: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    /// Bytes up to the end of the body; nil when it did not end.
    var end: Int?
    var fault: ChunkFault?
}

func readBody(_ framing: BodyFraming, _ bytes: [UInt8], cuts: [Int] = []) -> BodyVerdict {
    var reader = BodyReader(framing)
    var verdict = BodyVerdict()
    var position = 0
    for cut in cuts + [bytes.count] {
        while true {
            let rest = bytes.span.bytes.extracting(position..<cut)
            let step = reader.next(rest)
            switch step {
            case .data(let range): verdict.data += rest.extracting(range).array()
            case .trailers(let range): verdict.trailers += rest.extracting(range).array()
            case .needMore: break
            case .end(let consumed):
                verdict.end = position + consumed
                return verdict
            case .refused(let fault):
                verdict.fault = fault
                verdict.trailers = []
                return verdict
            }
            position += step.consumed
            if case .needMore = step { break }
        }
    }
    return verdict
}

func next(_ decoder: inout ChunkedDecoder, _ text: String) -> BodyStep { decoder.next(bytes(text).span.bytes) }
func next(_ reader: inout BodyReader, _ text: String) -> BodyStep { reader.next(bytes(text).span.bytes) }
func closed(_ reader: inout BodyReader) -> Bool { reader.inputClosed() }

extension RandomSource {
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    /// Places to cut `count` bytes at, in order.
    mutating func cuts(_ count: Int) -> [Int] {
        guard count > 1 else { return [] }
        return Set((0..<below(6)).map { _ in 1 + below(count - 1) }).sorted()
    }
}
