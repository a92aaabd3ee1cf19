import HTTPMessages
import Primitives

/// What the bytes at hand mean for a body. Ranges are offsets into the input of the call.
public enum BodyStep: Equatable, Sendable {
    /// Body bytes, at least one; the input up to the range's end is done with.
    case data(Range<Int>)
    /// Bytes of the trailer section, at least one, for the caller to collect until `.end` and to hand to `TrailerParser` then; the
    /// input up to the range's end is done with.
    case trailers(Range<Int>)
    /// All `consumed` bytes of the input are done with, and the body goes on.
    case needMore(consumed: Int)
    /// The body ended `consumed` bytes into the input; what follows belongs to another message.
    case end(consumed: Int)
    /// Nothing more may be read.
    case refused(ChunkFault)

    /// How many bytes of the input are done with.
    @inlinable
    public var consumed: Int {
        switch self {
        case .data(let range), .trailers(let range): range.upperBound
        case .needMore(let consumed), .end(let consumed): consumed
        case .refused: 0
        }
    }
}

/// Reads one body in whichever way it is framed, in either direction.
///
/// The caller gives it all bytes at hand, takes the step, drops `consumed` bytes, and calls again until `.needMore`, `.end` or
/// `.refused`. Once complete it answers `.end(consumed: 0)`.
public struct BodyReader: Sendable {
    private enum State {
        /// Bytes still to come; 0 is complete.
        case length(UInt64)
        case chunked(ChunkedDecoder)
        /// Until the peer closes, and then `.length(0)`.
        case untilClose
    }

    private var state: State

    public init(_ framing: BodyFraming) {
        switch framing {
        case .none: state = .length(0)
        case .length(let length): state = .length(length)
        case .chunked: state = .chunked(ChunkedDecoder())
        case .untilClose: state = .untilClose
        }
    }

    /// Whether the last byte of the body has been read. With a length that is so already when `.data` gave out the last run.
    public var isComplete: Bool {
        switch state {
        case .length(let remaining): remaining == 0
        case .chunked(let decoder): decoder.isComplete
        case .untilClose: false
        }
    }

    /// Body bytes that are announced and have not come yet: the rest of the length, or of the chunk under way.
    public var announcedBytes: UInt64 {
        switch state {
        case .length(let remaining): remaining
        case .chunked(let decoder): decoder.announcedBytes
        case .untilClose: 0
        }
    }

    public mutating func next(_ input: RawSpan) -> BodyStep {
        let count = input.byteCount
        switch state {
        case .length(let remaining):
            if remaining == 0 { return .end(consumed: 0) }
            if count == 0 { return .needMore(consumed: 0) }
            let n = remaining < UInt64(count) ? Int(remaining) : count
            state = .length(remaining - UInt64(n))
            return .data(0..<n)
        case .chunked(var decoder):
            let step = decoder.next(input)
            state = .chunked(decoder)
            return step
        case .untilClose:
            return count == 0 ? .needMore(consumed: 0) : .data(0..<count)
        }
    }

    /// The peer has closed its side, and all its bytes were read.
    /// - Returns: whether the body is complete; false when it was cut off (RFC 9112 §8).
    public mutating func inputClosed() -> Bool {
        switch state {
        case .untilClose:
            state = .length(0)
            return true
        case .length, .chunked:
            return isComplete
        }
    }
}
