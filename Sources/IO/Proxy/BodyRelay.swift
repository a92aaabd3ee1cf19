import HTTP1
import HTTPMessages
import Primitives
import Reactor

/// What came of passing bytes of a body on.
struct Relayed {
    enum Fault {
        /// The framing is broken.
        case malformed
        /// More than the request may have.
        case tooLarge
    }

    var consumed = 0
    var dataBytes = 0
    /// Bytes of the input that are to be sent as they are, behind what was appended: the large run that a copy would only delay.
    var direct = 0..<0
    var hasEnded = false
    var fault: Fault?
}

/// Runs shorter than this are copied: one piece is cheaper to send than two.
private let copyBytesMax = 4096

/// Takes body bytes out of `input` and frames them for the other side.
/// - Parameters:
///   - chunked: whether the other side's framing is chunked; then the end and the trailers are written too.
///   - writesEnd: false where somebody else writes them.
func relay(
    _ reader: inout BodyReader, _ input: RawSpan, chunked: Bool, writesEnd: Bool = true, trailers: inout Incoming,
    into out: inout ByteBuffer
) -> Relayed {
    var relayed = Relayed()
    let count = input.byteCount
    while true {
        let step = reader.next(input.extracting(relayed.consumed..<count))
        switch step {
        case .data(let range):
            let start = relayed.consumed + range.lowerBound
            let end = relayed.consumed + range.upperBound
            relayed.dataBytes += range.count
            relayed.consumed = end
            if chunked {
                ChunkSerialiser.chunkHeader(size: range.count, into: &out)
                out.append(input.extracting(start..<end))
                ChunkSerialiser.chunkEnd(into: &out)
            } else if range.count > copyBytesMax, end == count || reader.isComplete {
                relayed.direct = start..<end
                if reader.isComplete { relayed.hasEnded = true }
                return relayed
            } else {
                out.append(input.extracting(start..<end))
            }
        case .trailers(let range):
            input.extracting((relayed.consumed + range.lowerBound)..<(relayed.consumed + range.upperBound)).withUnsafeBytes {
                trailers.append($0)
            }
            relayed.consumed += range.upperBound
        case .needMore(let consumed):
            relayed.consumed += consumed
            return relayed
        case .end(let consumed):
            relayed.consumed += consumed
            relayed.hasEnded = true
            if chunked, writesEnd, !writeEnd(trailers, into: &out) { relayed.fault = .malformed }
            return relayed
        case .refused:
            relayed.fault = .malformed
            return relayed
        }
    }
}

/// The last chunk, with the trailers that may be passed on.
/// - Returns: false when the trailer section is malformed.
private func writeEnd(_ trailers: Incoming, into out: inout ByteBuffer) -> Bool {
    guard !trailers.isEmpty else {
        ChunkSerialiser.lastChunk(into: &out)
        return true
    }
    guard let block = readTrailers(trailers, Limits()) else { return false }
    return ChunkSerialiser.lastChunk(trailers: block, into: &out)
}

/// The fields of a trailer section.
/// - Returns: nil when it is malformed.
func readTrailers(_ section: Incoming, _ limits: Limits) -> HeaderBlock? {
    var block = HeaderBlock(bytes: section.count, fields: 8)
    guard TrailerParser.parse(RawSpan(_unsafeBytes: section.bytes), limits: limits, into: &block) == nil else { return nil }
    return block
}
