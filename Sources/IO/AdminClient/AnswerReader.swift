import HTTP1
import HTTPMessages
import Primitives

/// Puts one answer together from the bytes as they come: interim heads are passed over, the body is kept up to a limit.
struct AnswerReader: ~Copyable {
    enum Step {
        case needMore
        case complete
        /// In the words of `ResponseFault` or `ChunkFault`.
        case malformed(StaticString)
        case tooLong
    }

    private enum State {
        case head
        case body(BodyReader)
        case complete
    }

    private let bodyBytesMax: Int
    private var pending: [UInt8] = []
    private var head = ResponseHead()
    private var state = State.head
    private var body: [UInt8] = []

    init(bodyBytesMax: Int) { self.bodyBytesMax = bodyBytesMax }

    mutating func received(_ bytes: ArraySlice<UInt8>) -> Step {
        pending += bytes
        while true {
            switch state {
            case .head:
                let input = pending
                switch ResponseParser.parse(input.span.bytes, limits: .response, requestMethod: .get, into: &head) {
                case .needMore: return .needMore
                case .refused(let fault): return .malformed(fault.reason)
                case .head(let consumed):
                    pending.removeFirst(consumed)
                    if head.isInterim, head.status != 101 { continue }
                    state = .body(BodyReader(head.framing))
                }
            case .body(var reader):
                switch readBody(&reader) {
                case .complete: state = .complete
                case .needMore:
                    state = .body(reader)
                    return .needMore
                case let ended: return ended
                }
            case .complete: return .complete
            }
        }
    }

    /// The other end has closed.
    mutating func inputClosed() -> Step {
        guard case .body(var reader) = state, reader.inputClosed() else { return .needMore }
        state = .complete
        return .complete
    }

    private mutating func readBody(_ reader: inout BodyReader) -> Step {
        let input = pending
        var used = 0
        defer { pending.removeFirst(used) }
        while true {
            let rest = input.span.bytes.extracting(used..<input.count)
            let step = reader.next(rest)
            switch step {
            case .data(let range):
                guard range.count <= bodyBytesMax - body.count else { return .tooLong }
                body += input[(used + range.lowerBound)..<(used + range.upperBound)]
                used += range.upperBound
                if reader.isComplete { return .complete }
            case .trailers(let range): used += range.upperBound
            case .needMore(let consumed):
                used += consumed
                return .needMore
            case .end(let consumed):
                used += consumed
                return .complete
            case .refused: return .malformed("malformed_chunk")
            }
        }
    }

    consuming func answer() -> AdminAnswer {
        var contentType = ""
        if let index = head.headers.firstIndex(of: .contentType) {
            let value = String(decoding: head.headers.value(index).array(), as: UTF8.self)
            let end = value.firstIndex(of: ";") ?? value.endIndex
            contentType = value[..<end].lowercased().filter { $0 != " " }
        }
        return AdminAnswer(status: head.status, contentType: contentType, body: body)
    }
}
