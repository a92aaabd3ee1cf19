import FuzzSupport
import HTTP1
import HTTPMessages
import Primitives

/// Any bytes as a chunked body: the same data, trailers, end and fault however they are cut, and the same as a naive decoder finds.
@main
enum ChunkedFuzzer {
    static func main() {
        fuzz { data, size in
            test(input(data, size))
            return 0
        }
    }
}

private struct Verdict: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    var end: Int?
    var fault: ChunkFault?
}

private func decode(_ bytes: [UInt8], ending cuts: [Int]) -> Verdict {
    var reader = BodyReader(.chunked)
    var verdict = Verdict()
    var position = 0
    for end in cuts + [bytes.count] where end >= position {
        let piece = Array(bytes[position..<end])
        var at = 0
        pieceLoop: while true {
            let step = withPrefix(Array(piece[at...]), piece.count - at) { reader.next($0) }
            switch step {
            case .data(let range): verdict.data += piece[(at + range.lowerBound)..<(at + range.upperBound)]
            case .trailers(let range): verdict.trailers += piece[(at + range.lowerBound)..<(at + range.upperBound)]
            case .needMore(let consumed):
                precondition(consumed == piece.count - at, "bytes were left although more are needed")
                at += consumed
                break pieceLoop
            case .end(let consumed):
                verdict.end = position + at + consumed
                return verdict
            case .refused(let fault):
                verdict.fault = fault
                verdict.trailers = []
                return verdict
            }
            precondition(step.consumed > 0, "no progress")
            at += step.consumed
        }
        position = end
    }
    return verdict
}

private func test(_ bytes: [UInt8]) {
    let whole = decode(bytes, ending: [])
    precondition(decode(bytes, ending: cuts(bytes)) == whole, "in pieces it decodes otherwise than as a whole")
    let expected = NaiveChunks.decode(bytes)
    if let end = whole.end {
        precondition(expected?.end == end, "the body ends elsewhere for the naive decoder")
        precondition(expected?.data == whole.data && expected?.trailers == whole.trailers, "the naive decoder finds another body")
    } else if expected != nil {
        switch whole.fault {
        case .tooMuchOverhead, .sizeTooLarge, .trailersTooLarge: break  // limits, which the naive decoder has not
        default: preconditionFailure("the naive decoder finds an end, ours does not")
        }
    }
}
