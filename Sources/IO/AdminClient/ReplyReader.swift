import HTTP1
import HTTPMessages
import Primitives

/// Puts one answer together from the bytes as they come: interim heads are passed over, the body is kept up to a limit.
struct ReplyReader: ~Copyable {
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

    /// The daemon sends none.
    private static var interimHeadsMax: Int { 16 }

    private let bodyBytesMax: Int
    /// What came; what stands before `start` has been used.
    private var pending: [UInt8] = []
    private var start = 0
    private var interimHeads = 0
    private var head = ResponseHead()
    private var state = State.head
    private var body: [UInt8] = []

    init(bodyBytesMax: Int) { self.bodyBytesMax = bodyBytesMax }

    mutating func received(_ bytes: ArraySlice<UInt8>) -> Step {
        if start == pending.count || start > 65_536 {
            pending.removeFirst(start)
            start = 0
        }
        pending += bytes
        while true {
            switch state {
            case .head:
                let input = pending
                let rest = input.span.bytes.extracting(start..<input.count)
                switch ResponseParser.parse(rest, limits: .response, requestMethod: .get, into: &head) {
                case .needMore: return .needMore
                case .refused(let fault): return .malformed(fault.reason)
                case .head(let consumed):
                    start += consumed
                    if head.isInterim, head.status != 101 {
                        interimHeads += 1
                        guard interimHeads <= Self.interimHeadsMax else { return .malformed("too_many_interim_heads") }
                        continue
                    }
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
        while true {
            switch reader.next(input.span.bytes.extracting(start..<input.count)) {
            case .data(let range):
                guard range.count <= bodyBytesMax - body.count else { return .tooLong }
                body += input[(start + range.lowerBound)..<(start + range.upperBound)]
                start += range.upperBound
                if reader.isComplete { return .complete }
            case .trailers(let range): start += range.upperBound
            case .needMore(let consumed):
                start += consumed
                return .needMore
            case .end(let consumed):
                start += consumed
                return .complete
            case .refused: return .malformed("malformed_chunk")
            }
        }
    }

    consuming func reply() -> AdminReply {
        var contentType = ""
        if let index = head.headers.firstIndex(of: .contentType) {
            let value = String(decoding: head.headers.value(index).array(), as: UTF8.self)
            let end = value.firstIndex(of: ";") ?? value.endIndex
            contentType = value[..<end].lowercased().filter { $0 != " " }
        }
        return AdminReply(status: head.status, contentType: contentType, body: body)
    }
}
