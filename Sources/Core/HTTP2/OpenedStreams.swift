/// Which streams a client has opened, as far as its HEADERS frames tell.
///
/// A stream that is opened closes all idle ones with lower numbers (RFC 9113 §5.1.1), so that only the last number and the gaps need to
/// be known. Ordinary clients leave none, or one at the beginning; of the others the last eight are kept.
struct OpenedStreams {
    enum Verdict: Equatable {
        /// A stream that is new, or one that has been opened before.
        case good
        /// A stream that a higher one has closed before it was opened.
        case passedOver
    }

    private var last: Int32 = -1
    /// The first and the last number of each gap.
    private var gaps = InlineArray<8, (first: Int32, last: Int32)>(repeating: (0, -1))
    private var gapCount = 0

    /// HEADERS came: a request's head, or trailers. What is no client's stream is left to nghttp2.
    mutating func headReceived(_ stream: Int32) -> Verdict {
        guard stream & 1 == 1 else { return .good }
        if stream > last {
            if stream > last + 2 {
                gaps[gapCount & 7] = (last + 2, stream - 2)
                gapCount &+= 1
            }
            last = stream
            return .good
        }
        for i in 0..<min(gapCount, 8) where stream >= gaps[i].first && stream <= gaps[i].last { return .passedOver }
        return .good
    }
}
